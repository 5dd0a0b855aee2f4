// Lion: the sign of a mean of momentum and gradient, then the momentum itself. sign of NaN is not defined: it is handed on.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override BETA1: f32 = 0.9;
override BETA2: f32 = 0.99;
override ONE_MINUS_BETA1: f32 = 0.1;
override ONE_MINUS_BETA2: f32 = 0.01;
override WEIGHT_DECAY: f32 = 1e-3;

fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let mixed = ONE_MINUS_BETA1 * gradient + BETA1 * state.first;
    let m = ONE_MINUS_BETA2 * gradient + BETA2 * state.first;
    let direction = select(sign(mixed), mixed, is_nan(mixed)) + WEIGHT_DECAY * parameter;
    return Update(parameter - step.learning_rate * direction, State(m, 0.0, 0.0, 0.0));
}
