// Adamax: m is the running mean of g, u the running maximum of |g| + EPSILON, decayed by BETA2; w
// <- w - learning_rate m / u.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override ADAMAX_BETA1: f32 = 0.9;
override ADAMAX_BETA2: f32 = 0.999;
override ADAMAX_ONE_MINUS_BETA1: f32 = 0.1;
override ADAMAX_EPSILON: f32 = 1e-8;
override ADAMAX_WEIGHT_DECAY: f32 = 0.0;

fn adamax_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let g = gradient + ADAMAX_WEIGHT_DECAY * parameter;
    let m = ADAMAX_BETA1 * state.first + ADAMAX_ONE_MINUS_BETA1 * g;
    // max may drop a NaN here, but m carries it.
    let u = max(ADAMAX_BETA2 * state.second, abs(g) + ADAMAX_EPSILON);
    let rate = step.learning_rate / step.correction_first;
    return Update(parameter - rate * m / u, State(m, u, 0.0, 0.0));
}
