// CPO of log-probabilities x = (policy_chosen, policy_rejected):
//     loss = softplus(-h) + LABEL_SMOOTHING h - ALPHA x.x,  h = BETA (x.x - x.y)
//     derivative by h: LABEL_SMOOTHING - sigma(-h)
override CPO_BETA: f32 = 0.1;
override CPO_LABEL_SMOOTHING: f32 = 0.0;
override CPO_ALPHA: f32 = 1.0;

fn cpo_loss(x: vec4<f32>) -> PreferenceTerms {
    let h = CPO_BETA * (x.x - x.y);
    let gradient = CPO_BETA * (CPO_LABEL_SMOOTHING - sigmoid(-h));
    let likelihood = select(CPO_ALPHA * x.x, 0.0, CPO_ALPHA == 0.0);
    let preference = softplus(-h) + select(CPO_LABEL_SMOOTHING * h, 0.0, CPO_LABEL_SMOOTHING == 0.0);
    // Two log-probabilities of -inf have no difference.
    let nan = not_a_number(h);
    let value = select(preference - likelihood, nan, is_nan(h));
    return PreferenceTerms(value, select(vec2<f32>(gradient - CPO_ALPHA, -gradient), vec2<f32>(nan), is_nan(h)));
}
