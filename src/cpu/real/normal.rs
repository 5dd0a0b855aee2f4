//! Φ(x) = ½(1 + erf(x/√2)), the CDF of the standard normal distribution, used by GELU.
//!
//! Both precisions use a = |x| and the tail q(a) = 1 − Φ(a), so that a negative x keeps its digits
//! where 1 + erf would cancel.

use crate::cpu::real::single;

/// 1/√2π.
const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;

/// Φ at f64: absolute error below 4e-16, relative error of the tail below 1e-13.
///
/// Up to 1.5 the series Φ(a) = ½ + φ(a) Σ a²ᵏ⁺¹/(1·3·5…(2k+1)), beyond that Laplace's continued
/// fraction q(a) = φ(a)/(a + 1/(a + 2/(a + 3/…))).
pub(crate) fn double(x: f64) -> f64 {
    let a = x.abs();
    let density = DENSITY_AT_0 * (-0.5 * a * a).exp();
    if a <= 1.5 {
        let (mut term, mut sum) = (a, a);
        // The ratio of successive terms is below 2.25/(2k + 1): after 30 terms the remainder is
        // below 1e-20.
        for k in 1..30 {
            term *= a * a / f64::from(2 * k + 1);
            sum += term;
        }
        return 0.5 + (density * sum).copysign(x);
    }
    // Evaluated from the innermost level; 200 levels are enough at 1.5 (the error falls as
    // exp(−2a√(2n))), fewer would be enough further out.
    let fraction = (1..=200).rev().fold(a, |fraction, k| a + f64::from(k) / fraction);
    let tail = density / fraction;
    if x > 0.0 {
        1.0 - tail
    } else if x.is_nan() {
        x
    } else {
        tail
    }
}

/// Φ at f32: absolute error below 1.8e-7 (1½ ulp of 1).
///
/// q(a) = e^(−a²/2) h(a) with h a polynomial in t = 1/(1 + 0.35 a), a weighted fit made for this
/// library with relative error 3.2e-8 up to a = 14.5, where e^(−a²/2) underflows f32.
#[inline(always)]
pub(crate) fn single(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.35 * a);
    let h = -0.029_158_737;
    let h = h * t + 0.144_035;
    let h = h * t - 0.255_847_22;
    let h = h * t + 0.159_328_84;
    let h = h * t - 0.023_218_445;
    let h = h * t + 0.105_554_98;
    let h = h * t + 0.119_820_69;
    let h = h * t + 0.139_863_6;
    let h = h * t + 0.139_621_3;
    let tail = single::exp(-0.5 * a * a) * (h * t);
    if x > 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_are_met() {
        // Φ from 30-digit arithmetic.
        let known = [
            (0.0, 0.5),
            (0.1, 0.539_827_837_277_029),
            (1.0, 0.841_344_746_068_542_9),
            (-1.0, 0.158_655_253_931_457_05),
            (1.4, 0.919_243_340_766_228_9),
            (1.6, 0.945_200_708_300_442),
            (2.0, 0.977_249_868_051_820_8),
            (-3.0, 1.349_898_031_630_094_5e-3),
            (-6.0, 9.865_876_450_376_98e-10),
            (-10.0, 7.619_853_024_160_526e-24),
        ];
        for (x, expected) in known {
            let relative = (double(x) - expected).abs() / expected;
            assert!(relative <= 3e-15 * (1.0 + x * x), "{x}: {:e}, off by {relative:e}", double(x));
        }
    }

    #[test]
    fn both_series_of_the_normal_cdf_agree_at_their_border() {
        // Φ' = φ is 0.13 there, so the gap of 2e-9 accounts for 2.6e-10; the rest is rounding.
        let gap = double(1.5 + 1e-9) - double(1.5 - 1e-9);
        assert!((gap - 2e-9 * DENSITY_AT_0 * (-1.125_f64).exp()).abs() <= 4e-16, "{gap:e}");
        assert!((double(1.2345) + double(-1.2345) - 1.0).abs() <= 2.3e-16);
    }

    #[test]
    fn single_precision_is_within_one_and_a_half_ulp_of_1_and_keeps_its_tail() {
        for index in -150_000..=150_000 {
            let x = index as f32 / 10_000.0;
            let exact = double(f64::from(x));
            let error = (f64::from(single(x)) - exact).abs();
            assert!(error <= 1.8e-7, "{x}: {error:e}");
            // exp, division, the polynomial's last steps and two products: 5 ulp; −a²/2 is rounded
            // at 2⁻²⁴ relative twice, which the exponential turns into a relative error of a²/2
            // ulp.
            let tail = exact.min(1.0 - exact);
            if x < 0.0 && tail > 1e-37 {
                assert!(
                    error <= tail * 1.2e-7 * (5.0 + f64::from(x * x) / 2.0),
                    "{x}: {error:e} of {tail:e}"
                );
            }
        }
    }

    #[test]
    fn the_ends_are_0_and_1_and_nan_stays() {
        assert_eq!((double(f64::NEG_INFINITY), double(f64::INFINITY)), (0.0, 1.0));
        assert_eq!((single(f32::NEG_INFINITY), single(f32::INFINITY)), (0.0, 1.0));
        assert!(double(f64::NAN).is_nan() && single(f32::NAN).is_nan());
    }
}
