// Squared error: e^2, derivative 2e.
fn mse_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    return Loss(error * error, 2.0 * error);
}

fn mse_hessian_diagonal(prediction: f32, truth: f32, column_weight: f32) -> f32 {
    return 2.0;
}
