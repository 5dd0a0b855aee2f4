// Adafactor. For a matrix the kernel template passes the running means of g^2 over the row and over
// the column, and the mean of the row means: v = row column / mean. For a vector v itself is
// stored. step.own is the weight of the new squares, and min(lr, 1/sqrt t).
override ADAFACTOR_EPSILON1: f32 = 2.220446049250313e-16;
override ADAFACTOR_EPSILON2: f32 = 1e-3;
override ADAFACTOR_LARGEST: f32 = 1.0;
override ADAFACTOR_WEIGHT_DECAY: f32 = 0.0;

fn adafactor_update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let of_matrix = state.first * state.second / max(state.third, ADAFACTOR_EPSILON1);
    let of_vector = state.first + step.own.x * (gradient * gradient - state.first);
    let v = select(of_vector, of_matrix, step.is_matrix > 0.5);
    return Update(gradient / sqrt(max(v, ADAFACTOR_EPSILON1 * ADAFACTOR_EPSILON1)), State(v, 0.0, 0.0, 0.0));
}

fn adafactor_apply_update(parameter: f32, direction: f32, layer: Layer, step: Step) -> f32 {
    let size = sqrt(layer.rows * layer.columns);
    let alpha = max(layer.parameter_norm / size, ADAFACTOR_EPSILON2) * step.own.y;
    let held = max(layer.direction_norm / (size * ADAFACTOR_LARGEST), 1.0);
    return parameter * (1.0 - step.learning_rate * ADAFACTOR_WEIGHT_DECAY) - alpha / held * direction;
}
