// Generalized cross-entropy of the softmax: (1 - p^Q)/Q, p the label's probability. Linked with templates/rowwise/softmax_target: with
// cross = -ln p it is -(e^(-Q cross) - 1)/Q, which keeps its digits where Q or cross is small; derivative by cross e^(-Q cross).
override Q: f32 = 0.7;

fn judge(standing: Standing) -> Judged {
    let exponent = -Q * standing.cross;
    return Judged(-expm1_full(exponent) / Q, exp_full(exponent), 0.0);
}
