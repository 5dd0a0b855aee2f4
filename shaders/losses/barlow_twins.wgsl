// Barlow Twins of correlations c between the columns of two matrices: (1 - c)^2 on the diagonal,
// LAMBDA c^2 off it.
override BARLOW_TWINS_LAMBDA: f32 = 0.005;

fn barlow_twins_entry(covariance: f32, is_diagonal: bool, columns: f32) -> vec2<f32> {
    let off = 1.0 - covariance;
    let other = BARLOW_TWINS_LAMBDA * covariance;
    return select(vec2<f32>(other * covariance, 2.0 * other), vec2<f32>(off * off, -2.0 * off), is_diagonal);
}

fn barlow_twins_deviation(deviation: f32, columns: f32) -> vec2<f32> {
    return vec2<f32>();
}

fn barlow_twins_apart(difference: f32, elements: f32) -> vec2<f32> {
    return vec2<f32>();
}
