// AdaBelief: s is the running mean of (g - m)^2, the surprise; w <- w - learning_rate m / (sqrt s + EPSILON), both divided
// by 1 - beta^t. With NESTEROV m looks one step ahead; step.own.x is 1 - beta1^(t+1).
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override BETA1: f32 = 0.9;
override BETA2: f32 = 0.999;
override ONE_MINUS_BETA1: f32 = 0.1;
override ONE_MINUS_BETA2: f32 = 0.001;
override EPSILON: f32 = 1e-16;
override EPSILON_ROOT: f32 = 1e-16;
override NESTEROV: bool = false;

fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let m = BETA1 * state.first + ONE_MINUS_BETA1 * gradient;
    let surprise = gradient - m;
    let s = BETA2 * state.second + ONE_MINUS_BETA2 * surprise * surprise + EPSILON_ROOT;
    let ahead = BETA1 * m / step.own.x + ONE_MINUS_BETA1 * gradient / step.correction_first;
    let mean = select(m / step.correction_first, ahead, NESTEROV);
    let scale = sqrt(s / step.correction_second) + EPSILON;
    return Update(parameter - step.learning_rate * mean / scale, State(m, s, 0.0, 0.0));
}
