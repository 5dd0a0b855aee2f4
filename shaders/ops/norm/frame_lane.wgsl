// One invocation per unit (a row, a channel, a column): software adapters, where a barrier costs
// more than the sum it saves. The kernel has `join`, the sum of two parts.

fn unit_of(workgroup: u32, local_index: u32) -> u32 {
    return workgroup * WORKGROUP + local_index;
}

// A unit's items first_of, first_of + stride, … are those of one invocation.
fn first_of(local_index: u32) -> u32 {
    return 0u;
}

fn stride() -> u32 {
    return 1u;
}

fn joined(part: vec4<f32>, local_index: u32) -> vec4<f32> {
    return part;
}
