// InfoNCE: cross-entropy of the scores over TEMPERATURE, with the own column as the class:
//     loss = ln(1 + e^(L - s_own/T)),  L = ln of the sum of e^(s/T) over all others
// In this form nothing cancels where the own score is far above the others.
override INFO_NCE_TEMPERATURE: f32 = 0.07;

const INFO_NCE_STAGED: bool = false;

fn info_nce_term(candidate: Candidate) -> Term {
    return Term(candidate.score / INFO_NCE_TEMPERATURE, 1.0 / INFO_NCE_TEMPERATURE, !candidate.is_own, false);
}

fn info_nce_extra(candidate: Candidate, lse: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(select(0.0, candidate.score / INFO_NCE_TEMPERATURE, candidate.is_own), 0.0);
}

fn info_nce_finish(lse: vec2<f32>, extras: vec2<f32>, positives: f32) -> Outcome {
    let lag = lse.x - extras.x;
    let share = sigmoid(lag);
    return Outcome(softplus(lag), lse, vec2<f32>(share, 0.0), -share / INFO_NCE_TEMPERATURE);
}

fn info_nce_extra_gradient(candidate: Candidate, outcome: Outcome) -> f32 {
    return select(0.0, outcome.extra, candidate.is_own);
}
