// First-order PolyLoss: cross-entropy + EPSILON (1 - p), p the target's probability. Linked with
// templates/rowwise/softmax_target, which differentiates cross and rest = 1 - p.
override POLY1_CROSS_ENTROPY_EPSILON: f32 = 2.0;

fn poly1_cross_entropy_loss(statistics: SoftmaxStatistics) -> ValueWithPartials {
    return ValueWithPartials(statistics.cross + POLY1_CROSS_ENTROPY_EPSILON * statistics.rest, 1.0, POLY1_CROSS_ENTROPY_EPSILON);
}
