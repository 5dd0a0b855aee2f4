// Focal loss of the softmax: -ALPHA (1 - p)^GAMMA ln p, p the label's probability. Linked with
// templates/rowwise/softmax_target: a function of cross = -ln p and rest = 1 - p.
// Its total derivative by cross (rest depends on it) is ALPHA rest^GAMMA (1 + GAMMA p cross/rest).
override FOCAL_GAMMA: f32 = 2.0;
override FOCAL_ALPHA: f32 = 1.0;

fn focal_loss(statistics: SoftmaxStatistics) -> ValueWithPartials {
    let ease = FOCAL_ALPHA * power(statistics.rest, FOCAL_GAMMA);
    // Limits: cross/rest goes to 1 as rest goes to 0, and p ln p to 0 as p goes to 0.
    let ratio = select(statistics.cross / statistics.rest, 1.0, statistics.rest == 0.0);
    let share = select(statistics.probability * ratio, 0.0, statistics.probability == 0.0);
    return ValueWithPartials(select(ease * statistics.cross, 0.0, ease == 0.0), ease * (1.0 + FOCAL_GAMMA * share), 0.0);
}
