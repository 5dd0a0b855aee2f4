// Binary cross-entropy of a probability x: -y max(ln x, -100) - (1 - y) max(ln(1 - x), -100), derivative
// (x - y) / max(x(1 - x), 1e-12). NaN for an x that is no probability.
fn loss(prediction: f32, truth: f32) -> Loss {
    let rest = 1.0 - prediction;
    let log_x = max(log_full(prediction), -100.0);
    // 1 - x has lost digits of a small x, and is exact from 1/2 on.
    let log_rest = max(select(log_full(rest), log1p_unit(-prediction), prediction <= 0.5), -100.0);
    let value = -(truth * log_x + (1.0 - truth) * log_rest);
    let slope = (prediction - truth) / max(prediction * rest, 1e-12);
    let is_inside = prediction >= 0.0 && prediction <= 1.0;
    let outside = not_a_number(prediction);
    return Loss(select(outside, value, is_inside), select(outside, slope, is_inside));
}
