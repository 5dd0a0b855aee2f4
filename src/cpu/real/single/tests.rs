//! Measures the f32 functions against f64 in dense sweeps.

use crate::cpu::real::single::*;

/// How far `found` lies from `exact` in units of the last place that f32 has there.
fn ulps(found: f32, exact: f64) -> f64 {
    let near = exact.abs().max(f64::from(f32::MIN_POSITIVE));
    let unit = 2.0_f64.powi(near.log2().floor() as i32 - 23);
    (f64::from(found) - exact).abs() / unit
}

/// The largest error over every `stride`-th f32 of [low, high], and where it stands.
fn worst(
    low: f32,
    high: f32,
    single: impl Fn(f32) -> f32,
    double: impl Fn(f64) -> f64,
) -> (f64, f32) {
    // An order-preserving map of floats to integers: a sweep over it meets every binade alike.
    let key = |x: f32| if x >= 0.0 { i64::from(x.to_bits()) } else { -i64::from((-x).to_bits()) };
    let (start, end) = (key(low), key(high));
    let stride = ((end - start) / 1_000_000).max(1);
    let mut found = (0.0, low);
    for index in (start..=end).step_by(stride as usize) {
        let x =
            if index >= 0 { f32::from_bits(index as u32) } else { -f32::from_bits(-index as u32) };
        let error = ulps(single(x), double(f64::from(x)));
        assert!(!error.is_nan(), "NaN at {x:e}");
        if error > found.0 {
            found = (error, x);
        }
    }
    found
}

macro_rules! sweep {
    ($name:ident, $low:expr, $high:expr, $single:expr, $double:expr, $limit:expr) => {
        #[test]
        fn $name() {
            let (error, place) = worst($low, $high, $single, $double);
            println!("{}: {error:.3} ulp at {place:e}", stringify!($name));
            assert!(error <= $limit, "{error} ulp at {place:e}");
        }
    };
}

fn softplus_exact(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

sweep!(exp_is_within_1_ulp, -87.3, 88.7, exp, f64::exp, 1.0);
sweep!(subnormal_exp_is_within_2_ulp, -104.0, -87.3, exp, f64::exp, 2.0);
sweep!(ln_is_within_1_ulp, 1e-45, f32::MAX, ln, f64::ln, 1.0);
sweep!(ln_near_1_is_within_1_ulp, 0.5, 2.0, ln, f64::ln, 1.0);
sweep!(exp_m1_is_within_2_ulp, -30.0, 88.7, exp_m1, f64::exp_m1, 2.0);
sweep!(exp_m1_near_0_is_within_2_ulp, -2.0, 2.0, exp_m1, f64::exp_m1, 2.0);
sweep!(ln_1p_is_within_2_ulp, -0.999_999_9, f32::MAX, ln_1p, f64::ln_1p, 2.0);
sweep!(ln_1p_near_0_is_within_2_ulp, -0.5, 1.0, ln_1p, f64::ln_1p, 2.0);
sweep!(tanh_is_within_3_ulp, -20.0, 20.0, tanh, f64::tanh, 3.0);
sweep!(
    sigmoid_is_within_2_and_a_half_ulp,
    -87.0,
    40.0,
    crate::Real::sigmoid,
    |x| 1.0 / (1.0 + (-x).exp()),
    2.5
);
sweep!(softplus_is_within_2_and_a_half_ulp, -87.0, 1e6, crate::Real::softplus, softplus_exact, 2.5);
sweep!(exp_below_is_within_1_ulp, -87.3, 0.0, exp_below, f64::exp, 1.0);
sweep!(
    the_logistic_tail_is_within_2_and_a_half_ulp,
    -87.0,
    87.0,
    |x| logistic(x).0,
    |x| (-x.abs()).exp().ln_1p(),
    2.5
);
sweep!(
    the_higher_logistic_is_within_2_and_a_half_ulp,
    -87.0,
    87.0,
    |x| logistic(x).1,
    |x| 1.0 / (1.0 + (-x.abs()).exp()),
    2.5
);
sweep!(
    the_lower_logistic_is_within_2_and_a_half_ulp,
    -87.0,
    87.0,
    |x| logistic(x).2,
    |x| 1.0 / (1.0 + x.abs().exp()),
    2.5
);
sweep!(
    the_power_2_2_is_within_1_ulp,
    1e-16,
    1e16,
    |x| powf(x, 2.2),
    |x| x.powf(f64::from(2.2_f32)),
    1.0
);
sweep!(
    the_power_minus_half_is_within_1_ulp,
    1e-45,
    f32::MAX,
    |x| powf(x, -0.5),
    |x| x.powf(-0.5),
    1.0
);

#[test]
fn exp_below_ends_at_0_and_keeps_nan() {
    assert_eq!((exp_below(0.0), exp_below(-0.0)), (1.0, 1.0));
    // Between −87.34 and −87.68 the result is subnormal, below 2⁻¹²⁶ and rounded once; further down it is 0.
    assert!(
        (f64::from(exp_below(-87.5)) - (-87.5_f64).exp()).abs() <= f64::from(f32::from_bits(1))
    );
    assert_eq!((exp_below(-88.0), exp_below(-1e30), exp_below(f32::NEG_INFINITY)), (0.0, 0.0, 0.0));
    assert!(exp_below(f32::NAN).is_nan());
    assert!(
        logistic(f32::NAN).0.is_nan()
            && logistic(f32::NAN).1.is_nan()
            && logistic(f32::NAN).2.is_nan()
    );
    assert_eq!(logistic(f32::NEG_INFINITY), (0.0, 1.0, 0.0));
}

#[test]
fn edges_are_those_of_the_standard_library() {
    let inputs = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        1e-45,
        -1e-45,
        1e-40,
        88.8,
        -104.5,
        200.0,
        -200.0,
        f32::MAX,
        f32::MIN,
    ];
    let endless = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    for x in inputs.into_iter().chain(endless) {
        let pairs: [(&str, f32, f32); 5] = [
            ("exp", exp(x), x.exp()),
            ("ln", ln(x), x.ln()),
            ("exp_m1", exp_m1(x), x.exp_m1()),
            ("ln_1p", ln_1p(x), x.ln_1p()),
            ("tanh", tanh(x), x.tanh()),
        ];
        for (name, found, expected) in pairs {
            let equal = found == expected || (found.is_nan() && expected.is_nan());
            let near = (found - expected).abs() <= expected.abs() * 2.4e-7; // 2 ulp
            assert!(equal || near, "{name}({x:e}) is {found:e}, not {expected:e}");
        }
    }
}

#[test]
fn powers_at_the_edges_are_those_of_the_standard_library() {
    let bases = [0.0, 1.0, -1.0, 2.0, -2.0, -0.5, 1e-40, 1e38, f32::INFINITY, f32::NEG_INFINITY];
    for x in bases {
        for p in [0.0, 1.0, -1.0, 2.0, 3.0, -3.0, 0.5, 2.5, 100.0, -100.0] {
            let (found, expected) = (powf(x, p), x.powf(p));
            let equal = found.abs() == expected.abs()
                || (found.is_nan() && expected.is_nan())
                || x == f32::NEG_INFINITY;
            let near = (found - expected).abs() <= expected.abs() * 1.2e-7; // 1 ulp
            assert!(equal || near, "{x:e}^{p} is {found:e}, not {expected:e}");
        }
    }
    assert!(powf(f32::NAN, 0.0).is_nan() && powf(2.0, f32::NAN).is_nan());
}
