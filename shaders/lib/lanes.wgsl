// Reductions over all threads of a workgroup, by a tree in workgroup memory. Every thread must
// call.

var<workgroup> parts: array<f32, WORKGROUP>;

fn sum_of(x: f32, local_index: u32) -> f32 {
    parts[local_index] = x;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Waits for the writes of the previous iteration.
        workgroupBarrier();
        if local_index < half {
            parts[local_index] += parts[local_index + half];
        }
    }
    return part_of_all();
}

// Hides NaN, as max does.
fn largest_of(x: f32, local_index: u32) -> f32 {
    parts[local_index] = x;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Waits for the writes of the previous iteration.
        workgroupBarrier();
        if local_index < half {
            parts[local_index] = max(parts[local_index], parts[local_index + half]);
        }
    }
    return part_of_all();
}

fn part_of_all() -> f32 {
    workgroupBarrier();
    let found = parts[0];
    // Every thread must have read before the next use writes.
    workgroupBarrier();
    return found;
}
