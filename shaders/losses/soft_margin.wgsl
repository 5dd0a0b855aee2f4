// Soft margin: ln(1 + e^-yx) for y = -1 or +1, derivative -y sigmoid(-yx). LABELS_ZERO_ONE maps 0
// and 1 to -1 and +1.
override SOFT_MARGIN_LABELS_ZERO_ONE: bool = false;

fn soft_margin_loss(prediction: f32, truth: f32) -> Loss {
    let y = select(truth, 2.0 * truth - 1.0, SOFT_MARGIN_LABELS_ZERO_ONE);
    return Loss(softplus(-y * prediction), -y * sigmoid(-y * prediction));
}
