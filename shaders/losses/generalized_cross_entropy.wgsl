// Generalized cross-entropy of the softmax: (1 - p^Q)/Q, p the label's probability. Linked with
// templates/rowwise/softmax_target: with cross = -ln p it is -(e^(-Q cross) - 1)/Q, which is
// accurate where Q or cross is small; derivative by cross e^(-Q cross).
override GENERALIZED_CROSS_ENTROPY_Q: f32 = 0.7;

fn generalized_cross_entropy_loss(statistics: SoftmaxStatistics) -> ValueWithPartials {
    let exponent = -GENERALIZED_CROSS_ENTROPY_Q * statistics.cross;
    return ValueWithPartials(-exp_m1(exponent) / GENERALIZED_CROSS_ENTROPY_Q, exp_any(exponent), 0.0);
}
