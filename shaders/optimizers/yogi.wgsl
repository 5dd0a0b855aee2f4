// Yogi: Adam whose v moves towards g^2 by (1 - beta2) g^2, independent of the distance.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override YOGI_BETA1: f32 = 0.9;
override YOGI_ONE_MINUS_BETA1: f32 = 0.1;
override YOGI_ONE_MINUS_BETA2: f32 = 0.001;
override YOGI_EPSILON: f32 = 1e-3;

fn yogi_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let square = gradient * gradient;
    let m = YOGI_BETA1 * state.first + YOGI_ONE_MINUS_BETA1 * gradient;
    let v = state.second - YOGI_ONE_MINUS_BETA2 * sign(state.second - square) * square;
    let scale = sqrt(v / step.correction_second) + YOGI_EPSILON;
    let rate = step.learning_rate / step.correction_first;
    return Update(parameter - rate * m / scale, State(m, v, 0.0, 0.0));
}
