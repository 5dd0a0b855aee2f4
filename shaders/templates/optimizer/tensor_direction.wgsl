// Per-tensor optimizer kernel template, part 1 of 2: the direction of each element, which
// overwrites the gradient.
//
//     (gradients[i], state[i]) = update(parameters[i], gradients[i], state[i], step)
//
// Requires `update` from shaders/optimizers/*.wgsl, through an adaptor. Part 2 is
// templates/optimizer/tensor_apply_update. With FACTORED the state of a matrix is maintained by
// templates/optimizer/tensor_means and is not written here. Linked in the same way as
// templates/optimizer/tensor_transform.

override WORKGROUP: u32 = 256u;
override STATES: u32 = 2u;
override FACTORED: bool = false;

@group(0) @binding(2) var<storage, read> parameters: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(4) var<storage, read_write> first_states: array<f32>;
@group(0) @binding(5) var<storage, read_write> second_states: array<f32>;
@group(0) @binding(6) var<storage, read_write> third_states: array<f32>;
@group(0) @binding(7) var<storage, read> clip: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn tensor_direction(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.length || is_skipped(clip[0]) {
        return;
    }
    let tensor = spans[span_of(index)];
    let place = index - tensor.start;
    if tensor.rate == 0.0 || place >= tensor.rows * max(tensor.columns, 1u) {
        return;
    }
    var step = params.step;
    step.learning_rate *= tensor.rate;
    step.own.y *= tensor.rate;
    step.is_matrix = select(0.0, 1.0, tensor.columns > 0u);
    if FACTORED && tensor.columns > 0u {
        let of_row = first_states[tensor.start + place / tensor.columns];
        let of_column = second_states[tensor.start + place % tensor.columns];
        let state = State(of_row, of_column, third_states[tensor.start], 0.0);
        gradients[index] = update(parameters[index], gradients[index], state, step).parameter;
        return;
    }
    var state = State(first_states[index], 0.0, 0.0, 0.0);
    if STATES > 1u {
        state.second = second_states[index];
    }
    let result = update(parameters[index], gradients[index], state, step);
    gradients[index] = result.parameter;
    first_states[index] = result.state.first;
    if STATES > 1u {
        second_states[index] = result.state.second;
    }
}
