// SimPO of mean log-probabilities x = (policy_chosen, policy_rejected), h = BETA (x.x - x.y) - GAMMA:
// softplus(-h) + LABEL_SMOOTHING h, with respect to h LABEL_SMOOTHING - sigma(-h).
override BETA: f32 = 2.0;
override GAMMA: f32 = 1.0;
override LABEL_SMOOTHING: f32 = 0.0;

fn quad(x: vec4<f32>) -> Quad {
    let h = BETA * (x.x - x.y) - GAMMA;
    let slope = BETA * (LABEL_SMOOTHING - sigmoid(-h));
    return Quad(softplus(-h) + select(LABEL_SMOOTHING * h, 0.0, LABEL_SMOOTHING == 0.0), vec2<f32>(slope, -slope));
}
