// CISPO: -min(r, EPSILON_HIGH) A log_prob with the weight min(r, EPSILON_HIGH) held constant,
// r = e^log_ratio, A the advantage.
override CISPO_EPSILON_HIGH: f32 = 5.0;

fn cispo_token(log_prob: f32, log_ratio: f32, advantage: f32) -> vec2<f32> {
    let weight = -advantage * min(exp_any(log_ratio), CISPO_EPSILON_HIGH);
    // A token of probability 0 has weight 0 and the logarithm -inf.
    return vec2<f32>(select(weight * log_prob, 0.0, weight == 0.0), weight);
}
