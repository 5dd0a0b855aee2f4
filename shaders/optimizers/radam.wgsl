// RAdam: w <- w - learning_rate m, and m / sqrt v once the variance of v is tractable: step.own is
// the rectification factor, and 1 from then on.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override RADAM_BETA1: f32 = 0.9;
override RADAM_BETA2: f32 = 0.999;
override RADAM_ONE_MINUS_BETA1: f32 = 0.1;
override RADAM_ONE_MINUS_BETA2: f32 = 0.001;
override RADAM_EPSILON: f32 = 1e-8;
override RADAM_WEIGHT_DECAY: f32 = 0.0;
override RADAM_DECOUPLED: bool = false;

fn radam_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let kept = select(parameter, parameter * (1.0 - step.learning_rate * RADAM_WEIGHT_DECAY), RADAM_DECOUPLED);
    let g = select(gradient + RADAM_WEIGHT_DECAY * parameter, gradient, RADAM_DECOUPLED);
    let m = RADAM_BETA1 * state.first + RADAM_ONE_MINUS_BETA1 * g;
    let v = RADAM_BETA2 * state.second + RADAM_ONE_MINUS_BETA2 * g * g;
    let scale = select(1.0, step.own.x / (sqrt(v) + RADAM_EPSILON), step.own.y > 0.5);
    let rate = step.learning_rate / step.correction_first;
    return Update(kept - rate * m * scale, State(m, v, 0.0, 0.0));
}
