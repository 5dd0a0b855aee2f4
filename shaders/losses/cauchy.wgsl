// Cauchy: SCALE^2/2 ln(1 + r^2), r = |e| / SCALE, derivative e / (1 + r^2). Beyond 10^15 r^2 may
// overflow and 1 + r^2 rounds to r^2: there ln(1 + r^2) = 2 ln(1 + r), r / (1 + r^2) = 1 / r.
override CAUCHY_SCALE: f32 = 1.0;

fn cauchy_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let ratio = abs(error) / CAUCHY_SCALE;
    let is_far = ratio > 1e15;
    let square = ratio * ratio;
    let logarithm = select(1.0, 2.0, is_far) * ln_1p_above_minus_one(select(square, ratio, is_far));
    let value = 0.5 * CAUCHY_SCALE * CAUCHY_SCALE * select(logarithm, ratio, ratio > 3.4028234e38);
    return Loss(value, sign(error) * CAUCHY_SCALE * (select(ratio, 1.0, is_far) / select(1.0 + square, ratio, is_far)));
}
