// Per-tensor optimizer kernel template, part 2 of 2: the step along the direction.
//
//     parameters[i] = apply_update(parameters[i], gradients[i], layer, step)
//
// The direction is in the gradient's buffer, and each tensor's norms are the output of
// templates/optimizer/tensor_norms_join. Linked in the same way as
// templates/optimizer/tensor_transform.

override WORKGROUP: u32 = 256u;

@group(0) @binding(2) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(3) var<storage, read> gradients: array<f32>;
@group(0) @binding(4) var<storage, read> norms: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> clip: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn tensor_apply_update(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.length || is_skipped(clip[0]) {
        return;
    }
    let number = span_of(index);
    if is_frozen(number) {
        return;
    }
    let tensor = spans[number];
    let columns = max(tensor.columns, 1u);
    if index - tensor.start >= tensor.rows * columns {
        return;
    }
    var step = params.step;
    step.learning_rate *= tensor.rate;
    // A rate too, of Adafactor; no other per-tensor rule reads it.
    step.own.y *= tensor.rate;
    step.is_matrix = select(0.0, 1.0, tensor.columns > 0u);
    let layer = Layer(norms[number].x, norms[number].y, f32(tensor.rows), f32(columns));
    let moved = apply_update(parameters[index], gradients[index], layer, step);
    parameters[index] = shrunk(number, moved, step.learning_rate);
}
