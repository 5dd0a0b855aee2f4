// Gradient through the last layer's activation, in place: dL/dx = dL/dy * derivative(x, y). The
// other layers compute theirs in the epilogue of a matrix product. Linked with an activation and
// lib/numbers.

struct Params {
    length: u32,
}

override WORKGROUP: u32 = 64u;
// True if the derivative reads the activation's input; otherwise `kept` is not read.
override KEEP_INPUT: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> kept: array<f32>;
@group(0) @binding(2) var<storage, read> outputs: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradients: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn activation_backward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let i = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if i >= params.length {
        return;
    }
    var x = 0.0;
    if KEEP_INPUT {
        x = kept[i];
    }
    gradients[i] *= derivative(x, outputs[i]);
}
