// Binary sparsemax: the sparse plus of u = -yx for y = -1 or +1, (1 + u)^2/4 between u = -1 and 1, 0
// before and u behind; derivative -y t, t = (1 + u)/2 within [0, 1]. LABELS_ZERO_ONE maps 0 and 1 to
// -1 and +1.
override BINARY_SPARSEMAX_LABELS_ZERO_ONE: bool = false;

fn binary_sparsemax_loss(prediction: f32, truth: f32) -> Loss {
    let y = select(truth, 2.0 * truth - 1.0, BINARY_SPARSEMAX_LABELS_ZERO_ONE);
    let u = -y * prediction;
    let t = clamp(0.5 + 0.5 * u, 0.0, 1.0);
    return Loss(select(t * t, u, u >= 1.0), -y * t);
}
