// Absolute error: |e|, derivative sign e, 0 at 0.
fn mae_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    return Loss(abs(error), sign(error));
}
