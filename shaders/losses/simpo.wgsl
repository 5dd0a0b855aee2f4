// SimPO of mean log-probabilities x = (policy_chosen, policy_rejected):
//     loss = softplus(-h) + LABEL_SMOOTHING h,  h = BETA (x.x - x.y) - GAMMA
//     derivative by h: LABEL_SMOOTHING - sigma(-h)
override SIMPO_BETA: f32 = 2.0;
override SIMPO_GAMMA: f32 = 1.0;
override SIMPO_LABEL_SMOOTHING: f32 = 0.0;

fn simpo_loss(x: vec4<f32>) -> PreferenceTerms {
    let h = SIMPO_BETA * (x.x - x.y) - SIMPO_GAMMA;
    let gradient = SIMPO_BETA * (SIMPO_LABEL_SMOOTHING - sigmoid(-h));
    let value = softplus(-h) + select(SIMPO_LABEL_SMOOTHING * h, 0.0, SIMPO_LABEL_SMOOTHING == 0.0);
    // Two log-probabilities of -inf have no difference.
    let nan = not_a_number(h);
    return PreferenceTerms(select(value, nan, is_nan(h)), select(vec2<f32>(gradient, -gradient), vec2<f32>(nan), is_nan(h)));
}
