// Dropout in place, of an output or of its gradient: x <- scale x where the element is kept, else
// 0.
//
// Element i is kept if word i % 4 of philox([i / 4, node, noise.zw], noise.xy) is above
// `last_dropped`. The comparison is of integers, so that every device drops the same elements.
// Linked with lib/random. One thread per four elements; those behind the last row are not read.

struct Params {
    vectors: u32, // groups of four elements
    node: u32,
    last_dropped: u32,
    scale: f32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> noise: vec4<u32>;
@group(0) @binding(1) var<storage, read> params: Params;
@group(0) @binding(2) var<storage, read_write> numbers: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn dropout(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i >= params.vectors {
        return;
    }
    let words = philox(vec4<u32>(i, params.node, noise.z, noise.w), noise.xy);
    let is_kept = words > vec4<u32>(params.last_dropped);
    // Selected and not multiplied: an infinite number that is dropped is 0.
    numbers[i] = select(vec4<f32>(), params.scale * numbers[i], is_kept);
}
