// Cauchy: SCALE^2/2 ln(1 + r^2), r = |e| / SCALE, derivative e / (1 + r^2). Beyond 1, where r^2 may overflow,
// ln(1 + r^2) = 2 ln r + ln(1 + 1/r^2); r / (1 + r^2) is the same of r and of 1/r.
override SCALE: f32 = 1.0;

fn loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let ratio = abs(error) / SCALE;
    let smaller = min(ratio, 1.0 / ratio);
    let square = smaller * smaller;
    let far = select(0.0, 2.0 * log_full(ratio), ratio > 1.0);
    let value = 0.5 * SCALE * SCALE * (far + log1p_unit(square));
    return Loss(value, sign(error) * SCALE * (smaller / (1.0 + square)));
}
