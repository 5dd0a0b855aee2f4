// Half the Tweedie deviance, x the logarithm of the mean, a = 2 - p, b = 1 - p:
//     e^(ax)/a - y e^(bx)/b + y^a/(ab), derivative e^(ax) - y e^(bx)
// and with d = x - ln y, y^a ((e^(ad) - 1)/a - (e^(bd) - 1)/b), which keeps its digits near its best, d = 0.
// The overrides come apart, since 2 - p of a rounded p has lost digits near 2.
override TO_TWO: f32 = 0.5;
override TO_ONE: f32 = -0.5;

// (e^(kd) - 1)/k, which is d for k = 0.
fn grown(k: f32, distance: f32) -> f32 {
    var found = distance;
    if k != 0.0 {
        found = expm1_full(k * distance) / k;
    }
    return found;
}

fn loss(prediction: f32, truth: f32) -> Loss {
    // Finite, so that infinity less infinity and 0 times infinity cannot be.
    let x = clamp(prediction, -1e30, 1e30);
    let rise = exp_full(TO_TWO * x);
    let pull = select(truth * exp_full(TO_ONE * x), 0.0, truth == 0.0);
    let distance = x - log_full(truth);
    // Once: a driver that puts each call in line takes minutes for two of them in four cells.
    let scale = power(truth, TO_TWO);
    var value = 0.0;
    if truth > 0.0 && abs(distance) * (abs(TO_TWO) + abs(TO_ONE)) < 40.0 {
        value = scale * (grown(TO_TWO, distance) - grown(TO_ONE, distance));
    } else if TO_ONE == 0.0 {
        value = rise - select(truth * (1.0 + distance), 0.0, truth == 0.0);
    } else if TO_TWO == 0.0 {
        value = distance + pull - 1.0;
    } else {
        value = rise / TO_TWO - pull / TO_ONE + scale / (TO_TWO * TO_ONE);
    }
    return Loss(value, rise - pull);
}

// a e^(ax) - b y e^(bx): not negative for p from 1 to 2.
fn curvature(prediction: f32, truth: f32, column_weight: f32) -> f32 {
    let x = clamp(prediction, -1e30, 1e30);
    var rise = 0.0;
    if TO_TWO != 0.0 {
        rise = TO_TWO * exp_full(TO_TWO * x);
    }
    var pull = 0.0;
    if TO_ONE != 0.0 && truth != 0.0 {
        pull = TO_ONE * (truth * exp_full(TO_ONE * x));
    }
    return rise - pull;
}
