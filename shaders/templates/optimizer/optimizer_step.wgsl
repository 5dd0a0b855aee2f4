// Arguments of the optimizers' update functions.

struct State {
    first: f32,
    second: f32,
    third: f32,
    fourth: f32,
}

struct Update {
    parameter: f32,
    state: State,
}

// Values that change with each step, computed by the host in f64.
struct Step {
    learning_rate: f32,
    correction_first: f32,  // 1 - beta1^t
    correction_second: f32, // 1 - beta2^t
    is_first: f32,          // 1 in the first step, else 0
    own: vec3<f32>,         // defined by the optimizer: see its file
    is_matrix: f32,         // set by the kernel template for per-tensor optimizers
}

// Per-tensor values for a per-tensor optimizer.
struct Layer {
    parameter_norm: f32,
    direction_norm: f32,
    rows: f32,
    columns: f32, // 1 for a vector
}
