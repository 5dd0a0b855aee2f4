// PolyLoss: cross-entropy + sum over j of EPSILON_j (1 - p)^j, p the target's probability. Linked with
// templates/rowwise/softmax_target, which differentiates cross and rest = 1 - p.
override EPSILON_1: f32 = 2.0;
override EPSILON_2: f32 = 0.0;
override EPSILON_3: f32 = 0.0;
override EPSILON_4: f32 = 0.0;
override EPSILON_5: f32 = 0.0;
override EPSILON_6: f32 = 0.0;
override EPSILON_7: f32 = 0.0;
override EPSILON_8: f32 = 0.0;

// One step of Horner's rule on the polynomial and on its derivative.
fn step_down(sums: vec2<f32>, rest: f32, epsilon: f32) -> vec2<f32> {
    return vec2<f32>(sums.x * rest + epsilon, sums.y * rest + sums.x);
}

fn judge(standing: Standing) -> Judged {
    let r = standing.rest;
    let high = step_down(step_down(step_down(vec2<f32>(EPSILON_8, 0.0), r, EPSILON_7), r, EPSILON_6), r, EPSILON_5);
    let low = step_down(step_down(step_down(step_down(high, r, EPSILON_4), r, EPSILON_3), r, EPSILON_2), r, EPSILON_1);
    let polynomial = step_down(low, r, 0.0);
    return Judged(standing.cross + polynomial.x, 1.0, polynomial.y);
}
