// Pseudo-Huber: DELTA^2 (sqrt(1 + r^2) - 1), r = |e| / DELTA, derivative e / sqrt(1 + r^2).
// With m = min(r, 1/r) and s = sqrt(1 + m^2) the root is s up to r = 1 and rs beyond;
// sqrt(1 + r^2) - 1 = r^2 / (sqrt(1 + r^2) + 1).
override PSEUDO_HUBER_DELTA: f32 = 1.0;

fn pseudo_huber_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let ratio = abs(error) / PSEUDO_HUBER_DELTA;
    let smaller = min(ratio, 1.0 / ratio);
    let s = sqrt(1.0 + smaller * smaller);
    let is_beyond = ratio > 1.0;
    let share = select(ratio / (s + 1.0), 1.0 / (s + smaller), is_beyond);
    return Loss(PSEUDO_HUBER_DELTA * abs(error) * share, select(error, PSEUDO_HUBER_DELTA * sign(error), is_beyond) / s);
}
