// Half the Tweedie deviance, x the logarithm of the mean, a = 2 - p, b = 1 - p:
//     e^(ax)/a - y e^(bx)/b + y^a/(ab), derivative e^(ax) - y e^(bx)
// and with d = x - ln y, y^a ((e^(ad) - 1)/a - (e^(bd) - 1)/b) and y^a e^(bd) (e^d - 1), which are
// accurate near the minimum, d = 0; closer to it the difference is a series. 2 - p and 1 - p are separate overrides, since 2 - p of a
// rounded p has lost digits near 2. With IDENTITY the prediction is the mean m, x = ln m, and near y
// d = ln(1 + (m - y)/y), since ln m and ln y are rounded; TO_TWO = 2 is then half the squared error.
override TWEEDIE_TO_TWO: f32 = 0.5;
override TWEEDIE_TO_ONE: f32 = -0.5;
override TWEEDIE_IDENTITY: bool = false;

fn tweedie_loss(prediction: f32, truth: f32) -> Loss {
    if !TWEEDIE_IDENTITY {
        return tweedie_of_logarithm(prediction, truth);
    }
    if TWEEDIE_TO_TWO == 2.0 {
        let error = prediction - truth;
        return Loss(0.5 * error * error, error);
    }
    let found = tweedie_of_mean(prediction, truth);
    let is_mean = prediction > 0.0;
    let outside = not_a_number(prediction);
    return Loss(select(outside, found.value, is_mean), select(outside, found.derivative / prediction, is_mean));
}

fn tweedie_of_logarithm(prediction: f32, truth: f32) -> Loss {
    // Finite, to avoid infinity minus infinity and 0 times infinity.
    let x = clamp(prediction, -1e30, 1e30);
    return tweedie_of_distance(x, x - ln_positive(truth), truth);
}

fn tweedie_of_mean(mean: f32, truth: f32) -> Loss {
    let x = clamp(ln_positive(mean), -1e30, 1e30);
    let apart = mean - truth;
    let is_near = abs(apart) <= 0.5 * truth;
    let near = ln_1p(select(0.0, apart / truth, is_near));
    return tweedie_of_distance(x, select(x - ln_positive(truth), near, is_near), truth);
}

// (e^(ad) - 1)/a - (e^(bd) - 1)/b for |ad|, |bd|, |d| <= 1, where the two terms would cancel: the sum
// over k from 2 of (a^(k-1) - b^(k-1)) d^k/k!, a = b + 1. The first term left out is below 5e-8.
fn tweedie_series(distance: f32) -> f32 {
    var sum = 0.0;
    var coefficient = 1.0;
    var by_one = TWEEDIE_TO_ONE;
    var term = 0.5 * distance * distance;
    for (var k = 2u; k <= 11u; k += 1u) {
        sum += coefficient * term;
        coefficient = TWEEDIE_TO_TWO * coefficient + by_one;
        by_one *= TWEEDIE_TO_ONE;
        term *= distance / f32(k + 1u);
    }
    return sum;
}

fn tweedie_of_distance(x: f32, distance: f32, truth: f32) -> Loss {
    // y^2 of a y of any sign: with power 0 the value is half the squared error.
    let scale = select(power(max(truth, 0.0), TWEEDIE_TO_TWO), truth * truth, TWEEDIE_TO_TWO == 2.0);
    let is_near = truth > 0.0 && abs(distance) * (abs(TWEEDIE_TO_TWO) + abs(TWEEDIE_TO_ONE)) < 40.0;
    // The exponentials of both forms in one call: with four separate calls a driver took minutes to
    // compile.
    let exponent = select(x, distance, is_near);
    let grown = exp_and_less4(vec4<f32>(TWEEDIE_TO_TWO * exponent, TWEEDIE_TO_ONE * exponent, exponent, 0.0));
    if is_near {
        // (e^(kd) - 1)/k is d for k = 0; the divisor is never a constant 0, since compilers reject
        // such a division.
        let rise = select(grown[1].x / select(TWEEDIE_TO_TWO, 1.0, TWEEDIE_TO_TWO == 0.0), distance, TWEEDIE_TO_TWO == 0.0);
        let power_term = select(grown[1].y / select(TWEEDIE_TO_ONE, 1.0, TWEEDIE_TO_ONE == 0.0), distance, TWEEDIE_TO_ONE == 0.0);
        let is_small = abs(distance) * max(max(abs(TWEEDIE_TO_TWO), abs(TWEEDIE_TO_ONE)), 1.0) <= 1.0;
        let risen = select(rise - power_term, tweedie_series(distance), is_small);
        return Loss(scale * risen, scale * grown[0].y * grown[1].z);
    }
    // Where both exponentials grow, one factor holds the larger part: no infinity minus infinity.
    if TWEEDIE_TO_ONE * x > 0.0 && truth != 0.0 && TWEEDIE_TO_TWO != 0.0 {
        let constant = scale / (TWEEDIE_TO_TWO * TWEEDIE_TO_ONE);
        let factor = grown[0].z / TWEEDIE_TO_TWO - truth / TWEEDIE_TO_ONE;
        return Loss(grown[0].y * factor + constant, grown[0].y * (grown[0].z - truth));
    }
    let rise = grown[0].x;
    let power_term = select(truth * grown[0].y, 0.0, truth == 0.0);
    var value = 0.0;
    if TWEEDIE_TO_ONE == 0.0 {
        value = rise - select(truth * (1.0 + distance), 0.0, truth == 0.0);
    } else if TWEEDIE_TO_TWO == 0.0 {
        value = distance + power_term - 1.0;
    } else {
        value = rise / TWEEDIE_TO_TWO - power_term / TWEEDIE_TO_ONE + scale / (TWEEDIE_TO_TWO * TWEEDIE_TO_ONE);
    }
    return Loss(value, rise - power_term);
}

// a e^(ax) - b y e^(bx), nonnegative for p from 1 to 2; by the mean (that - the first derivative)/m^2.
fn tweedie_hessian_diagonal(prediction: f32, truth: f32, column_weight: f32) -> f32 {
    if !TWEEDIE_IDENTITY {
        return tweedie_second_of_logarithm(prediction, truth);
    }
    if TWEEDIE_TO_TWO == 2.0 {
        return 1.0;
    }
    let x = ln_positive(prediction);
    let bend = tweedie_second_of_logarithm(x, truth) - tweedie_of_mean(prediction, truth).derivative;
    return select(not_a_number(prediction), bend / prediction / prediction, prediction > 0.0);
}

fn tweedie_second_of_logarithm(prediction: f32, truth: f32) -> f32 {
    let x = clamp(prediction, -1e30, 1e30);
    var rise = 0.0;
    if TWEEDIE_TO_TWO != 0.0 {
        rise = TWEEDIE_TO_TWO * exp_any(TWEEDIE_TO_TWO * x);
    }
    var power_term = 0.0;
    if TWEEDIE_TO_ONE != 0.0 && truth != 0.0 {
        power_term = TWEEDIE_TO_ONE * (truth * exp_any(TWEEDIE_TO_ONE * x));
    }
    return rise - power_term;
}
