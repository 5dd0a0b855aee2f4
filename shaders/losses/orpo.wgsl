// ORPO of mean log-probabilities x = (policy_chosen, policy_rejected), both at most 0: BETA softplus(-o) - NLL x.x,
// o = odds(x.x) - odds(x.y), odds(l) = l - ln(1 - e^l), whose derivative is 1/(1 - e^l).
override BETA: f32 = 0.1;
override NLL: f32 = 1.0;

fn log_odds(l: f32) -> f32 {
    // 1 - e^l has its digits near l = 0 by e^l - 1, and ln(1 - e^l) far from it by ln(1 + x).
    return l - select(log1p_full(-exp_full(l)), log_full(-expm1_full(l)), l > -0.6931472);
}

fn quad(x: vec4<f32>) -> Quad {
    let o = log_odds(x.x) - log_odds(x.y);
    let pull = BETA * sigmoid(-o);
    let slopes = vec2<f32>(pull / expm1_full(x.x) - NLL, -pull / expm1_full(x.y));
    return Quad(BETA * softplus(-o) - NLL * x.x, slopes);
}
