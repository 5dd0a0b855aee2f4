// LAMB: Adam's direction m / (sqrt v + EPSILON) + WEIGHT_DECAY w; each tensor's step is
// learning_rate times its own norm along the normalized direction.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override LAMB_BETA1: f32 = 0.9;
override LAMB_BETA2: f32 = 0.999;
override LAMB_ONE_MINUS_BETA1: f32 = 0.1;
override LAMB_ONE_MINUS_BETA2: f32 = 0.001;
override LAMB_EPSILON: f32 = 1e-6;
override LAMB_EPSILON_ROOT: f32 = 0.0;
override LAMB_WEIGHT_DECAY: f32 = 0.0;

fn lamb_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let m = LAMB_BETA1 * state.first + LAMB_ONE_MINUS_BETA1 * gradient;
    let v = LAMB_BETA2 * state.second + LAMB_ONE_MINUS_BETA2 * gradient * gradient;
    let scale = sqrt(v / step.correction_second + LAMB_EPSILON_ROOT) + LAMB_EPSILON;
    let direction = m / step.correction_first / scale + LAMB_WEIGHT_DECAY * parameter;
    return Update(direction, State(m, v, 0.0, 0.0));
}

fn lamb_apply_update(parameter: f32, direction: f32, layer: Layer, step: Step) -> f32 {
    var ratio = 1.0;
    if layer.parameter_norm != 0.0 && layer.direction_norm != 0.0 {
        ratio = layer.parameter_norm / layer.direction_norm;
    }
    return parameter - step.learning_rate * ratio * direction;
}
