// Other tokens' vectors read where they are: one tile of all tokens. Its alternative is
// attention_tiled.wgsl.

const TILE: u32 = 0x7fffffffu;

fn stage(head: Head, begin: u32, local_index: u32) {
}

// The first vector (k, or q) of a token of the tile, and the second (v, or dL/do).
fn first_staged(head: Head, begin: u32, token: u32, block: u32) -> Block {
    return first_block(head, token, block);
}

fn second_staged(head: Head, begin: u32, token: u32, block: u32) -> Block {
    return second_block(head, token, block);
}
