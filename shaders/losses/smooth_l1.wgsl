// Smooth L1: Huber's loss divided by its threshold BETA; |e| where BETA is 0.
override SMOOTH_L1_BETA: f32 = 1.0;

fn smooth_l1_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    if SMOOTH_L1_BETA == 0.0 {
        return Loss(abs(error), sign(error));
    }
    let inside = min(abs(error), SMOOTH_L1_BETA);
    let value = 0.5 * inside * inside / SMOOTH_L1_BETA + (abs(error) - inside);
    return Loss(value, clamp(error / SMOOTH_L1_BETA, -1.0, 1.0));
}
