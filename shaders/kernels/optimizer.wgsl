// The optimizer frame: one step of a whole model, all its parameters in one flat buffer.
//
//     (parameters[i], state[i]) = update(parameters[i], gradients[i] + dR/dw(parameters[i]), state[i], step)
//     R(w) = l1 |w| + l2 w^2, with l1 and l2 of the segment that i lies in (no 1/2 before l2, as Keras)
//
// Filled by shaders/optimizers/*.wgsl: `fn update(parameter, gradient, state, step) -> Update`. Linked with nothing.
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

// Consecutive parameters with the same regularisation, a layer's weights for one; they end before `end`.
struct Segment {
    end: u32,
    l1: f32,
    l2: f32,
    reserved: u32,
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

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> gradients: array<f32>;
@group(0) @binding(3) var<storage, read_write> first_states: array<f32>;
@group(0) @binding(4) var<storage, read_write> second_states: array<f32>;
@group(0) @binding(5) var<storage, read> segments: array<Segment>;

// dR/dw of one parameter: the first segment that ends behind the index is its own.
fn regularization(index: u32, parameter: f32) -> f32 {
    if params.segments == 0u {
        return 0.0;
    }
    var low = 0u;
    var high = params.segments - 1u;
    while low < high {
        let middle = (low + high) / 2u;
        if segments[middle].end <= index {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return segments[low].l1 * sign(parameter) + 2.0 * segments[low].l2 * parameter;
}

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
    let gradient = gradients[index] + regularization(index, parameter);
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
