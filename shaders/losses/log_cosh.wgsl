// Log-cosh: |e| + ln(1 + e^(-2|e|)) - ln 2, derivative tanh e. For |e| below 1 the value is a
// difference of nearly equal numbers, and drivers compute tanh by one: there cosh a - 1 and sinh a
// come from their series (first omitted terms: relative 4e-9 and 3e-8).
fn log_cosh_loss(prediction: f32, truth: f32) -> Loss {
    let error = prediction - truth;
    let a = abs(error);
    let q = a * a;
    let rise = 0.5 * q * (1.0 + q * 0.083333333 * (1.0 + q * 0.033333333 * (1.0 + q * 0.017857143 * (1.0 + q * 0.011111111))));
    let sine = a * (1.0 + q * 0.16666667 * (1.0 + q * 0.05 * (1.0 + q * 0.023809524 * (1.0 + q * 0.013888889))));
    let e = exp(-2.0 * a);
    let near = a < 1.0;
    let z = select(e, rise, near);
    let value = select(a - 0.69314718, 0.0, near) + ln_1p_unit_interval(z);
    return Loss(value, sign(error) * (select(1.0 - e, sine, near) / (1.0 + z)));
}
