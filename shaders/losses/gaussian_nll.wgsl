// Gaussian negative log-likelihood of a truth y under mean x and variance, with e = x - y,
// v = max(variance, EPSILON): (ln v + e^2/v)/2, plus ln(2 pi)/2 with FULL.
// Derivatives e/v and (1/v - e^2/v^2)/2, the latter not zeroed below EPSILON. All three times
// v^BETA, which is held constant.
override GAUSSIAN_NLL_FULL: bool = false;
override GAUSSIAN_NLL_EPSILON: f32 = 1e-6;
override GAUSSIAN_NLL_BETA: f32 = 0.0;

fn gaussian_nll_loss(first: f32, second: f32, truth: f32) -> TwoInputTerms {
    let error = first - truth;
    let variance = max(second, GAUSSIAN_NLL_EPSILON);
    let gradient = error / variance;
    let value = 0.5 * (ln_positive(variance) + error * gradient);
    // Subtracted before dividing, which keeps the digits where they are near each other; divided
    // first where the square overflows f32.
    let square = error * error;
    let share = select((variance - square) / variance, 1.0 - error * gradient, square > 3.4028234e38);
    var weight = 1.0;
    if GAUSSIAN_NLL_BETA > 0.0 {
        weight = power(variance, GAUSSIAN_NLL_BETA);
    }
    let whole = value + select(0.0, 0.9189385, GAUSSIAN_NLL_FULL);
    return TwoInputTerms(weight * whole, weight * gradient, weight * (0.5 * share / variance));
}
