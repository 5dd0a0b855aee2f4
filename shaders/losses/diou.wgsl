// Distance IoU: 1 - I/(U + e) + |centre - true centre|^2/(c^2 + e), c the diagonal of the smallest
// box around both.
override DIOU_EPSILON: f32 = 1e-7;

fn diou_loss(pair: BoxPair) -> BoxTerms {
    let joined = pair.joined + pair.epsilon;
    let ratio = pair.overlap / joined;
    let diagonal = dot(pair.hull, pair.hull) + pair.epsilon;
    let distance = dot(pair.apart, pair.apart) / diagonal;
    let d_hull = (-2.0 * distance / diagonal) * pair.hull;
    return BoxTerms((1.0 - ratio) + distance, -1.0 / joined, ratio / joined, d_hull, (2.0 / diagonal) * pair.apart, vec2<f32>());
}
