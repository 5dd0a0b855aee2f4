// Adam: m and v are running means of g and g^2, divided by 1 - beta^t;
// w <- w - learning_rate m / (sqrt v + EPSILON).
// WEIGHT_DECAY is added to the gradient (L2); adamw decays the parameter instead.
// With AMSGRAD the largest v so far replaces v.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override ADAM_BETA1: f32 = 0.9;
override ADAM_BETA2: f32 = 0.999;
override ADAM_ONE_MINUS_BETA1: f32 = 0.1;
override ADAM_ONE_MINUS_BETA2: f32 = 0.001;
override ADAM_EPSILON: f32 = 1e-8;
override ADAM_WEIGHT_DECAY: f32 = 0.0;
override ADAM_AMSGRAD: bool = false;

fn adam_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let g = gradient + ADAM_WEIGHT_DECAY * parameter;
    let m = ADAM_BETA1 * state.first + ADAM_ONE_MINUS_BETA1 * g;
    let v = ADAM_BETA2 * state.second + ADAM_ONE_MINUS_BETA2 * g * g;
    // max may drop a NaN here, but m carries it.
    let largest = max(state.third, v);
    let scale = sqrt(select(v, largest, ADAM_AMSGRAD) / step.correction_second) + ADAM_EPSILON;
    let rate = step.learning_rate / step.correction_first;
    return Update(parameter - rate * m / scale, State(m, v, largest, 0.0));
}
