// left[i] = a left[i] + b right[i], over one matrix of a buffer: a step of the Newton-Schulz
// iteration between its matrix products. With SCALES left is instead divided by the norm of the
// matrix, at least EPSILON.

struct Params {
    length: u32,
    offset: u32, // of left; right begins at 0
    a: f32,
    b: f32,
}

override WORKGROUP: u32 = 64u;
override SCALES: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> left: array<f32>;
// With SCALES the norms of all tensors. This tensor's norm is at u32(a), after that of its
// parameters.
@group(0) @binding(2) var<storage, read> right: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn combine(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.length {
        return;
    }
    let at = params.offset + index;
    if SCALES {
        let norm = right[2u * u32(params.a) + 1u];
        // max would hide a NaN.
        left[at] = left[at] / select(params.b, norm, !(norm < params.b));
        return;
    }
    left[at] = params.a * left[at] + params.b * right[index];
}
