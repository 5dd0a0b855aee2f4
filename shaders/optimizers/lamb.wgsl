// LAMB: Adam's direction m / (sqrt v + EPSILON) + WEIGHT_DECAY w; each tensor moves by learning_rate times its own norm along it.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override BETA1: f32 = 0.9;
override BETA2: f32 = 0.999;
override ONE_MINUS_BETA1: f32 = 0.1;
override ONE_MINUS_BETA2: f32 = 0.001;
override EPSILON: f32 = 1e-6;
override EPSILON_ROOT: f32 = 0.0;
override WEIGHT_DECAY: f32 = 0.0;

fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let m = BETA1 * state.first + ONE_MINUS_BETA1 * gradient;
    let v = BETA2 * state.second + ONE_MINUS_BETA2 * gradient * gradient;
    let scale = sqrt(v / step.correction_second + EPSILON_ROOT) + EPSILON;
    let direction = m / step.correction_first / scale + WEIGHT_DECAY * parameter;
    return Update(direction, State(m, v, 0.0, 0.0));
}

fn settle(parameter: f32, direction: f32, layer: Layer, step: Step) -> f32 {
    var ratio = 1.0;
    if layer.parameter_norm != 0.0 && layer.direction_norm != 0.0 {
        ratio = layer.parameter_norm / layer.direction_norm;
    }
    return parameter - step.learning_rate * ratio * direction;
}
