// SiLU (swish): y = x s, dy/dx = s (1 + x (1 - s)), s = sigmoid(x).
// The clamp keeps an infinite x from meeting 0: the limits are 0 and -0 below, x and 1 above.
fn silu_activate(x: f32) -> f32 {
    return select(max(x, -3.0e38) * sigmoid(x), x, is_nan(x));
}

fn silu_derivative(x: f32, y: f32) -> f32 {
    let s = sigmoid(x);
    // 1 - s as sigmoid(-x), which keeps its digits.
    return select(s * (1.0 + clamp(x, -3.0e38, 3.0e38) * sigmoid(-x)), x, is_nan(x));
}
