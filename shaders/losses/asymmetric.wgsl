// Asymmetric loss of a logit x against y, with p = sigmoid(x), q = sigmoid(-x) and the shifted
// probability s = [p - CLIP]+:
//     y q^GAMMA_POSITIVE softplus(-x) - (1 - y) s^GAMMA_NEGATIVE ln(1 - s)
//     derivative of the first q^GAMMA_POSITIVE (-GAMMA_POSITIVE p softplus(-x) - q), of the second
//     s^GAMMA_NEGATIVE (GAMMA_NEGATIVE p q c/s + p q/(1 - s)), c = -ln(1 - s), 0 where s is 0.
// 1 - s is q + CLIP, which keeps its digits as p goes to 1; c is softplus(x) without a CLIP.
override ASYMMETRIC_GAMMA_POSITIVE: f32 = 1.0;
override ASYMMETRIC_GAMMA_NEGATIVE: f32 = 4.0;
override ASYMMETRIC_CLIP: f32 = 0.05;

fn asymmetric_loss(prediction: f32, truth: f32) -> Loss {
    let not_truth = 1.0 - truth;
    let e = exp(-abs(prediction));
    let tail = ln_1p_unit_interval(e);
    let high = 1.0 / (1.0 + e);
    let low = e * high;
    let is_positive = prediction >= 0.0;
    let up = select(low, high, is_positive);
    let down = select(high, low, is_positive);
    let cross = max(-prediction, 0.0) + tail;
    let ease = power(down, ASYMMETRIC_GAMMA_POSITIVE);
    // p x is 0 in f32 long before x = -10^4; at infinity 0 times it would be NaN.
    let positive = -ease * (ASYMMETRIC_GAMMA_POSITIVE * up * min(cross, 1e4) + down);
    let shifted = max(up - ASYMMETRIC_CLIP, 0.0);
    let rest = min(down + ASYMMETRIC_CLIP, 1.0);
    var away = max(prediction, 0.0) + tail;
    var share = 1.0;
    if ASYMMETRIC_CLIP > 0.0 {
        away = select(-ln_1p_unit_interval(-min(shifted, 0.5)), -log_accurate(rest), shifted > 0.5);
        share = down / rest;
    }
    let hardness = power(shifted, ASYMMETRIC_GAMMA_NEGATIVE);
    // The limit of c/s at 0 is 1.
    let ratio = select(min(away, 1e4) / shifted, 1.0, shifted == 0.0);
    let slope = hardness * (ASYMMETRIC_GAMMA_NEGATIVE * (up * down) * ratio + up * share);
    let negative = select(0.0, slope, shifted > 0.0);
    // A side with weight 0 contributes nothing, even at infinity.
    let value = select(truth * ease * cross, 0.0, truth == 0.0) + select(not_truth * hardness * away, 0.0, not_truth == 0.0);
    return Loss(value, truth * positive + not_truth * negative);
}
