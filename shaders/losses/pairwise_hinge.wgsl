// Pairwise hinge loss: f(d) = [1 - d]+ for each ordered pair; derivative -1 inside the margin, 0 at
// its edge.
override PAIRWISE_HINGE_TEMPERATURE: f32 = 1.0;
override PAIRWISE_HINGE_LAMBDA: u32 = 0u;
override PAIRWISE_HINGE_TOP_N: u32 = 0u;
override PAIRWISE_HINGE_GAIN: u32 = 0u;
override PAIRWISE_HINGE_DISCOUNT: u32 = 0u;
override PAIRWISE_HINGE_RELATIVE: f32 = 0.0;
override PAIRWISE_HINGE_NORMALIZED: bool = true;

fn pairwise_hinge_pair(d: f32) -> vec2<f32> {
    return vec2<f32>(max(1.0 - d, 0.0), select(0.0, -1.0, d < 1.0));
}
