// Gaussian negative log-likelihood of a truth y under mean x and variance, e = x - y, v = max(variance, EPSILON):
// (ln v + e^2/v)/2, with FULL ln(2 pi)/2 besides; derivatives e/v and (1/v - e^2/v^2)/2, which flows below EPSILON too.
override FULL: bool = false;
override EPSILON: f32 = 1e-6;

fn pair(first: f32, second: f32, truth: f32) -> Pair {
    let error = first - truth;
    let variance = max(second, EPSILON);
    let slope = error / variance;
    let value = 0.5 * (log_full(variance) + error * slope);
    return Pair(value + select(0.0, 0.9189385, FULL), slope, 0.5 * (variance - error * error) / variance / variance);
}
