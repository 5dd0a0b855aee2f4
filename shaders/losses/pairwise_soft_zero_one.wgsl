// Pairwise soft zero-one loss: f(d) = sigma(-d) of each pair in order; derivative -sigma(-d) sigma(d).
override TEMPERATURE: f32 = 1.0;
override LAMBDA: u32 = 0u;
override TOP_N: u32 = 0u;

fn pair(d: f32) -> vec2<f32> {
    // sigma(d) sigma(-d) = e/(1 + e)^2, e = e^-|d|.
    let e = exp(-abs(d));
    return vec2<f32>(select(e, 1.0, d <= 0.0) / (1.0 + e), -e / ((1.0 + e) * (1.0 + e)));
}
