// Short rows: a lane takes a whole row. Linked with one of helpers/partials_*.

const TEAM: u32 = 1u;

fn team_sum(x: f32) -> f32 {
    return x;
}

fn team_max(x: f32) -> f32 {
    return x;
}

fn team_wait() {}

@compute @workgroup_size(WORKGROUP)
fn rowwise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = workgroup.y * count.x + workgroup.x;
    let begin = block * params.block;
    let end = min(begin + params.block, params.rows);
    var sum = 0.0;
    for (var index = begin + lane; index < end; index += WORKGROUP) {
        sum += take_row(index, 0u);
    }
    if !EACH && !AUXILIARY {
        write_partial(block, lane, sum, begin < end);
    }
}
