// The optimizer frame: one step of a whole model, all its parameters in one flat buffer.
//
//     (parameters[i], state[i]) = update(parameters[i], clip (gradients[i] + dR/dw(parameters[i])), state[i], step)
//
// Filled by shaders/optimizers/*.wgsl: `fn update(parameter, gradient, state, step) -> Update`. Linked with
// kernels/penalty for R. `clip` is what kernels/clip_factor left, 1 without clipping.
//
// Each lane owns one element, neighbours read neighbours; dispatches over 65,535 workgroups fold into y. A state buffer
// that the optimizer has not (STATES) is neither read nor written: bind one element there, a buffer of its own each, since
// WebGPU forbids two writable bindings of one buffer.

struct State {
    first: f32,
    second: f32,
}

struct Update {
    parameter: f32,
    state: State,
}

// What changes from step to step, computed by the host in f64.
struct Step {
    learning_rate: f32,
    correction_first: f32,  // 1 - beta1^t
    correction_second: f32, // 1 - beta2^t
    is_first: f32,          // 1 in the first step, else 0
}

struct Params {
    length: u32,   // parameters in the buffer
    segments: u32, // segments that cover them; 0 without regularisation
    reserved_a: u32,
    reserved_b: u32,
    step: Step,
}

const WORKGROUP: u32 = 256u;
override STATES: u32 = 2u;
// Whether the gradient is clipped; where it is not, `clip` is not read.
override CLIPS: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(3) var<storage, read> gradients: array<f32>;
@group(0) @binding(4) var<storage, read_write> first_states: array<f32>;
@group(0) @binding(5) var<storage, read_write> second_states: array<f32>;
@group(0) @binding(6) var<storage, read> clip: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn optimizer(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (workgroup.y * count.x + workgroup.x) * WORKGROUP + lane;
    if index >= params.length {
        return;
    }
    let parameter = parameters[index];
    var gradient = gradients[index] + regularization(index, parameter);
    if CLIPS {
        gradient *= clip[0];
    }
    var state = State(0.0, 0.0);
    if STATES > 0u {
        state.first = first_states[index];
    }
    if STATES > 1u {
        state.second = second_states[index];
    }
    let result = update(parameter, gradient, state, params.step);
    parameters[index] = result.parameter;
    if STATES > 0u {
        first_states[index] = result.state.first;
    }
    if STATES > 1u {
        second_states[index] = result.state.second;
    }
}
