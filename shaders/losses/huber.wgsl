// Huber: quadratic up to DELTA, linear beyond. With q = min(|e|, DELTA): q^2/2 + DELTA (|e| - q).
override DELTA: f32 = 1.0;

fn loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let inside = min(abs(error), DELTA);
    let value = 0.5 * inside * inside + DELTA * (abs(error) - inside);
    return Loss(value, clamp(error, -DELTA, DELTA));
}
