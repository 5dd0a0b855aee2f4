// Squared hinge: [1 - yx]+^2 for y = -1 or +1, derivative -2y [1 - yx]+. LABELS_ZERO_ONE maps 0 and
// 1 to -1 and +1.
override SQUARED_HINGE_LABELS_ZERO_ONE: bool = false;

fn squared_hinge_loss(prediction: f32, truth: f32) -> Loss {
    let y = select(truth, 2.0 * truth - 1.0, SQUARED_HINGE_LABELS_ZERO_ONE);
    let margin = max(1.0 - y * prediction, 0.0);
    return Loss(margin * margin, -2.0 * y * margin);
}
