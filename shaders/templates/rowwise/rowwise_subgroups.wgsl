// Long rows: one workgroup per row. Its threads reduce by subgroup operations.

override THREADS_PER_ROW: u32 = WORKGROUP;

// True if the workgroup is always one subgroup. Workgroup memory is then not used.
override ONE_SUBGROUP: bool = false;

// One number per subgroup; no subgroup has fewer than four threads.
var<workgroup> joined: array<f32, 256>;
var<private> subgroup: u32;
var<private> subgroup_lane: u32;
var<private> subgroups: u32;

fn share(x: f32) {
    // Separates the reads of the previous values from this write.
    workgroupBarrier();
    if subgroup_lane == 0u {
        joined[subgroup] = x;
    }
    // Separates this write from all reads of it.
    workgroupBarrier();
}

fn row_group_sum(x: f32) -> f32 {
    var total = subgroupAdd(x);
    if !ONE_SUBGROUP {
        share(total);
        total = joined[0];
        for (var i = 1u; i < subgroups; i += 1u) {
            total += joined[i];
        }
    }
    return total;
}

fn row_group_max(x: f32) -> f32 {
    var largest = subgroupMax(x);
    if !ONE_SUBGROUP {
        share(largest);
        for (var i = 0u; i < subgroups; i += 1u) {
            largest = max(largest, joined[i]);
        }
    }
    return largest;
}

fn row_group_barrier() {
    if IN_PLACE {
        // Separates all reads of the label's logit from the writes that overwrite it.
        storageBarrier();
    }
}

@compute @workgroup_size(WORKGROUP)
fn rowwise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
    @builtin(subgroup_id) own_subgroup: u32,
    @builtin(subgroup_invocation_id) own_lane: u32,
    @builtin(num_subgroups) subgroup_count: u32,
) {
    subgroup = own_subgroup;
    subgroup_lane = own_lane;
    subgroups = subgroup_count;
    take_rows(workgroup.y * count.x + workgroup.x, local_index);
}
