// Pairwise logistic loss: f(d) = ln(1 + e^-d) for each ordered pair; derivative -sigma(-d).
override PAIRWISE_LOGISTIC_TEMPERATURE: f32 = 1.0;
override PAIRWISE_LOGISTIC_LAMBDA: u32 = 0u;
override PAIRWISE_LOGISTIC_TOP_N: u32 = 0u;
override PAIRWISE_LOGISTIC_GAIN: u32 = 0u;
override PAIRWISE_LOGISTIC_DISCOUNT: u32 = 0u;
override PAIRWISE_LOGISTIC_RELATIVE: f32 = 0.0;
override PAIRWISE_LOGISTIC_NORMALIZED: bool = true;

fn pairwise_logistic_pair(d: f32) -> vec2<f32> {
    let e = exp(-abs(d));
    return vec2<f32>(max(-d, 0.0) + ln_1p_unit_interval(e), -select(e, 1.0, d <= 0.0) / (1.0 + e));
}
