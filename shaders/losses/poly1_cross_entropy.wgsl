// PolyLoss of the first order: cross-entropy + EPSILON (1 - p), p the target's probability. Linked with
// templates/rowwise/softmax_target, which differentiates cross and rest = 1 - p.
override EPSILON: f32 = 2.0;

fn judge(standing: Standing) -> Judged {
    return Judged(standing.cross + EPSILON * standing.rest, 1.0, EPSILON);
}
