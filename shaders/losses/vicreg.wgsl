// VICReg: INVARIANCE_LAMBDA times the mean squared difference, VARIANCE_MU times the mean over the
// columns of [1 - deviation]+, half of each matrix, and COVARIANCE_V times the squares of the
// covariances off the diagonal, summed over all pairs of columns and divided by their number.
override VICREG_INVARIANCE_LAMBDA: f32 = 25.0;
override VICREG_VARIANCE_MU: f32 = 25.0;
override VICREG_COVARIANCE_V: f32 = 1.0;

fn vicreg_entry(covariance: f32, is_diagonal: bool, columns: f32) -> vec2<f32> {
    let scaled = VICREG_COVARIANCE_V / columns * covariance;
    return select(vec2<f32>(scaled * covariance, 2.0 * scaled), vec2<f32>(), is_diagonal);
}

fn vicreg_deviation(deviation: f32, columns: f32) -> vec2<f32> {
    let scale = VICREG_VARIANCE_MU / (2.0 * columns);
    return vec2<f32>(scale * max(1.0 - deviation, 0.0), select(0.0, -scale, deviation < 1.0));
}

fn vicreg_apart(difference: f32, elements: f32) -> vec2<f32> {
    let scaled = VICREG_INVARIANCE_LAMBDA / elements * difference;
    return vec2<f32>(scaled * difference, 2.0 * scaled);
}
