// Mish: y = x t, t = tanh(ln(1 + e^x)); dy/dx = t + x (1 - t^2) sigmoid(x).
//
// t and its derivative from one exponential that is at most 1: with e = e^x, t = (e^2 + 2e)/(e^2 +
// 2e + 2) and dt/dx = 4e (1 + e)/(e^2 + 2e + 2)^2; above 0 both are written in e^-x.
fn mish_factors(x: f32) -> vec2<f32> {
    let e = exp(-abs(x));
    let is_above = x > 0.0;
    let numerator = select(e * (e + 2.0), 1.0 + 2.0 * e, is_above);
    let divisor = numerator + select(2.0, 2.0 * e * e, is_above);
    let top = 4.0 * e * (1.0 + e) * select(1.0, e, is_above);
    return vec2<f32>(numerator / divisor, top / (divisor * divisor));
}

fn mish_activate(x: f32) -> f32 {
    // The maximum keeps an infinite x from meeting 0.
    return select(max(x, -3.0e38) * mish_factors(x).x, x, is_nan(x));
}

fn mish_derivative(x: f32, y: f32) -> f32 {
    let factors = mish_factors(x);
    return select(factors.x + clamp(x, -3.0e38, 3.0e38) * factors.y, x, is_nan(x));
}
