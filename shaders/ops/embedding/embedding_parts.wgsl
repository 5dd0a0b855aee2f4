// Partial sums of long runs: for each block that begins inside a run, the sum to the end of the run
// or block, whichever comes first.
//
//     parts[block] = sum of gradients[sorted[i].position],
//                    i from block BLOCK on while the id equals that of place i - 1
//
// Linked with ops/embedding/embedding_runs, an alias of Cell and
// templates/optimizer/optimizer_step. One group of threads per block, except the first.

@group(0) @binding(3) var<storage, read_write> parts: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn sum_parts(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    let block = 1u + index / params.threads_per_row;
    let first = block * BLOCK;
    if first >= params.count {
        return;
    }
    let id = sorted[first].x;
    if id >= params.rows || id != sorted[first - 1u].x {
        return;
    }
    let end = end_of_piece(first, id);
    for (var cell = index % params.threads_per_row; cell < params.cells; cell += params.threads_per_row) {
        parts[block * params.cells + cell] = piece(first, end, cell);
    }
}
