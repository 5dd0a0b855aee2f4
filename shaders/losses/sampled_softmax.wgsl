// Sampled softmax: cross-entropy over sampled classes, with z = x - ln Q, Q the expected count of each
// class in the sample. Linked with templates/rowwise/softmax_shifted. A class with Q = 0 is masked.
const SAMPLED_SOFTMAX_SCALE: f32 = 1.0;
const SAMPLED_SOFTMAX_USES_LEAST: bool = false;

// -inf at 0, where -ln would be +inf.
fn sampled_softmax_shift(expected: vec4<f32>) -> vec4<f32> {
    let logarithms = vec4<f32>(ln_positive(expected.x), ln_positive(expected.y), ln_positive(expected.z), ln_positive(expected.w));
    return select(-logarithms, logarithms, expected == vec4<f32>());
}

fn sampled_softmax_label_shift(expected: f32, least: f32) -> f32 {
    return 0.0;
}
