// AdamW: Adam with decoupled weight decay: w <- w (1 - learning_rate WEIGHT_DECAY) first. With
// AMSGRAD the largest v so far replaces v.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override ADAMW_BETA1: f32 = 0.9;
override ADAMW_BETA2: f32 = 0.999;
override ADAMW_ONE_MINUS_BETA1: f32 = 0.1;
override ADAMW_ONE_MINUS_BETA2: f32 = 0.001;
override ADAMW_EPSILON: f32 = 1e-8;
override ADAMW_WEIGHT_DECAY: f32 = 0.01;
override ADAMW_AMSGRAD: bool = false;

fn adamw_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let kept = parameter * (1.0 - step.learning_rate * ADAMW_WEIGHT_DECAY);
    let m = ADAMW_BETA1 * state.first + ADAMW_ONE_MINUS_BETA1 * gradient;
    let v = ADAMW_BETA2 * state.second + ADAMW_ONE_MINUS_BETA2 * gradient * gradient;
    // max may drop a NaN here, but m carries it.
    let largest = max(state.third, v);
    let scale = sqrt(select(v, largest, ADAMW_AMSGRAD) / step.correction_second) + ADAMW_EPSILON;
    let rate = step.learning_rate / step.correction_first;
    return Update(kept - rate * m / scale, State(m, v, largest, 0.0));
}
