// Adan: running means of g, of the difference to the previous gradient (state.fourth), and of
// (g + (1 - beta2) difference)^2, each divided by 1 - beta^t; step.own.x is 1 - beta3^t.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override ADAN_BETA1: f32 = 0.98;
override ADAN_BETA2: f32 = 0.92;
override ADAN_BETA3: f32 = 0.99;
override ADAN_ONE_MINUS_BETA1: f32 = 0.02;
override ADAN_ONE_MINUS_BETA2: f32 = 0.08;
override ADAN_ONE_MINUS_BETA3: f32 = 0.01;
override ADAN_EPSILON: f32 = 1e-8;
override ADAN_EPSILON_ROOT: f32 = 1e-8;
override ADAN_WEIGHT_DECAY: f32 = 0.0;

fn adan_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let difference = select(gradient - state.fourth, 0.0, step.is_first > 0.5);
    let ahead = gradient + ADAN_ONE_MINUS_BETA2 * difference;
    let m = ADAN_BETA1 * state.first + ADAN_ONE_MINUS_BETA1 * gradient;
    let v = ADAN_BETA2 * state.second + ADAN_ONE_MINUS_BETA2 * difference;
    let n = ADAN_BETA3 * state.third + ADAN_ONE_MINUS_BETA3 * ahead * ahead;
    let mean = m / step.correction_first + ADAN_ONE_MINUS_BETA2 * v / step.correction_second;
    let scale = sqrt(n / step.own.x + ADAN_EPSILON_ROOT) + ADAN_EPSILON;
    let direction = mean / scale + ADAN_WEIGHT_DECAY * parameter;
    return Update(parameter - step.learning_rate * direction, State(m, v, n, gradient));
}
