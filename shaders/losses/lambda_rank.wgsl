// LambdaRank: f(d) = |change of NDCG| ln(1 + e^-d) for each ordered pair, the weights held
// constant; derivative of the second factor: -sigma(-d).
override LAMBDA_RANK_TEMPERATURE: f32 = 1.0;
override LAMBDA_RANK_LAMBDA: u32 = 2u;
override LAMBDA_RANK_TOP_N: u32 = 0u;
override LAMBDA_RANK_GAIN: u32 = 0u;
override LAMBDA_RANK_DISCOUNT: u32 = 0u;
override LAMBDA_RANK_RELATIVE: f32 = 0.0;
override LAMBDA_RANK_NORMALIZED: bool = true;

fn lambda_rank_pair(d: f32) -> vec2<f32> {
    let e = exp(-abs(d));
    return vec2<f32>(max(-d, 0.0) + ln_1p_unit_interval(e), -select(e, 1.0, d <= 0.0) / (1.0 + e));
}
