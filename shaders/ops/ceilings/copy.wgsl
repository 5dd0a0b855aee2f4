// Copy kernel: measures a device's memory bandwidth without computation, the upper bound for every
// loss.
//
//     destination[i] = source[i]
//
// Each workgroup owns one contiguous block, and its threads iterate over it, as in
// templates/pointwise/pointwise.

struct Params {
    length: u32, // vectors of four
    block: u32,  // vectors per workgroup
    reserved: vec2<u32>,
}

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> destination: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn copy(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let begin = (workgroup.y * count.x + workgroup.x) * params.block;
    let end = min(begin + params.block, params.length);
    for (var i = begin + local_index; i < end; i += WORKGROUP) {
        destination[i] = source[i];
    }
}
