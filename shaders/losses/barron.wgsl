// Barron's general loss: b/ALPHA ((1 + r^2/b)^(ALPHA/2) - 1), r = |e| / SCALE, b = |ALPHA - 2|;
// derivative e/SCALE^2 (1 + r^2/b)^(ALPHA/2 - 1). r^2/2 at ALPHA = 2, ln(1 + r^2/2) at 0.
// With q = r/sqrt b and m = min(q, 1/q), 1 + q^2 is 1 + m^2 up to q = 1 and q^2 (1 + m^2) beyond:
// no square overflows.
override BARRON_ALPHA: f32 = 1.0;
override BARRON_SCALE: f32 = 1.0;
// Of the exact ALPHA: differences of a rounded one have lost digits near 2, 1 and 0.
override BARRON_B: f32 = 1.0;
// b/ALPHA, 0 for an ALPHA of 0: a quotient of constants is computed even where it is not used.
override BARRON_FACTOR: f32 = 1.0;
override BARRON_ALPHA_LESS_ONE: f32 = 0.0;
override BARRON_HALF_LESS_ONE: f32 = -0.5;

fn barron_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let ratio = abs(error) / BARRON_SCALE;
    if BARRON_B == 0.0 {
        return Loss(0.5 * ratio * ratio, sign(error) * (ratio / BARRON_SCALE));
    }
    let root = sqrt(BARRON_B);
    let q = ratio / root;
    let is_far = q > 1.0;
    let smaller = select(q, 1.0 / max(q, 1.0), is_far);
    let near = ln_1p_unit_interval(smaller * smaller);
    var far = 0.0;
    if is_far {
        far = ln_positive(q);
    }
    let size = select(q, power(q, BARRON_ALPHA_LESS_ONE), is_far);
    let derivative = sign(error) * (root / BARRON_SCALE) * size * exp_any(BARRON_HALF_LESS_ONE * near);
    if BARRON_ALPHA == 0.0 {
        return Loss(2.0 * far + near, derivative);
    }
    let exponent = BARRON_ALPHA * far + 0.5 * BARRON_ALPHA * near;
    let whole = select(1.0, power(q, BARRON_ALPHA), is_far) * exp_any(0.5 * BARRON_ALPHA * near) - 1.0;
    let above = select(whole, exp_m1(exponent), abs(exponent) < 0.5);
    return Loss(BARRON_FACTOR * above, derivative);
}
