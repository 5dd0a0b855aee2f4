// Multiplies a gradient by dL/d(value), one number on the device: numbers[i] = upstream[0]
// numbers[i]. 0 stays 0, so that an infinite upstream gradient does not affect masked elements. One
// thread per element.

struct Params {
    length: u32,  // elements in this chunk
    first: u32,   // index of its first element
    columns: u32, // 1
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> upstream: array<f32>;
@group(0) @binding(2) var<storage, read_write> numbers: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn multiply_by_upstream(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i >= params.length {
        return;
    }
    let x = numbers[i];
    numbers[i] = select(upstream[0] * x, x, x == 0.0);
}
