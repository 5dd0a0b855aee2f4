// Other tokens' vectors copied to workgroup memory, TILE tokens at a time. Its alternative is
// attention_direct.wgsl.

var<workgroup> first_tile: array<Block, TILE * BLOCKS>;
var<workgroup> second_tile: array<Block, TILE * BLOCKS>;

// Every thread must call.
fn stage(head: Head, begin: u32, local_index: u32) {
    // Every thread must have read the tile before.
    workgroupBarrier();
    for (var i = local_index; i < TILE * BLOCKS; i += WORKGROUP) {
        let token = min(begin + i / BLOCKS, params.tokens - 1u);
        first_tile[i] = first_block(head, token, i % BLOCKS);
        second_tile[i] = second_block(head, token, i % BLOCKS);
    }
    workgroupBarrier();
}

// The first vector (k, or q) of a token of the tile, and the second (v, or dL/do).
fn first_staged(head: Head, begin: u32, token: u32, block: u32) -> Block {
    return first_tile[(token - begin) * BLOCKS + block];
}

fn second_staged(head: Head, begin: u32, token: u32, block: u32) -> Block {
    return second_tile[(token - begin) * BLOCKS + block];
}
