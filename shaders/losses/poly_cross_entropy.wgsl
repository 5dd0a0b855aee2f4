// PolyLoss: cross-entropy + sum over j of EPSILON_j (1 - p)^j, p the target's probability. Linked
// with templates/rowwise/softmax_target, which differentiates cross and rest = 1 - p.
override POLY_CROSS_ENTROPY_EPSILON_1: f32 = 2.0;
override POLY_CROSS_ENTROPY_EPSILON_2: f32 = 0.0;
override POLY_CROSS_ENTROPY_EPSILON_3: f32 = 0.0;
override POLY_CROSS_ENTROPY_EPSILON_4: f32 = 0.0;
override POLY_CROSS_ENTROPY_EPSILON_5: f32 = 0.0;
override POLY_CROSS_ENTROPY_EPSILON_6: f32 = 0.0;
override POLY_CROSS_ENTROPY_EPSILON_7: f32 = 0.0;
override POLY_CROSS_ENTROPY_EPSILON_8: f32 = 0.0;

// One step of Horner's scheme for the polynomial and its derivative.
fn poly_cross_entropy_step_down(sums: vec2<f32>, rest: f32, epsilon: f32) -> vec2<f32> {
    return vec2<f32>(sums.x * rest + epsilon, sums.y * rest + sums.x);
}

fn poly_cross_entropy_loss(statistics: SoftmaxStatistics) -> ValueWithPartials {
    let r = statistics.rest;
    var sums = vec2<f32>(POLY_CROSS_ENTROPY_EPSILON_8, 0.0);
    sums = poly_cross_entropy_step_down(sums, r, POLY_CROSS_ENTROPY_EPSILON_7);
    sums = poly_cross_entropy_step_down(sums, r, POLY_CROSS_ENTROPY_EPSILON_6);
    sums = poly_cross_entropy_step_down(sums, r, POLY_CROSS_ENTROPY_EPSILON_5);
    sums = poly_cross_entropy_step_down(sums, r, POLY_CROSS_ENTROPY_EPSILON_4);
    sums = poly_cross_entropy_step_down(sums, r, POLY_CROSS_ENTROPY_EPSILON_3);
    sums = poly_cross_entropy_step_down(sums, r, POLY_CROSS_ENTROPY_EPSILON_2);
    sums = poly_cross_entropy_step_down(sums, r, POLY_CROSS_ENTROPY_EPSILON_1);
    let polynomial = poly_cross_entropy_step_down(sums, r, 0.0);
    return ValueWithPartials(statistics.cross + polynomial.x, 1.0, polynomial.y);
}
