// Converts integers to floats for the listwise kernels: floats[i] = f32(integers[i]), exact up to
// 2^24. One thread per element.

struct Params {
    length: u32,  // elements in this chunk
    first: u32,   // index of its first element
    columns: u32, // 1
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> integers: array<i32>;
@group(0) @binding(2) var<storage, read_write> floats: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn integers_to_floats(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i < params.length {
        floats[i] = f32(integers[i]);
    }
}
