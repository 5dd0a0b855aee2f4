// Muon: for a matrix the momentum, which the kernel template orthogonalizes; for a vector Adam's
// direction.
// 1 - beta comes from the host in full precision: 1 - 0.999 taken in f32 is off by 5e-5.
override MUON_MOMENTUM: f32 = 0.95;
override MUON_ONE_MINUS_MOMENTUM: f32 = 0.05;
override MUON_NESTEROV: bool = true;
override MUON_EPSILON: f32 = 1e-7;
override MUON_WEIGHT_DECAY: f32 = 0.1;
override MUON_BETA1: f32 = 0.9;
override MUON_BETA2: f32 = 0.999;
override MUON_ONE_MINUS_BETA1: f32 = 0.1;
override MUON_ONE_MINUS_BETA2: f32 = 0.001;

fn muon_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let is_matrix = step.is_matrix > 0.5;
    let kept = select(MUON_BETA1, MUON_MOMENTUM, is_matrix);
    let taken = select(MUON_ONE_MINUS_BETA1, MUON_ONE_MINUS_MOMENTUM, is_matrix);
    let m = kept * state.first + taken * gradient;
    if is_matrix {
        return Update(select(m, taken * gradient + kept * m, MUON_NESTEROV), State(m, 0.0, 0.0, 0.0));
    }
    let v = MUON_BETA2 * state.second + MUON_ONE_MINUS_BETA2 * gradient * gradient;
    let scale = sqrt(v / step.correction_second) + MUON_EPSILON;
    return Update(m / step.correction_first / scale, State(m, v, 0.0, 0.0));
}

fn muon_apply_update(parameter: f32, direction: f32, layer: Layer, step: Step) -> f32 {
    if step.is_matrix < 0.5 {
        return parameter - step.learning_rate * direction;
    }
    let wide = sqrt(max(layer.columns / layer.rows, 1.0));
    return parameter * (1.0 - step.learning_rate * MUON_WEIGHT_DECAY) - step.learning_rate * wide * direction;
}
