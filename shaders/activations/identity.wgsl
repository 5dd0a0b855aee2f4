// Identity: y = x, dy/dx = 1.
fn activate(x: f32) -> f32 {
    return x;
}

fn derivative(x: f32, y: f32) -> f32 {
    return select(1.0, y, is_nan(y));
}
