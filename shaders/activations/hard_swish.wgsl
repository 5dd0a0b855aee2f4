// Hard swish: y = x min(max(x + 3, 0), 6)/6; dy/dx = 0 up to -3, x/3 + 1/2 between, 1 from 3 on.
fn hard_swish_activate(x: f32) -> f32 {
    // The maximum keeps an infinite x from meeting 0.
    return select(max(x, -3.0) * (clamp(x + 3.0, 0.0, 6.0) / 6.0), x, is_nan(x));
}

fn hard_swish_derivative(x: f32, y: f32) -> f32 {
    let inside = select(x / 3.0 + 0.5, 1.0, x >= 3.0);
    return select(select(inside, 0.0, x <= -3.0), x, is_nan(x));
}
