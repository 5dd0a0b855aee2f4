@group(0) @binding(BINDING) var<storage, MODE> BUFFER: array<vec4<f32>>;

// The sixteen numbers at a place and a block, for vectors of whole blocks: the places are multiples
// of sixteen.
fn BUFFER_block(place: u32, block: u32) -> Block {
    let i = place / 4u + 4u * block;
    return Block(BUFFER[i], BUFFER[i + 1u], BUFFER[i + 2u], BUFFER[i + 3u]);
}

// Writing.
fn set_BUFFER_block(place: u32, block: u32, value: Block) {
    let i = place / 4u + 4u * block;
    BUFFER[i] = value[0];
    BUFFER[i + 1u] = value[1];
    BUFFER[i + 2u] = value[2];
    BUFFER[i + 3u] = value[3];
}
