// NAdam: Adam whose direction is a mean of g and m, with the weights in step.own:
// (1 - mu_t) / (1 - product of all mu) and mu_(t+1) / (1 - that product mu_(t+1)).
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override NADAM_BETA1: f32 = 0.9;
override NADAM_BETA2: f32 = 0.999;
override NADAM_ONE_MINUS_BETA1: f32 = 0.1;
override NADAM_ONE_MINUS_BETA2: f32 = 0.001;
override NADAM_EPSILON: f32 = 1e-8;
override NADAM_WEIGHT_DECAY: f32 = 0.0;
override NADAM_DECOUPLED: bool = false;

fn nadam_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let kept = select(parameter, parameter * (1.0 - step.learning_rate * NADAM_WEIGHT_DECAY), NADAM_DECOUPLED);
    let g = select(gradient + NADAM_WEIGHT_DECAY * parameter, gradient, NADAM_DECOUPLED);
    let m = NADAM_BETA1 * state.first + NADAM_ONE_MINUS_BETA1 * g;
    let v = NADAM_BETA2 * state.second + NADAM_ONE_MINUS_BETA2 * g * g;
    let scale = sqrt(v / step.correction_second) + NADAM_EPSILON;
    let direction = (step.own.x * g + step.own.y * m) / scale;
    return Update(kept - step.learning_rate * direction, State(m, v, 0.0, 0.0));
}
