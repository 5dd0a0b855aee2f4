// Multi-similarity: ln(1 + sum of e^(-ALPHA (s - BASE)) over the positives)/ALPHA + ln(1 + sum of e^(BETA (s - BASE)) over the
// negatives)/BETA.
override ALPHA: f32 = 2.0;
override BETA: f32 = 50.0;
override BASE: f32 = 0.5;

const STAGED: bool = false;

fn term(candidate: Candidate) -> Term {
    let slope = select(BETA, -ALPHA, candidate.is_positive);
    let is_negative = !candidate.is_own && !candidate.is_positive;
    return Term(slope * (candidate.score - BASE), slope, candidate.is_positive, is_negative);
}

fn extra(candidate: Candidate, lse: vec2<f32>) -> vec2<f32> {
    return vec2<f32>();
}

fn finish(lse: vec2<f32>, extras: vec2<f32>, positives: f32) -> Outcome {
    let value = softplus(lse.x) / ALPHA + softplus(lse.y) / BETA;
    return Outcome(value, lse, vec2<f32>(sigmoid(lse.x) / ALPHA, sigmoid(lse.y) / BETA), 0.0);
}

fn extra_slope(candidate: Candidate, outcome: Outcome) -> f32 {
    return 0.0;
}
