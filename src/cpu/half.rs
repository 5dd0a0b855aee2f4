//! Rounding of operands to f16, as matrix units and half-precision copies see them.

use crate::cpu::real::Real;
use crate::cpu::{parallel, simd};

/// Each of x · `scale` rounded to the nearest f16, ties to even, and divided by `scale`, a power of
/// two. From 65520 on a product is infinite; NaN stays NaN. The GPU's is `shaders/ops/half/round.wgsl`.
pub(crate) fn rounded<R: Real>(values: &[R], scale: f64) -> Vec<R> {
    let mut all = vec![R::ZERO; values.len()];
    match (R::as_single(values), R::as_single_mut(&mut all)) {
        (Some(values), Some(all)) => {
            let (scale, inverse) = (scale as f32, (1.0 / scale) as f32);
            parallel::fill(all, parallel::PIECE, |start, all| {
                simd::dispatch(
                    #[inline(always)]
                    || {
                        for (to, &x) in all.iter_mut().zip(&values[start..]) {
                            *to = nearest_single(x * scale) * inverse;
                        }
                    },
                );
            });
        }
        _ => parallel::fill(&mut all, parallel::PIECE, |start, all| {
            for (to, x) in all.iter_mut().zip(&values[start..]) {
                *to = R::new(nearest(x.to_f64() * scale) / scale);
            }
        }),
    }
    all
}

/// The nearest f16 number of an f32.
#[inline(always)]
fn nearest_single(x: f32) -> f32 {
    let bits = x.to_bits();
    let size = bits & 0x7fff_ffff;
    // 13 bits of the significand go; a carry goes into the exponent.
    let normal = (size.wrapping_add(0xfff + ((size >> 13) & 1))) & !0x1fff;
    let normal = if normal >= 0x4780_0000 { 0x7f80_0000 } else { normal };
    // Below 2^-14 an f16 number is a multiple of 2^-24, one ulp of 1/2: the addition rounds.
    let subnormal = (f32::from_bits(size) + 0.5) - 0.5;
    let number = if size < 0x3880_0000 { subnormal.to_bits() } else { normal };
    let found = if size > 0x7f80_0000 { size } else { number };
    f32::from_bits(found | (bits & 0x8000_0000))
}

/// The nearest f16 number of an f64.
fn nearest(x: f64) -> f64 {
    if !x.is_finite() {
        return x;
    }
    // 11 bits of significand, and multiples of 2^-24 at least.
    let exponent = (x.abs().to_bits() >> 52) as i32 - 1023;
    let ulp = 2.0_f64.powi((exponent - 10).max(-24));
    let found = (x / ulp).round_ties_even() * ulp;
    if found.abs() >= 65536.0 { f64::INFINITY.copysign(x) } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every f16 number, the middle between it and the next, and the neighbours of that.
    fn awkward() -> Vec<f32> {
        let finite = (0..0x7c00_u16).map(|bits| half::f16::from_bits(bits).to_f32());
        let around = finite.flat_map(|x| {
            let next = half::f16::from_bits(half::f16::from_f32(x).to_bits() + 1);
            let middle = if next.is_finite() { x / 2.0 + next.to_f32() / 2.0 } else { 65520.0 };
            [x, middle.next_down(), middle, middle.next_up()]
        });
        let more = [f32::INFINITY, f32::MAX, 1e-45, f32::MIN_POSITIVE];
        around.chain(more).flat_map(|x| [x, -x]).collect()
    }

    #[test]
    fn both_precisions_round_as_the_half_crate() {
        let values = awkward();
        let single = rounded(&values, 1.0);
        let double = rounded(&values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(), 1.0);
        for ((&x, single), double) in values.iter().zip(single).zip(double) {
            let expected = half::f16::from_f32(x).to_f32();
            assert_eq!(single.to_bits(), expected.to_bits(), "{x:e}: {single:e}, not {expected:e}");
            assert_eq!(double.to_bits(), f64::from(expected).to_bits(), "{x:e}: {double:e}");
        }
        assert!(rounded(&[f32::NAN], 1.0)[0].is_nan() && rounded(&[f64::NAN], 1.0)[0].is_nan());
    }

    #[test]
    fn a_scale_keeps_small_numbers_and_loses_large_ones() {
        assert_eq!(rounded(&[2.0_f32.powi(-30), 3.0], 1.0), [0.0, 3.0]);
        assert_eq!(rounded(&[2.0_f32.powi(-30), 3.0], 65536.0), [2.0_f32.powi(-30), f32::INFINITY]);
        assert_eq!(rounded(&[2.0_f64.powi(-30), 3.0], 65536.0), [2.0_f64.powi(-30), f64::INFINITY]);
    }
}
