// Work of a workgroup in a split-k product: a tile of the output over one chunk of k. The partial
// products are stored one after another in `output`, and matmul_join.wgsl adds them in order. For
// products with few tiles and a deep k: the gradient of a small layer over a large batch would
// otherwise occupy only a handful of a card's cores. Its alternative is matmul_whole.wgsl.

struct Work {
    tile: u32,
    first_k: u32,
    end_k: u32,
}

// Chunk of k that this workgroup computes. The host dispatches exactly chunks × tiles workgroups.
var<private> part: u32;

fn work_of(workgroup: u32) -> Work {
    let tiles = (params.m + TILE_ROWS - 1u) / TILE_ROWS * ((params.n + TILE_COLUMNS - 1u) / TILE_COLUMNS);
    // Values that the core's barriers depend on come from here and not from `part`, which the
    // compiler considers non-uniform.
    let own = workgroup / tiles;
    part = own;
    let first_k = own * params.part_k;
    return Work(workgroup % tiles, first_k, min(first_k + params.part_k, params.k));
}

fn output_start() -> u32 {
    return part * params.m * params.n;
}
