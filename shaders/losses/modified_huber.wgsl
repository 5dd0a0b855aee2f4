// Modified Huber for y = -1 or +1: [1 - yx]+^2 where yx >= -1, derivative -2y [1 - yx]+;
// else -4yx, derivative -4y. LABELS_ZERO_ONE maps 0 and 1 to -1 and +1.
override MODIFIED_HUBER_LABELS_ZERO_ONE: bool = false;

fn modified_huber_loss(prediction: f32, truth: f32) -> Loss {
    let y = select(truth, 2.0 * truth - 1.0, MODIFIED_HUBER_LABELS_ZERO_ONE);
    let right = y * prediction;
    let margin = max(1.0 - right, 0.0);
    let is_far = right < -1.0;
    return Loss(select(margin * margin, -4.0 * right, is_far), -y * select(2.0 * margin, 4.0, is_far));
}
