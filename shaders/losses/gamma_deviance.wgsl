// Gamma deviance, x the logarithm of the mean: x + y e^-x, derivative 1 - y e^-x.
fn gamma_deviance_loss(prediction: f32, truth: f32) -> Loss {
    // Above -inf, to avoid infinity minus infinity.
    let x = max(prediction, LOWEST);
    let ratio = truth * exp_any(-x);
    return Loss(x + ratio, 1.0 - ratio);
}

// y e^-x.
fn gamma_deviance_hessian_diagonal(prediction: f32, truth: f32, column_weight: f32) -> f32 {
    return truth * exp_any(-max(prediction, LOWEST));
}
