// Gradient through a softmax, in place: dL/dx = y (g - sum of g y), g = dL/dy. One thread per row.

struct Params {
    rows: u32,
    columns: u32,
}

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> outputs: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradients: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn softmax_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let row = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if row >= params.rows {
        return;
    }
    let first = row * params.columns;
    let end = first + params.columns;
    var dot_product = 0.0;
    for (var i = first; i < end; i += 1u) {
        dot_product += gradients[i] * outputs[i];
    }
    for (var i = first; i < end; i += 1u) {
        gradients[i] = outputs[i] * (gradients[i] - dot_product);
    }
}
