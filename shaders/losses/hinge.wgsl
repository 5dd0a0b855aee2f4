// Hinge: [1 - yx]+ for y = -1 or +1, derivative -y inside the margin. LABELS_ZERO_ONE maps 0 and 1
// to -1 and +1.
override HINGE_LABELS_ZERO_ONE: bool = false;

fn hinge_loss(prediction: f32, truth: f32) -> Loss {
    let y = select(truth, 2.0 * truth - 1.0, HINGE_LABELS_ZERO_ONE);
    let margin = 1.0 - y * prediction;
    return Loss(max(margin, 0.0), select(0.0, -y, margin > 0.0));
}
