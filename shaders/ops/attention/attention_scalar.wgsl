@group(0) @binding(BINDING) var<storage, MODE> BUFFER: array<f32>;

// Four numbers of a vector; those behind its end are 0.
fn BUFFER_four(place: u32, first: u32) -> vec4<f32> {
    let indices = vec4<u32>(first, first + 1u, first + 2u, first + 3u);
    let inside = place + min(indices, vec4<u32>(DEPTH - 1u));
    let found = vec4<f32>(BUFFER[inside.x], BUFFER[inside.y], BUFFER[inside.z], BUFFER[inside.w]);
    return select(vec4<f32>(0.0), found, indices < vec4<u32>(DEPTH));
}

// The sixteen numbers at a place and a block, for vectors of any length.
fn BUFFER_block(place: u32, block: u32) -> Block {
    let first = 16u * block;
    return Block(BUFFER_four(place, first), BUFFER_four(place, first + 4u), BUFFER_four(place, first + 8u), BUFFER_four(place, first + 12u));
}

// Writing.
fn set_BUFFER_four(place: u32, first: u32, value: vec4<f32>) {
    if first < DEPTH {
        BUFFER[place + first] = value.x;
    }
    if first + 1u < DEPTH {
        BUFFER[place + first + 1u] = value.y;
    }
    if first + 2u < DEPTH {
        BUFFER[place + first + 2u] = value.z;
    }
    if first + 3u < DEPTH {
        BUFFER[place + first + 3u] = value.w;
    }
}

fn set_BUFFER_block(place: u32, block: u32, value: Block) {
    let first = 16u * block;
    set_BUFFER_four(place, first, value[0]);
    set_BUFFER_four(place, first + 4u, value[1]);
    set_BUFFER_four(place, first + 8u, value[2]);
    set_BUFFER_four(place, first + 12u, value[3]);
}
