// Huber: quadratic up to DELTA, linear beyond. With q = min(|e|, DELTA): q^2/2 + DELTA (|e| - q).
override HUBER_DELTA: f32 = 1.0;

fn huber_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let inside = min(abs(error), HUBER_DELTA);
    let value = 0.5 * inside * inside + HUBER_DELTA * (abs(error) - inside);
    return Loss(value, clamp(error, -HUBER_DELTA, HUBER_DELTA));
}
