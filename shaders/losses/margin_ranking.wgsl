// Margin ranking: [-y (x1 - x2) + MARGIN]+ with y = 1 where x1 should be the larger, else -1. At 0
// the gradient is not zeroed, as in PyTorch.
override MARGIN_RANKING_MARGIN: f32 = 0.0;

fn margin_ranking_loss(first: f32, second: f32, truth: f32) -> TwoInputTerms {
    let short = MARGIN_RANKING_MARGIN - truth * (first - second);
    let gradient = select(0.0, truth, short >= 0.0);
    return TwoInputTerms(max(short, 0.0), -gradient, gradient);
}
