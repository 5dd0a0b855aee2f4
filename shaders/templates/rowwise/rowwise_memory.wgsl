// Long rows where there are no subgroups: a workgroup takes a row, and its threads join what they have by a tree of fixed
// shape in workgroup memory.

override TEAM: u32 = WORKGROUP;

var<workgroup> joined: array<f32, WORKGROUP>;

fn team_sum(x: f32) -> f32 {
    // Separates the reading of the tree before from this writing.
    workgroupBarrier();
    joined[lane_of_team] = x;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if lane_of_team < half {
            joined[lane_of_team] += joined[lane_of_team + half];
        }
    }
    // Separates the last addition from everybody's reading of it.
    workgroupBarrier();
    return joined[0];
}

fn team_max(x: f32) -> f32 {
    // The barriers separate what they do in `team_sum`.
    workgroupBarrier();
    joined[lane_of_team] = x;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane_of_team < half {
            joined[lane_of_team] = max(joined[lane_of_team], joined[lane_of_team + half]);
        }
    }
    workgroupBarrier();
    return joined[0];
}

var<private> lane_of_team: u32;

fn team_wait() {
    if IN_PLACE {
        // Separates every thread's reading of the label's logit from the writes over it.
        storageBarrier();
    }
}

@compute @workgroup_size(WORKGROUP)
fn rowwise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    lane_of_team = local_index;
    take_rows(workgroup.y * count.x + workgroup.x, local_index);
}
