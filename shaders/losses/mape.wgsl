// Absolute percentage error: 100 |e| / max(|y|, 1e-7), derivative 100 sign e / max(|y|, 1e-7).
fn mape_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let percent = 100.0 / max(abs(truth), 1e-7);
    return Loss(percent * abs(error), percent * sign(error));
}
