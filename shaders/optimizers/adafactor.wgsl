// Adafactor. Of a matrix the frame hands in the running means of g^2 over the row and over the column, and the mean of the rows':
// v = row column / mean. Of a vector v is kept itself. step.own is the weight of the new squares, and min(lr, 1/sqrt t).
override EPSILON1: f32 = 2.220446049250313e-16;
override EPSILON2: f32 = 1e-3;
override LARGEST: f32 = 1.0;
override WEIGHT_DECAY: f32 = 0.0;

fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update {
    let of_matrix = state.first * state.second / max(state.third, EPSILON1);
    let of_vector = state.first + step.own.x * (gradient * gradient - state.first);
    let v = select(of_vector, of_matrix, step.is_matrix > 0.5);
    return Update(gradient / sqrt(max(v, EPSILON1 * EPSILON1)), State(v, 0.0, 0.0, 0.0));
}

fn settle(parameter: f32, direction: f32, layer: Layer, step: Step) -> f32 {
    let size = sqrt(layer.rows * layer.columns);
    let alpha = max(layer.parameter_norm / size, EPSILON2) * step.own.y;
    let held = max(layer.direction_norm / (size * LARGEST), 1.0);
    return parameter * (1.0 - step.learning_rate * WEIGHT_DECAY) - alpha / held * direction;
}
