// Epsilon-insensitive: [|e| - EPSILON]+, derivative sign e beyond the band, 0 within it and at its
// edge.
override EPSILON_INSENSITIVE_EPSILON: f32 = 0.1;

fn epsilon_insensitive_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let excess = abs(error) - EPSILON_INSENSITIVE_EPSILON;
    return Loss(max(excess, 0.0), select(0.0, sign(error), excess > 0.0));
}
