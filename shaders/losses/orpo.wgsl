// ORPO of mean log-probabilities x = (policy_chosen, policy_rejected), both at most 0:
//     loss = BETA softplus(-o) - NLL x.x,  o = odds(x.x) - odds(x.y)
//     odds(l) = l - ln(1 - e^l), derivative 1/(1 - e^l)
override ORPO_BETA: f32 = 0.1;
override ORPO_NLL: f32 = 1.0;

fn orpo_log_odds(l: f32) -> f32 {
    // 1 - e^l is accurate near l = 0 by e^l - 1, and ln(1 - e^l) far from it by ln(1 + x).
    return l - select(ln_1p(-exp_any(l)), ln_positive(-exp_m1(l)), l > -0.6931472);
}

fn orpo_loss(x: vec4<f32>) -> PreferenceTerms {
    let odds = vec2<f32>(orpo_log_odds(x.x), orpo_log_odds(x.y));
    // A probability of 1 has infinite odds; two of them are equal, so their difference is 0.
    let o = select(odds.x - odds.y, 0.0, x.x == x.y);
    let d_odds = -ORPO_BETA * sigmoid(-o);
    // For a chosen completion of probability near 1, sigma(-o)/(1 - e^x) is 0/0; it equals
    // e^(odds of the other - x)/(1 + e^-o).
    let near = -ORPO_BETA * exp_any(odds.y - x.x) / (1.0 + exp(-o));
    let gradients = vec2<f32>(select(-d_odds / exp_m1(x.x), near, o > 0.0) - ORPO_NLL, d_odds / exp_m1(x.y));
    return PreferenceTerms(ORPO_BETA * softplus(-o) - ORPO_NLL * x.x, gradients);
}
