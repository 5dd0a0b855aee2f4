// Gumbel noise in place: x <- x + scale z, z = -ln(-ln u).
//
// u of element i is the middle of one of 2^23 equal parts of (0, 1), by the high bits of word i % 4
// of philox([i / 4, node, noise.zw], noise.xy): an odd multiple of 2^-24, which f32 holds. Linked
// with lib/numbers and lib/random. One thread per four elements; those behind the last row are not
// read.

struct Params {
    vectors: u32, // groups of four elements
    node: u32,
    scale: f32,
    padding: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> noise: vec4<u32>;
@group(0) @binding(1) var<storage, read> params: Params;
@group(0) @binding(2) var<storage, read_write> numbers: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn gumbel_noise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i >= params.vectors {
        return;
    }
    let words = philox(vec4<u32>(i, params.node, noise.z, noise.w), noise.xy);
    let u = (vec4<f32>(words >> vec4<u32>(9u)) + 0.5) * 1.1920929e-7;
    numbers[i] -= params.scale * log_accurate4(-log_accurate4(u));
}
