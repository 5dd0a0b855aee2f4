// Binary cross-entropy of a logit x against a probability y, with p the weight of the positive side of the column:
// p y softplus(-x) + (1 - y) softplus(x), derivative (1 - y) sigmoid(x) - p y sigmoid(-x). Written with both sides
// apart: max(x, 0) - xy + ... loses every digit where the loss is small.
override LABEL_SMOOTHING: f32 = 0.0;

fn loss_at(prediction: f32, truth: f32, column_weight: f32) -> Loss {
    let y = truth * (1.0 - LABEL_SMOOTHING) + 0.5 * LABEL_SMOOTHING;
    let positive = column_weight * y;
    let negative = 1.0 - y;
    let e = exp(-abs(prediction));
    let tail = log1p_unit(e);
    let value = positive * (max(-prediction, 0.0) + tail) + negative * (max(prediction, 0.0) + tail);
    // sigmoid of |x| and of -|x|, from the same exponential.
    let high = 1.0 / (1.0 + e);
    let low = e * high;
    let is_positive = prediction >= 0.0;
    return Loss(value, negative * select(low, high, is_positive) - positive * select(high, low, is_positive));
}
