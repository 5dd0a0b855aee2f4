// A workgroup's work where k is split: a tile of the output, over one part of k. The parts' products lie one behind the
// other in `output`, and matmul_join.wgsl adds them up in their order. For products of few tiles and a deep k: the gradient of a
// small layer over a large batch would else keep a handful of a card's cores busy.
// Its alternative is matmul_whole.wgsl.

struct Work {
    tile: u32,
    first_k: u32,
    end_k: u32,
}

// Which part this workgroup computes. The host gives no more workgroups than parts and tiles.
var<private> part: u32;

fn work_of(workgroup: u32) -> Work {
    let tiles = (params.m + TILE_ROWS - 1u) / TILE_ROWS * ((params.n + TILE_COLUMNS - 1u) / TILE_COLUMNS);
    // What the core's barriers depend on comes from here and not from `part`, which counts as different in each thread.
    let own = workgroup / tiles;
    part = own;
    let first_k = own * params.part_k;
    return Work(workgroup % tiles, first_k, min(first_k + params.part_k, params.k));
}

fn output_start() -> u32 {
    return part * params.m * params.n;
}
