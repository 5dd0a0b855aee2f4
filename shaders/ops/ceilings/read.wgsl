// Read kernel: measures a device's read-only memory bandwidth, the upper bound for sums and for
// losses without a gradient.
//
//     values = partial sums of source
//
// Linked with one of lib/partials_*. Each workgroup owns one contiguous block, and its threads
// iterate over it, as in ops/ceilings/copy.

struct Params {
    length: u32, // vectors of four
    block: u32,  // vectors per workgroup
    first_partial: u32,
    reserved: u32,
}

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn read_all(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let group = workgroup.y * count.x + workgroup.x;
    let begin = group * params.block;
    let end = min(begin + params.block, params.length);
    var sum = vec4<f32>();
    for (var i = begin + local_index; i < end; i += WORKGROUP) {
        sum += source[i];
    }
    write_partial(group, local_index, (sum.x + sum.y) + (sum.z + sum.w), begin < end);
}
