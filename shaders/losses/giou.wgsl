// Generalized IoU: 1 - I/(U + e) + (C - U)/(C + e), C the area of the smallest box around both.
override GIOU_EPSILON: f32 = 1e-7;

fn giou_loss(pair: BoxPair) -> BoxTerms {
    let joined = pair.joined + pair.epsilon;
    let ratio = pair.overlap / joined;
    let hull = pair.hull.x * pair.hull.y;
    let around = hull + pair.epsilon;
    let value = (1.0 - ratio) + (hull - pair.joined) / around;
    let d_hull = joined / around / around;
    return BoxTerms(value, -1.0 / joined, ratio / joined - 1.0 / around, d_hull * pair.hull.yx, vec2<f32>(), vec2<f32>());
}
