// Squared epsilon-insensitive: [|e| - EPSILON]+^2, derivative 2 [|e| - EPSILON]+ sign e.
override EPSILON: f32 = 0.1;

fn loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let excess = max(abs(error) - EPSILON, 0.0);
    return Loss(excess * excess, 2.0 * excess * sign(error));
}
