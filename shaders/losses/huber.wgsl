// Huber: quadratic up to DELTA, linear beyond: q (e - q/2) with q = e limited to -DELTA ... DELTA.
override HUBER_DELTA: f32 = 1.0;

fn huber_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let inside = clamp(error, -HUBER_DELTA, HUBER_DELTA);
    return Loss(inside * (error - 0.5 * inside), inside);
}
