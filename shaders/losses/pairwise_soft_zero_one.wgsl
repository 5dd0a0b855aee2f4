// Pairwise soft zero-one loss: f(d) = sigma(-d) for each ordered pair; derivative -sigma(-d)
// sigma(d).
override PAIRWISE_SOFT_ZERO_ONE_TEMPERATURE: f32 = 1.0;
override PAIRWISE_SOFT_ZERO_ONE_LAMBDA: u32 = 0u;
override PAIRWISE_SOFT_ZERO_ONE_TOP_N: u32 = 0u;
override PAIRWISE_SOFT_ZERO_ONE_GAIN: u32 = 0u;
override PAIRWISE_SOFT_ZERO_ONE_DISCOUNT: u32 = 0u;
override PAIRWISE_SOFT_ZERO_ONE_RELATIVE: f32 = 0.0;
override PAIRWISE_SOFT_ZERO_ONE_NORMALIZED: bool = true;

fn pairwise_soft_zero_one_pair(d: f32) -> vec2<f32> {
    // sigma(d) sigma(-d) = e/(1 + e)^2, e = e^-|d|.
    let e = exp(-abs(d));
    return vec2<f32>(select(e, 1.0, d <= 0.0) / (1.0 + e), -e / ((1.0 + e) * (1.0 + e)));
}
