// Smooth L1: Huber's loss divided by its threshold BETA; |e| where BETA is 0.
override BETA: f32 = 1.0;

fn loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    if BETA == 0.0 {
        return Loss(abs(error), sign(error));
    }
    let inside = min(abs(error), BETA);
    let value = 0.5 * inside * inside / BETA + (abs(error) - inside);
    return Loss(value, clamp(error / BETA, -1.0, 1.0));
}
