// Adan: running means of g, of the difference to the gradient before (state.fourth), and of (g + (1 - beta2) difference)^2, each
// divided by 1 - beta^t; step.own.x is 1 - beta3^t.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override BETA1: f32 = 0.98;
override BETA2: f32 = 0.92;
override BETA3: f32 = 0.99;
override ONE_MINUS_BETA1: f32 = 0.02;
override ONE_MINUS_BETA2: f32 = 0.08;
override ONE_MINUS_BETA3: f32 = 0.01;
override EPSILON: f32 = 1e-8;
override EPSILON_ROOT: f32 = 1e-8;
override WEIGHT_DECAY: f32 = 0.0;

fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let difference = select(gradient - state.fourth, 0.0, step.is_first > 0.5);
    let ahead = gradient + ONE_MINUS_BETA2 * difference;
    let m = BETA1 * state.first + ONE_MINUS_BETA1 * gradient;
    let v = BETA2 * state.second + ONE_MINUS_BETA2 * difference;
    let n = BETA3 * state.third + ONE_MINUS_BETA3 * ahead * ahead;
    let mean = m / step.correction_first + ONE_MINUS_BETA2 * v / step.correction_second;
    let scale = sqrt(n / step.own.x + EPSILON_ROOT) + EPSILON;
    let direction = mean / scale + WEIGHT_DECAY * parameter;
    return Update(parameter - step.learning_rate * direction, State(m, v, n, gradient));
}
