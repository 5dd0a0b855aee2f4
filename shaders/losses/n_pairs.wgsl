// N-pairs: ln(1 + sum over the other columns of e^(s - s_own)) of the scores themselves, products of
// embeddings that are not normalized. With L = ln of the sum of e^s over the others it is
// ln(1 + e^(L - s_own)), in which nothing cancels where the own score is far above the others.
const N_PAIRS_STAGED: bool = false;

fn n_pairs_term(candidate: Candidate) -> Term {
    return Term(candidate.score, 1.0, !candidate.is_own, false);
}

fn n_pairs_extra(candidate: Candidate, lse: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(select(0.0, candidate.score, candidate.is_own), 0.0);
}

fn n_pairs_finish(lse: vec2<f32>, extras: vec2<f32>, positives: f32) -> Outcome {
    let lag = lse.x - extras.x;
    let share = sigmoid(lag);
    return Outcome(softplus(lag), lse, vec2<f32>(share, 0.0), -share);
}

fn n_pairs_extra_gradient(candidate: Candidate, outcome: Outcome) -> f32 {
    return select(0.0, outcome.extra, candidate.is_own);
}
