// Quantile: with d = y - x, q d where d > 0 and (q - 1) d elsewhere; derivative -q or 1 - q, 0 at d
// = 0.
override QUANTILE_QUANTILE: f32 = 0.5;

fn quantile_loss(prediction: f32, truth: f32) -> Loss {
    let short = truth - prediction;
    let gradient = select(select(0.0, 1.0 - QUANTILE_QUANTILE, short < 0.0), -QUANTILE_QUANTILE, short > 0.0);
    return Loss(-gradient * short, gradient);
}
