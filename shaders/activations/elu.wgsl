// ELU: y = x above 0, ALPHA (e^x - 1) below; dy/dx = 1 above, y + ALPHA below and at 0. y has the
// sign of x.
override ELU_ALPHA: f32 = 1.0;

fn elu_activate(x: f32) -> f32 {
    let below = ELU_ALPHA * exp_m1(min(x, 0.0));
    return select(select(below, x, x > 0.0), x, is_nan(x));
}

fn elu_derivative(x: f32, y: f32) -> f32 {
    return select(select(y + ELU_ALPHA, 1.0, y > 0.0), y, is_nan(y));
}
