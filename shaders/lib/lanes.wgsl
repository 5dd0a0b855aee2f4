// What all lanes of a workgroup come to, by a tree in workgroup memory. Every lane must call.

var<workgroup> parts: array<f32, WORKGROUP>;

fn sum_of(x: f32, lane: u32) -> f32 {
    parts[lane] = x;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // The numbers of the turn before are written.
        workgroupBarrier();
        if lane < half {
            parts[lane] += parts[lane + half];
        }
    }
    return part_of_all();
}

// Hides NaN, as max does.
fn largest_of(x: f32, lane: u32) -> f32 {
    parts[lane] = x;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // The numbers of the turn before are written.
        workgroupBarrier();
        if lane < half {
            parts[lane] = max(parts[lane], parts[lane + half]);
        }
    }
    return part_of_all();
}

fn part_of_all() -> f32 {
    workgroupBarrier();
    let found = parts[0];
    // Every lane has read before the next use writes.
    workgroupBarrier();
    return found;
}
