// One workgroup per unit (a row, a channel, a column): its parts are joined by a tree of fixed
// shape in workgroup memory. The kernel has `join`, the sum of two parts.

var<workgroup> parts: array<vec4<f32>, WORKGROUP>;

fn unit_of(workgroup: u32, local_index: u32) -> u32 {
    return workgroup;
}

// A unit's items first_of, first_of + stride, … are those of one invocation.
fn first_of(local_index: u32) -> u32 {
    return local_index;
}

fn stride() -> u32 {
    return WORKGROUP;
}

// Every thread must call.
fn joined(part: vec4<f32>, local_index: u32) -> vec4<f32> {
    parts[local_index] = part;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        // Waits for the writes of the previous iteration.
        workgroupBarrier();
        if local_index < half {
            parts[local_index] = join(parts[local_index], parts[local_index + half]);
        }
    }
    workgroupBarrier();
    let found = parts[0];
    // Every thread must have read before the next use writes.
    workgroupBarrier();
    return found;
}
