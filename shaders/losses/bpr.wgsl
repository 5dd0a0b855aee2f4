// Bayesian personalized ranking: -ln sigma(d) = ln(1 + e^-d),
// d = score of the positive item - score of the negative item.
fn bpr_loss(first: f32, second: f32, truth: f32) -> TwoInputTerms {
    let difference = first - second;
    let gradient = sigmoid(-difference);
    return TwoInputTerms(softplus(-difference), -gradient, gradient);
}
