// NT-Xent with labels: each pair of equal label is a cross-entropy of its own against the row's
// negatives only, ln(1 + e^(L - s/T)) with L = ln of the sum of e^(s/T) over the negatives; a row's
// value is the sum over its pairs.
override NT_XENT_TEMPERATURE: f32 = 0.07;

const NT_XENT_STAGED: bool = true;

fn nt_xent_term(candidate: Candidate) -> Term {
    return Term(candidate.score / NT_XENT_TEMPERATURE, 1.0 / NT_XENT_TEMPERATURE, !candidate.is_own && !candidate.is_positive, false);
}

// Value and derivative by L for a pair.
fn nt_xent_extra(candidate: Candidate, lse: vec2<f32>) -> vec2<f32> {
    let lag = lse.x - candidate.score / NT_XENT_TEMPERATURE;
    return select(vec2<f32>(), vec2<f32>(softplus(lag), sigmoid(lag)), candidate.is_positive);
}

fn nt_xent_finish(lse: vec2<f32>, extras: vec2<f32>, positives: f32) -> Outcome {
    return Outcome(extras.x, lse, vec2<f32>(extras.y, 0.0), 0.0);
}

fn nt_xent_extra_gradient(candidate: Candidate, outcome: Outcome) -> f32 {
    let lag = outcome.lse.x - candidate.score / NT_XENT_TEMPERATURE;
    return select(0.0, -sigmoid(lag) / NT_XENT_TEMPERATURE, candidate.is_positive);
}
