// Multi-similarity: ln(1 + sum of e^(-ALPHA (s - BASE)) over the positives)/ALPHA + ln(1 + sum of
// e^(BETA (s - BASE)) over the negatives)/BETA.
override MULTI_SIMILARITY_ALPHA: f32 = 2.0;
override MULTI_SIMILARITY_BETA: f32 = 50.0;
override MULTI_SIMILARITY_BASE: f32 = 0.5;

const MULTI_SIMILARITY_STAGED: bool = false;

fn multi_similarity_term(candidate: Candidate) -> Term {
    let gradient = select(MULTI_SIMILARITY_BETA, -MULTI_SIMILARITY_ALPHA, candidate.is_positive);
    let is_negative = !candidate.is_own && !candidate.is_positive;
    return Term(gradient * (candidate.score - MULTI_SIMILARITY_BASE), gradient, candidate.is_positive, is_negative);
}

fn multi_similarity_extra(candidate: Candidate, lse: vec2<f32>) -> vec2<f32> {
    return vec2<f32>();
}

fn multi_similarity_finish(lse: vec2<f32>, extras: vec2<f32>, positives: f32) -> Outcome {
    let value = softplus(lse.x) / MULTI_SIMILARITY_ALPHA + softplus(lse.y) / MULTI_SIMILARITY_BETA;
    return Outcome(value, lse, vec2<f32>(sigmoid(lse.x) / MULTI_SIMILARITY_ALPHA, sigmoid(lse.y) / MULTI_SIMILARITY_BETA), 0.0);
}

fn multi_similarity_extra_gradient(candidate: Candidate, outcome: Outcome) -> f32 {
    return 0.0;
}
