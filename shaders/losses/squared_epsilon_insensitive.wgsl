// Squared epsilon-insensitive: [|e| - EPSILON]+^2, derivative 2 [|e| - EPSILON]+ sign e.
override SQUARED_EPSILON_INSENSITIVE_EPSILON: f32 = 0.1;

fn squared_epsilon_insensitive_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let excess = max(abs(error) - SQUARED_EPSILON_INSENSITIVE_EPSILON, 0.0);
    return Loss(excess * excess, 2.0 * excess * sign(error));
}
