// Perceptron: [-yx]+ for y = -1 or +1, derivative -y on the wrong side. LABELS_ZERO_ONE maps 0 and
// 1 to -1 and +1.
override PERCEPTRON_LABELS_ZERO_ONE: bool = false;

fn perceptron_loss(prediction: f32, truth: f32) -> Loss {
    let y = select(truth, 2.0 * truth - 1.0, PERCEPTRON_LABELS_ZERO_ONE);
    let against = -y * prediction;
    return Loss(max(against, 0.0), select(0.0, -y, against > 0.0));
}
