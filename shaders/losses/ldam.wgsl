// LDAM: cross-entropy of z = SCALE x, with the label's logit lowered by a margin first,
// MARGIN (least / n)^(1/4), n the number of samples of its class and `least` that of the smallest.
// Linked with templates/rowwise/softmax_shifted. A class without a sample has the whole margin.
override LDAM_MARGIN: f32 = 0.5;
override LDAM_SCALE: f32 = 30.0;
const LDAM_USES_LEAST: bool = true;

fn ldam_shift(samples: vec4<f32>) -> vec4<f32> {
    return vec4<f32>();
}

fn ldam_label_shift(samples: f32, least: f32) -> f32 {
    let ratio = select(1.0, min(least / samples, 1.0), samples > 0.0);
    return LDAM_MARGIN * sqrt(sqrt(ratio));
}
