// Optimizer kernel template: one step of a whole model, with all parameters in one flat buffer.
//
//     g = clip (gradients[i] + dR/dw(parameters[i]))
//     (parameters[i], state[i]) = update(parameters[i], g, state[i], step)
//
// Requires from shaders/optimizers/*.wgsl, through an adaptor: `fn update(parameter, gradient,
// state, step) -> Update`. Linked with templates/optimizer/optimizer_step,
// templates/optimizer/optimizer_params, templates/optimizer/gradient_transform, and
// templates/optimizer/penalty for R.
//
// Each thread processes one element, and adjacent threads read adjacent memory. Dispatches of more
// than 65,535 workgroups extend into y. State buffers beyond STATES are neither read nor written.
// Bind a separate dummy range of one element to each, because WebGPU forbids two writable bindings
// of one range.

const WORKGROUP: u32 = 256u;
override STATES: u32 = 2u;

@group(0) @binding(2) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(3) var<storage, read> gradients: array<f32>;
@group(0) @binding(4) var<storage, read_write> first_states: array<f32>;
@group(0) @binding(5) var<storage, read_write> second_states: array<f32>;
@group(0) @binding(6) var<storage, read_write> third_states: array<f32>;
@group(0) @binding(7) var<storage, read_write> fourth_states: array<f32>;
@group(0) @binding(8) var<storage, read> clip: array<f32>;

fn state_at(index: u32) -> State {
    var state = State(0.0, 0.0, 0.0, 0.0);
    if STATES > 0u {
        state.first = first_states[index];
    }
    if STATES > 1u {
        state.second = second_states[index];
    }
    if STATES > 2u {
        state.third = third_states[index];
    }
    if STATES > 3u {
        state.fourth = fourth_states[index];
    }
    return state;
}

fn keep(index: u32, state: State) {
    if STATES > 0u {
        first_states[index] = state.first;
    }
    if STATES > 1u {
        second_states[index] = state.second;
    }
    if STATES > 2u {
        third_states[index] = state.third;
    }
    if STATES > 3u {
        fourth_states[index] = state.fourth;
    }
}

@compute @workgroup_size(WORKGROUP)
fn optimizer(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local_index: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + local_index;
    if index >= params.length || is_skipped(clip[0]) {
        return;
    }
    let span = span_of(index);
    if is_frozen(span) {
        return;
    }
    var step = params.step;
    if params.spans > 0u {
        step.learning_rate *= spans[span].rate;
    }
    let parameter = parameters[index];
    let gradient = transformed(span, parameter, gradients[index], params.limit);
    let result = update(parameter, gradient, state_at(index), step);
    var moved = result.parameter;
    if params.spans > 0u {
        moved = shrunk(span, moved, step.learning_rate);
    }
    parameters[index] = moved;
    keep(index, result.state);
}
