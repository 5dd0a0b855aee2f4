// Focal loss of a logit x, with u = sigmoid(x), v = sigmoid(-x):
//     loss = a q^GAMMA c,  c = y softplus(-x) + (1 - y) softplus(x)
//     q = y v + (1 - y) u
//     a = ALPHA y + (1 - ALPHA)(1 - y), 1 where ALPHA is negative
//     derivative a q^GAMMA (GAMMA (1 - 2y) (uv/q) c + (1 - y) u - y v), where uv/q is at most 1
override BINARY_FOCAL_GAMMA: f32 = 2.0;
override BINARY_FOCAL_ALPHA: f32 = -1.0;

fn binary_focal_loss(prediction: f32, truth: f32) -> Loss {
    let not_truth = 1.0 - truth;
    let e = exp(-abs(prediction));
    let tail = ln_1p_unit_interval(e);
    let high = 1.0 / (1.0 + e);
    let low = e * high;
    let is_positive = prediction >= 0.0;
    let up = select(low, high, is_positive);
    let down = select(high, low, is_positive);
    // A side with weight 0 contributes nothing, even at infinity.
    let cross_up = select(truth * (max(-prediction, 0.0) + tail), 0.0, truth == 0.0);
    let cross_down = select(not_truth * (max(prediction, 0.0) + tail), 0.0, not_truth == 0.0);
    let cross = cross_up + cross_down;
    let wrong = not_truth * up + truth * down;
    // A lower bound on e keeps uv/q from 0/0: there q is e or so much larger that the bound does
    // not matter.
    let floored = max(e, 1e-30);
    let share = floored * high / (select(truth, not_truth, is_positive) + select(not_truth, truth, is_positive) * floored);
    var weight = power(wrong, BINARY_FOCAL_GAMMA);
    if BINARY_FOCAL_ALPHA >= 0.0 {
        weight *= BINARY_FOCAL_ALPHA * truth + (1.0 - BINARY_FOCAL_ALPHA) * not_truth;
    }
    // x e^-|x| is 0 long before 10^4; further out the lower bound would compensate for it, and
    // infinity times 0 would be NaN.
    let gradient = BINARY_FOCAL_GAMMA * (not_truth - truth) * share * min(cross, 1e4) + (not_truth * up - truth * down);
    return Loss(weight * cross, weight * gradient);
}
