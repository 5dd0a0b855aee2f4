// Lion: steps by the sign of a mean of momentum and gradient, then updates the momentum. sign of
// NaN is undefined, so NaN is propagated.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override LION_BETA1: f32 = 0.9;
override LION_BETA2: f32 = 0.99;
override LION_ONE_MINUS_BETA1: f32 = 0.1;
override LION_ONE_MINUS_BETA2: f32 = 0.01;
override LION_WEIGHT_DECAY: f32 = 1e-3;

fn lion_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let mixed = LION_ONE_MINUS_BETA1 * gradient + LION_BETA1 * state.first;
    let m = LION_ONE_MINUS_BETA2 * gradient + LION_BETA2 * state.first;
    let direction = select(sign(mixed), mixed, is_nan(mixed)) + LION_WEIGHT_DECAY * parameter;
    return Update(parameter - step.learning_rate * direction, State(m, 0.0, 0.0, 0.0));
}
