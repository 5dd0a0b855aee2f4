// The activation on its own, value and derivative of each element: what the checks run. A layer has it in the epilogue
// of its product.
//
//     outputs[i] = activate(inputs[i])
//     slopes[i]  = derivative(inputs[i], outputs[i])
//
// Filled by shaders/activations/*.wgsl. Linked with helpers/numbers.

struct Params {
    length: u32,
    reserved_a: u32,
    reserved_b: u32,
    reserved_c: u32,
}

const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> inputs: array<f32>;
@group(0) @binding(2) var<storage, read_write> outputs: array<f32>;
@group(0) @binding(3) var<storage, read_write> slopes: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn activation(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + lane;
    if index >= params.length {
        return;
    }
    let x = inputs[index];
    let y = activate(x);
    outputs[index] = y;
    slopes[index] = derivative(x, y);
}
