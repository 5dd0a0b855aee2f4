// Gradient transform for per-tensor optimizers, in place:
//
//     gradients[i] = clip (gradients[i] + dR/dw(parameters[i]))
//
// Linked with templates/optimizer/optimizer_step, templates/optimizer/optimizer_params,
// templates/optimizer/penalty, templates/optimizer/gradient_transform and lib/numbers.

override WORKGROUP: u32 = 256u;

@group(0) @binding(2) var<storage, read> parameters: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(4) var<storage, read> clip: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn tensor_transform(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.length {
        return;
    }
    // A frozen tensor may be that of a second pass, which transforms it then.
    let span = span_of(index);
    if !is_frozen(span) {
        gradients[index] = transformed(span, parameters[index], gradients[index], params.limit);
    }
}
