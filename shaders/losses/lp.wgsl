// P-th power of the error: |e|^P, derivative P |e|^(P - 1) sign e, 0 at 0.
override LP_P: f32 = 2.0;
// A separate constant, since P - 1 of a rounded P has lost digits near 1.
override LP_P_LESS_ONE: f32 = 1.0;

fn lp_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let size = abs(error);
    let power_below = power(size, LP_P_LESS_ONE);
    // At 0 and at infinity a negative exponent would give 0 times infinity.
    let is_end = size == 0.0 || size > 3.4e38;
    return Loss(select(size * power_below, size, is_end), select(LP_P * power_below * sign(error), 0.0, size == 0.0));
}
