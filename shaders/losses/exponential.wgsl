// Exponential: e^-yx for y = -1 or +1, derivative -y e^-yx. LABELS_ZERO_ONE maps 0 and 1 to -1 and
// +1.
override EXPONENTIAL_LABELS_ZERO_ONE: bool = false;

fn exponential_loss(prediction: f32, truth: f32) -> Loss {
    let y = select(truth, 2.0 * truth - 1.0, EXPONENTIAL_LABELS_ZERO_ONE);
    let value = exp_any(-y * prediction);
    return Loss(value, -y * value);
}
