// Hard sigmoid: y = min(max(x + 3, 0), 6)/6; dy/dx = 1/6 where y is between 0 and 1, else 0.
fn hard_sigmoid_activate(x: f32) -> f32 {
    return select(clamp(x + 3.0, 0.0, 6.0) / 6.0, x, is_nan(x));
}

fn hard_sigmoid_derivative(x: f32, y: f32) -> f32 {
    return select(select(0.0, 1.0 / 6.0, y > 0.0 && y < 1.0), y, is_nan(y));
}
