// ReLU: y = max(x, 0), dy/dx = [y > 0]; 0 at the kink. max would turn NaN into 0.
fn relu_activate(x: f32) -> f32 {
    return select(max(x, 0.0), x, is_nan(x));
}

fn relu_derivative(x: f32, y: f32) -> f32 {
    return select(select(0.0, 1.0, y > 0.0), y, is_nan(y));
}
