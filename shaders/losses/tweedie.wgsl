// Half the Tweedie deviance, x the logarithm of the mean, a = 2 - p, b = 1 - p:
//     e^(ax)/a - y e^(bx)/b + y^a/(ab), derivative e^(ax) - y e^(bx)
// and with d = x - ln y, y^a ((e^(ad) - 1)/a - (e^(bd) - 1)/b), which keeps its digits near its best, d = 0.
// The overrides come apart, since 2 - p of a rounded p has lost digits near 2.
override TO_TWO: f32 = 0.5;
override TO_ONE: f32 = -0.5;

fn loss(prediction: f32, truth: f32) -> Loss {
    // Finite, so that infinity less infinity and 0 times infinity cannot be.
    let x = clamp(prediction, -1e30, 1e30);
    let distance = x - log_full(truth);
    let power_of_truth = power(truth, TO_TWO);
    // Far from its best, where y may be 0, the terms are what they are; near it everything is y^a times what d leaves.
    // No branches: software Vulkan takes both sides of each.
    let is_near = truth > 0.0 && abs(distance) * (abs(TO_TWO) + abs(TO_ONE)) < 40.0;
    let exponent = select(x, distance, is_near);
    let grown = exp_and_less(TO_TWO * exponent);
    let shrunk = exp_and_less(TO_ONE * exponent);
    let pull = select(truth * shrunk.x, 0.0, truth == 0.0);
    let rises = select(grown.x - power_of_truth, power_of_truth * grown.y, is_near);
    let falls = select(pull - power_of_truth, power_of_truth * shrunk.y, is_near);
    let slope = select(grown.x - pull, rises - falls, is_near);
    if TO_ONE == 0.0 {
        return Loss(rises - select(truth * distance, 0.0, truth == 0.0), slope);
    }
    if TO_TWO == 0.0 {
        return Loss(distance + falls, slope);
    }
    return Loss(rises / TO_TWO - falls / TO_ONE, slope);
}
