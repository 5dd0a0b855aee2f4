// Binary cross-entropy of a probability x: -y max(ln x, -100) - (1 - y) max(ln(1 - x), -100),
// derivative (x - y) / max(x(1 - x), 1e-12). NaN for an x outside [0, 1]. With CLIP above 0 the
// predictions are clipped to [CLIP, 1 - CLIP], with a derivative of 0 outside.
override BCE_CLIP: f32 = 0.0;

fn bce_loss(prediction: f32, truth: f32) -> Loss {
    if BCE_CLIP > 0.0 {
        // Above 1/2 in terms of 1 - x, whose clipped value is CLIP itself: 1 - CLIP has lost digits.
        let is_low = prediction <= 0.5;
        let smaller = clamp(select(1.0 - prediction, prediction, is_low), BCE_CLIP, 0.5);
        let clipped = bce_of_probability(smaller, select(1.0 - truth, truth, is_low));
        let is_inside = prediction >= BCE_CLIP && prediction <= 1.0 - BCE_CLIP;
        return Loss(clipped.value, select(0.0, select(-clipped.derivative, clipped.derivative, is_low), is_inside));
    }
    return bce_of_probability(prediction, truth);
}

fn bce_of_probability(prediction: f32, truth: f32) -> Loss {
    let rest = 1.0 - prediction;
    // The smaller of x and 1 - x is exact, the larger may have lost its digits: its logarithm is
    // ln(1 - smaller).
    let is_low = prediction <= 0.5;
    let smaller = select(rest, prediction, is_low);
    let log_larger = ln_1p_unit_interval(-smaller);
    // A subnormal number is its bits times 2^-149, 149 ln 2 = 103.27893; 0 gives a value far below
    // -100.
    let bits = bitcast<u32>(smaller);
    let is_subnormal = bits < 0x00800000u;
    let log_normal = log_accurate(select(smaller, f32(bits), is_subnormal));
    let log_smaller = max(log_normal - select(0.0, 103.27893, is_subnormal), -100.0);
    let value = -(select(1.0 - truth, truth, is_low) * log_smaller + select(truth, 1.0 - truth, is_low) * log_larger);
    let gradient = (prediction - truth) / max(prediction * rest, 1e-12);
    let is_inside = prediction >= 0.0 && prediction <= 1.0;
    let outside = not_a_number(prediction);
    return Loss(select(outside, value, is_inside), select(outside, gradient, is_inside));
}

// d/dy = ln(1 - x) - ln x, each at least -100, of the clipped x.
fn bce_target_derivative(prediction: f32, truth: f32, column_weight: f32) -> f32 {
    let is_low = prediction <= 0.5;
    var smaller = select(1.0 - prediction, prediction, is_low);
    if BCE_CLIP > 0.0 {
        smaller = clamp(smaller, BCE_CLIP, 0.5);
    }
    // With a target of 1 the value is -ln of the smaller one, with 0 -ln of the larger one.
    let apart = bce_of_probability(smaller, 1.0).value - bce_of_probability(smaller, 0.0).value;
    let is_inside = BCE_CLIP > 0.0 || (prediction >= 0.0 && prediction <= 1.0);
    return select(not_a_number(prediction), select(-apart, apart, is_low), is_inside);
}
