// SAPO: -4/T sigma(T (r - 1)) A, r = e^log_ratio, A the advantage, T by its sign; derivative
// -4 r sigma(T (r - 1)) sigma(T (1 - r)) A.
override SAPO_TEMPERATURE_POS: f32 = 1.0;
override SAPO_TEMPERATURE_NEG: f32 = 1.05;

fn sapo_token(log_prob: f32, log_ratio: f32, advantage: f32) -> vec2<f32> {
    let temperature = select(SAPO_TEMPERATURE_NEG, SAPO_TEMPERATURE_POS, advantage > 0.0);
    let moved = temperature * exp_m1(log_ratio);
    let high = sigmoid(moved);
    let low = sigmoid(-moved);
    // The gate falls faster than the ratio grows: 0 times inf is 0 there.
    let gate = select(exp_any(log_ratio) * high * low, 0.0, low == 0.0);
    return -advantage * 4.0 * vec2<f32>(high / temperature, gate);
}
