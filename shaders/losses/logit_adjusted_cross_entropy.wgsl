// Logit-adjusted cross-entropy: that of z = x + TAU ln(prior). Linked with
// templates/rowwise/softmax_shifted. A class with a prior of 0 is masked.
override LOGIT_ADJUSTED_CROSS_ENTROPY_TAU: f32 = 1.0;
const LOGIT_ADJUSTED_CROSS_ENTROPY_SCALE: f32 = 1.0;
const LOGIT_ADJUSTED_CROSS_ENTROPY_USES_LEAST: bool = false;

fn logit_adjusted_cross_entropy_shift(prior: vec4<f32>) -> vec4<f32> {
    return LOGIT_ADJUSTED_CROSS_ENTROPY_TAU * vec4<f32>(ln_positive(prior.x), ln_positive(prior.y), ln_positive(prior.z), ln_positive(prior.w));
}

fn logit_adjusted_cross_entropy_label_shift(prior: f32, least: f32) -> f32 {
    return 0.0;
}
