// Focal loss of the softmax: -ALPHA (1 - p)^GAMMA ln p, p the label's probability. Linked with templates/rowwise/softmax_target: a function
// of cross = -ln p and rest = 1 - p, whose derivative by cross, rest moving along, is ALPHA rest^GAMMA (1 + GAMMA p cross/rest).
override GAMMA: f32 = 2.0;
override ALPHA: f32 = 1.0;

fn judge(standing: Standing) -> Judged {
    let ease = ALPHA * power(standing.rest, GAMMA);
    // cross/rest goes to 1 with rest to 0, and p ln p to 0 with p.
    let ratio = select(standing.cross / standing.rest, 1.0, standing.rest == 0.0);
    let share = select(standing.probability * ratio, 0.0, standing.probability == 0.0);
    return Judged(select(ease * standing.cross, 0.0, ease == 0.0), ease * (1.0 + GAMMA * share), 0.0);
}
