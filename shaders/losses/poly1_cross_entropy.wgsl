// First-order PolyLoss: cross-entropy + EPSILON sum of t (1 - p). Linked with
// templates/rowwise/softmax_target, which differentiates cross and rest = sum of p (1 - t); the two
// sums are equal where the targets sum to 1, and differ by a constant elsewhere.
override POLY1_CROSS_ENTROPY_EPSILON: f32 = 2.0;

fn poly1_cross_entropy_loss(statistics: SoftmaxStatistics) -> ValueWithPartials {
    return ValueWithPartials(statistics.cross + POLY1_CROSS_ENTROPY_EPSILON * (statistics.rest + (statistics.mass - 1.0)), 1.0, POLY1_CROSS_ENTROPY_EPSILON);
}
