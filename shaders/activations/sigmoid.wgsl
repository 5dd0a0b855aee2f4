// Sigmoid: y = 1/(1 + e^-x), dy/dx = y (1 - y).
fn sigmoid_activate(x: f32) -> f32 {
    return select(sigmoid(x), x, is_nan(x));
}

fn sigmoid_derivative(x: f32, y: f32) -> f32 {
    return y * (1.0 - y);
}
