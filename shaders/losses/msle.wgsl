// Squared logarithmic error: d^2, d = ln(1 + x) - ln(1 + y), derivative 2d / (1 + x); x and y at
// least 1e-7, derivative 0 at and below it. d = ln(1 + (x - y)/(1 + y)), with the smaller one
// below, so that the argument is never near -1.
fn msle_loss(prediction: f32, truth: f32) -> Loss {
    let x = max(prediction, 1e-7);
    let y = max(truth, 1e-7);
    let distance = sign(x - y) * ln_1p(abs(x - y) / (1.0 + min(x, y)));
    return Loss(distance * distance, select(0.0, 2.0 * distance / (1.0 + x), prediction > 1e-7));
}
