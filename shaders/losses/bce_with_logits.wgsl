// Binary cross-entropy of a logit x against a probability y, with p the column's weight of
// positives:
//     loss = p y softplus(-x) + (1 - y) softplus(x)
//     derivative (1 - y) sigmoid(x) - p y sigmoid(-x)
// With e = e^-|x|, one of the two sides is far:
//     softplus(|x|) = |x| + ln(1 + e), sigmoid(|x|) = 1/(1 + e)
// and the other near: ln(1 + e), e/(1 + e).
// They are not combined: max(x, 0) - xy + ... loses every digit where the loss is small.
override BCE_WITH_LOGITS_LABEL_SMOOTHING: f32 = 0.0;

fn bce_with_logits_loss(prediction: f32, truth: f32, column_weight: f32) -> Loss {
    let y = truth * (1.0 - BCE_WITH_LOGITS_LABEL_SMOOTHING) + 0.5 * BCE_WITH_LOGITS_LABEL_SMOOTHING;
    let positive = column_weight * y;
    let negative = 1.0 - y;
    let is_positive = prediction >= 0.0;
    let far = select(positive, negative, is_positive);
    let near = select(negative, positive, is_positive);
    let size = abs(prediction);
    let e = exp(-size);
    let gradient = (far - near * e) / (1.0 + e);
    // A side with weight 0 contributes nothing, even for an infinite logit.
    let straight = select(far * size, 0.0, far == 0.0);
    return Loss(straight + (far + near) * ln_1p_unit_interval(e), select(-gradient, gradient, is_positive));
}

// (p y + 1 - y) sigmoid(x) sigmoid(-x); the two factors are 1/(1 + e) and e/(1 + e).
fn bce_with_logits_hessian_diagonal(prediction: f32, truth: f32, column_weight: f32) -> f32 {
    let y = truth * (1.0 - BCE_WITH_LOGITS_LABEL_SMOOTHING) + 0.5 * BCE_WITH_LOGITS_LABEL_SMOOTHING;
    let e = exp(-abs(prediction));
    return (column_weight * y + (1.0 - y)) * (e / ((1.0 + e) * (1.0 + e)));
}

// d/dy = (1 - s)(p softplus(-x) - softplus(x)) = (1 - s)(-x or -p x + (p - 1) ln(1 + e)).
fn bce_with_logits_target_derivative(prediction: f32, truth: f32, column_weight: f32) -> f32 {
    let straight = select(-column_weight * prediction, -prediction, prediction > 0.0);
    let excess = column_weight - 1.0;
    let bent = select(excess * ln_1p_unit_interval(exp(-abs(prediction))), 0.0, excess == 0.0);
    return (1.0 - BCE_WITH_LOGITS_LABEL_SMOOTHING) * (straight + bent);
}
