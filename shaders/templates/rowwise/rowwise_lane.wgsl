// Short rows: one thread per row, or per `ROWS_PER_THREAD` rows in sequence; the header defines the
// constant. Linked with one of lib/partials_*.

const THREADS_PER_ROW: u32 = 1u;

fn row_group_sum(x: f32) -> f32 {
    return x;
}

fn row_group_max(x: f32) -> f32 {
    return x;
}

fn row_group_barrier() {}

@compute @workgroup_size(WORKGROUP)
fn rowwise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let block = workgroup.y * count.x + workgroup.x;
    let begin = block * params.block;
    let end = min(begin + params.block, params.rows);
    var sum = 0.0;
    // Number of rows that the other threads process between two runs of ROWS_PER_THREAD rows.
    let others = (WORKGROUP - 1u) * ROWS_PER_THREAD;
    var index = begin + local_index * ROWS_PER_THREAD;
    while index < end {
        sum += take_row(index, 0u);
        index += select(1u, 1u + others, index % ROWS_PER_THREAD == ROWS_PER_THREAD - 1u);
    }
    if !REDUCTION_NONE && !AUXILIARY {
        write_partial(block, local_index, sum, begin < end);
    }
}
