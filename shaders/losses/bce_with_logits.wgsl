// Binary cross-entropy of a logit x against a probability y, with p the weight of the positive side of the column:
// p y softplus(-x) + (1 - y) softplus(x) = (1 - y) x + (1 + (p - 1) y) softplus(-x), since softplus(x) = x + softplus(-x).
override LABEL_SMOOTHING: f32 = 0.0;

fn loss_at(prediction: f32, truth: f32, column_weight: f32) -> Loss {
    let y = truth * (1.0 - LABEL_SMOOTHING) + 0.5 * LABEL_SMOOTHING;
    let positive = 1.0 + (column_weight - 1.0) * y;
    let value = (1.0 - y) * prediction + positive * softplus(-prediction);
    return Loss(value, (1.0 - y) - positive * sigmoid(-prediction));
}
