// SELU: y = LAMBDA x above 0, LIMIT (e^x - 1) below; dy/dx = LAMBDA above, y + LIMIT below and at
// 0, LIMIT = LAMBDA 1.6732632. y has the sign of x.
const SELU_LAMBDA: f32 = 1.0507009873554805;
const SELU_LIMIT: f32 = 1.7580993408473766;

fn selu_activate(x: f32) -> f32 {
    let below = SELU_LIMIT * exp_m1(min(x, 0.0));
    return select(select(below, SELU_LAMBDA * x, x > 0.0), x, is_nan(x));
}

fn selu_derivative(x: f32, y: f32) -> f32 {
    return select(select(y + SELU_LIMIT, SELU_LAMBDA, y > 0.0), y, is_nan(y));
}
