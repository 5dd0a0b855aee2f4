// Work of a workgroup where k is not split: a tile of the output, over all of k. Its alternative is
// matmul_part.wgsl.

struct Work {
    tile: u32,
    first_k: u32,
    end_k: u32,
}

fn work_of(workgroup: u32) -> Work {
    return Work(workgroup, 0u, params.k);
}

// Offset of the product in `output`.
fn output_start() -> u32 {
    return params.output_offset;
}
