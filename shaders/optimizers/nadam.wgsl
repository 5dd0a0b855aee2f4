// NAdam: Adam whose direction is a mean of g and m, with the weights in step.own: (1 - mu_t) / (1 - product of all mu) and
// mu_(t+1) / (1 - that product mu_(t+1)).
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
    let scale = sqrt(v / step.correction_second) + EPSILON;
    let direction = (step.own.x * g + step.own.y * m) / scale;
    return Update(kept - step.learning_rate * direction, State(m, v, 0.0, 0.0));
}
