// ReLU6: y = min(max(x, 0), 6), dy/dx = [0 < y < 6]. clamp would hide NaN.
fn relu6_activate(x: f32) -> f32 {
    return select(clamp(x, 0.0, 6.0), x, is_nan(x));
}

fn relu6_derivative(x: f32, y: f32) -> f32 {
    return select(select(0.0, 1.0, y > 0.0 && y < 6.0), y, is_nan(y));
}
