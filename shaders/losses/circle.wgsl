// Circle loss: ln(1 + sum over the negatives of e^(GAMMA a_n (s_n - m)) times the sum over the
// positives of e^(-GAMMA a_p (s_p - 1 + m))), a_n = [s_n + m]+ and a_p = [1 + m - s_p]+, with
// DETACH constant in the derivative, m = MARGIN.
override CIRCLE_MARGIN: f32 = 0.4;
override CIRCLE_GAMMA: f32 = 80.0;
override CIRCLE_DETACH: bool = true;

const CIRCLE_STAGED: bool = false;

fn circle_term(candidate: Candidate) -> Term {
    let s = candidate.score;
    let attraction = CIRCLE_GAMMA * max(1.0 + CIRCLE_MARGIN - s, 0.0);
    let repulsion = CIRCLE_GAMMA * max(s + CIRCLE_MARGIN, 0.0);
    let weight = select(repulsion, -attraction, candidate.is_positive);
    let gap = s - select(CIRCLE_MARGIN, 1.0 - CIRCLE_MARGIN, candidate.is_positive);
    // `weight`, where not 0, grows by GAMMA per unit of score, for positives and negatives alike.
    let through = select(0.0, CIRCLE_GAMMA * gap, !CIRCLE_DETACH && weight != 0.0);
    return Term(weight * gap, weight + through, candidate.is_positive, !candidate.is_own && !candidate.is_positive);
}

fn circle_extra(candidate: Candidate, lse: vec2<f32>) -> vec2<f32> {
    return vec2<f32>();
}

fn circle_finish(lse: vec2<f32>, extras: vec2<f32>, positives: f32) -> Outcome {
    let both = lse.x + lse.y;
    return Outcome(softplus(both), lse, vec2<f32>(sigmoid(both)), 0.0);
}

fn circle_extra_gradient(candidate: Candidate, outcome: Outcome) -> f32 {
    return 0.0;
}
