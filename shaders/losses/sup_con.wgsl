// Supervised contrastive loss: ln of the sum of e^(s/T) over all others minus the mean of s/T over
// those of the same label.
override SUP_CON_TEMPERATURE: f32 = 0.1;

const SUP_CON_STAGED: bool = false;

fn sup_con_term(candidate: Candidate) -> Term {
    return Term(candidate.score / SUP_CON_TEMPERATURE, 1.0 / SUP_CON_TEMPERATURE, !candidate.is_own, false);
}

fn sup_con_extra(candidate: Candidate, lse: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(select(0.0, candidate.score / SUP_CON_TEMPERATURE, candidate.is_positive), 0.0);
}

fn sup_con_finish(lse: vec2<f32>, extras: vec2<f32>, positives: f32) -> Outcome {
    let share = 1.0 / max(positives, 1.0);
    return Outcome(lse.x - extras.x * share, lse, vec2<f32>(1.0, 0.0), share / SUP_CON_TEMPERATURE);
}

fn sup_con_extra_gradient(candidate: Candidate, outcome: Outcome) -> f32 {
    return select(0.0, -outcome.extra, candidate.is_positive);
}
