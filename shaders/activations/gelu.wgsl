// GELU: y = x P(x), dy/dx = P(x) + x p(x), with P and p the distribution and density of the
// standard normal; or, with APPROXIMATE, P(x) = (1 + tanh u)/2, u = sqrt(2/pi) (x + 0.044715 x^3).
override GELU_APPROXIMATE: bool = false;

// 1 - P(a) = e^(-a^2/2) h(a), a = |x|, h a polynomial in 1/(1 + 0.35 a): absolute error below
// 1.8e-7 plus the driver's exp.
fn gelu_distribution(x: f32) -> f32 {
    let a = abs(x);
    let t = 1.0 / (1.0 + 0.35 * a);
    let low = 0.1396213 + t * (0.1398636 + t * (0.11982069 + t * (0.10555498 - t * 0.023218445)));
    let high = 0.15932884 + t * (-0.25584722 + t * (0.14403499 - t * 0.029158737));
    let tail = exp(-0.5 * a * a) * t * (low + t * t * t * t * t * high);
    return select(tail, 1.0 - tail, x > 0.0);
}

// The argument is 2u: (1 + tanh u)/2 = sigmoid(2u) and (1 - tanh^2 u)/2 = 2 sigmoid(2u)
// sigmoid(-2u), which keep their digits in the tails.
fn gelu_inner(x: f32) -> f32 {
    return 1.5957691216 * (x + 0.044715 * x * x * x);
}

fn gelu_activate(x: f32) -> f32 {
    // Beyond 40 both formulas give 0 or x; the clamp keeps x^2 and x^3 finite.
    let z = clamp(x, -40.0, 40.0);
    var distribution = sigmoid(gelu_inner(z));
    if !GELU_APPROXIMATE {
        distribution = gelu_distribution(z);
    }
    return select(max(x, -3.0e38) * distribution, x, is_nan(x));
}

fn gelu_derivative(x: f32, y: f32) -> f32 {
    let z = clamp(x, -40.0, 40.0);
    let inner = gelu_inner(z);
    let d_inner = 1.5957691216 * (1.0 + 0.134145 * z * z);
    var value = sigmoid(inner) * (1.0 + z * d_inner * sigmoid(-inner));
    if !GELU_APPROXIMATE {
        value = gelu_distribution(z) + z * 0.3989422804 * exp(-0.5 * z * z);
    }
    return select(value, x, is_nan(x));
}
