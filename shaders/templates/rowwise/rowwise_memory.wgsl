// Long rows without subgroups: one workgroup per row. Its threads reduce by a tree of fixed shape
// in workgroup memory.

override THREADS_PER_ROW: u32 = WORKGROUP;

var<workgroup> joined: array<f32, WORKGROUP>;

fn row_group_sum(x: f32) -> f32 {
    // Separates the reads of the previous tree from this write.
    workgroupBarrier();
    joined[index_in_row_group] = x;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Separates the writes of the level above from the reads of this one.
        workgroupBarrier();
        if index_in_row_group < half {
            joined[index_in_row_group] += joined[index_in_row_group + half];
        }
    }
    // Separates the last addition from all reads of it.
    workgroupBarrier();
    return joined[0];
}

fn row_group_max(x: f32) -> f32 {
    // Barriers as in `row_group_sum`.
    workgroupBarrier();
    joined[index_in_row_group] = x;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if index_in_row_group < half {
            joined[index_in_row_group] = max(joined[index_in_row_group], joined[index_in_row_group + half]);
        }
    }
    workgroupBarrier();
    return joined[0];
}

var<private> index_in_row_group: u32;

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
) {
    index_in_row_group = local_index;
    take_rows(workgroup.y * count.x + workgroup.x, local_index);
}
