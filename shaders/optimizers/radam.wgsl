// RAdam: w <- w - learning_rate m, and m / sqrt v once v has seen enough: step.own is the factor for it, and 1 from then on.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override BETA1: f32 = 0.9;
override BETA2: f32 = 0.999;
override ONE_MINUS_BETA1: f32 = 0.1;
override ONE_MINUS_BETA2: f32 = 0.001;
override EPSILON: f32 = 1e-8;
override WEIGHT_DECAY: f32 = 0.0;
override DECOUPLED: bool = false;

fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let kept = select(parameter, parameter * (1.0 - step.learning_rate * WEIGHT_DECAY), DECOUPLED);
    let g = select(gradient + WEIGHT_DECAY * parameter, gradient, DECOUPLED);
    let m = BETA1 * state.first + ONE_MINUS_BETA1 * g;
    let v = BETA2 * state.second + ONE_MINUS_BETA2 * g * g;
    let scale = select(1.0, step.own.x / (sqrt(v) + EPSILON), step.own.y > 0.5);
    let rate = step.learning_rate / step.correction_first;
    return Update(kept - rate * m * scale, State(m, v, 0.0, 0.0));
}
