// Partial sums of long runs: for each block that begins inside a run, the sum to the end of the run
// or block, whichever comes first. Linked with ops/token_embedding/token_embedding_runs and an
// alias of Cell. One thread per block, except the first, and cell.

@group(0) @binding(4) var<storage, read_write> parts: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn sum_parts(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let block = 1u + index / params.cells;
    let first = block * BLOCK;
    if first >= params.count {
        return;
    }
    let id = sorted[first].x;
    if id >= params.rows || id != sorted[first - 1u].x {
        return;
    }
    let cell = index % params.cells;
    parts[block * params.cells + cell] = piece(first, min(first + BLOCK, starts[id + 1u]), cell);
}
