// Softplus: y = ln(1 + e^(BETA x))/BETA, dy/dx = sigmoid(BETA x); y = x where BETA x > THRESHOLD.
override SOFTPLUS_BETA: f32 = 1.0;
override SOFTPLUS_THRESHOLD: f32 = 20.0;

fn softplus_activate(x: f32) -> f32 {
    let z = SOFTPLUS_BETA * x;
    return select(softplus(z) / SOFTPLUS_BETA, x, z > SOFTPLUS_THRESHOLD || is_nan(x));
}

fn softplus_derivative(x: f32, y: f32) -> f32 {
    let z = SOFTPLUS_BETA * x;
    return select(select(sigmoid(z), 1.0, z > SOFTPLUS_THRESHOLD), x, is_nan(x));
}
