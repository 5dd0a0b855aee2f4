//! Vector instructions chosen at run time, and the loops over a slice or a row that the losses share.
//!
//! The loops are plain Rust that the compiler vectorises; [`dispatch`] compiles them for several instruction sets and takes the best
//! that the machine has. Sums run in [`LANES`] f64 accumulators whatever the machine's width.

use crate::real::Real;

/// How many accumulators a sum has; four vectors of AVX-512, so that the adds overlap.
pub const LANES: usize = 32;

/// How many values are computed into a buffer before they are summed; the loop that computes them then vectorises on its own.
const BLOCK: usize = 256;

/// Runs a closure with the best vector instructions of this machine (AVX-512, AVX2 with FMA, NEON …).
///
/// Only what is inlined into the closure is compiled for them: mark the closure and the functions it calls `#[inline(always)]`, and
/// put the whole loop inside, not one element.
///
/// ```
/// use gradus::host::simd;
/// let mut values = vec![1.0_f32; 1000];
/// simd::dispatch(
///     #[inline(always)]
///     || values.iter_mut().for_each(|x| *x *= 2.0),
/// );
/// assert_eq!(values[999], 2.0);
/// ```
#[inline(always)]
pub fn dispatch<T>(operation: impl FnOnce() -> T) -> T {
    pulp::Arch::new().dispatch(operation)
}

/// Σ x, in f64 over fixed lanes.
pub fn sum<R: Real>(values: &[R]) -> f64 {
    dispatch(
        #[inline(always)]
        || {
            let mut lanes = [0.0; LANES];
            add_to_lanes(values, &mut lanes);
            fold_lanes(lanes)
        },
    )
}

/// Σ f(i) for i below `length`, in f64 over fixed lanes: a reduction without a pass of its own. `value` may write outputs as it goes.
///
/// Call it inside [`dispatch`]; `value` should be `#[inline(always)]`.
#[inline(always)]
pub fn sum_of<R: Real>(length: usize, mut value: impl FnMut(usize) -> R) -> f64 {
    let mut lanes = [0.0; LANES];
    let mut block = [R::ZERO; BLOCK];
    let mut start = 0;
    while start < length {
        let filled = BLOCK.min(length - start);
        for (offset, slot) in block[..filled].iter_mut().enumerate() {
            *slot = value(start + offset);
        }
        add_to_lanes(&block[..filled], &mut lanes);
        start += filled;
    }
    fold_lanes(lanes)
}

#[inline(always)]
fn add_to_lanes<R: Real>(values: &[R], lanes: &mut [f64; LANES]) {
    let (whole, tail) = values.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value.to_f64();
        }
    }
    for (lane, value) in lanes.iter_mut().zip(tail) {
        *lane += value.to_f64();
    }
}

#[inline(always)]
fn fold_lanes(mut lanes: [f64; LANES]) -> f64 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The largest value of a row; NaN if one stands in it, [`Real::NEG_INFINITY`] if it is empty. Call it inside [`dispatch`].
#[inline(always)]
pub fn maximum<R: Real>(row: &[R]) -> R {
    let mut lanes = [R::NEG_INFINITY; LANES];
    // A maximum drops NaN; 0·x is NaN for NaN alone once ±∞ are cut to finite numbers, and NaN stays in a sum.
    let mut poison = [R::ZERO; LANES];
    let (whole, tail) = row.as_chunks::<LANES>();
    for chunk in whole {
        for ((lane, poison), &value) in lanes.iter_mut().zip(&mut poison).zip(chunk) {
            *lane = Real::max(*lane, value);
            *poison += value.clamp(-R::ONE, R::ONE) * R::ZERO;
        }
    }
    for ((lane, poison), &value) in lanes.iter_mut().zip(&mut poison).zip(tail) {
        *lane = Real::max(*lane, value);
        *poison += value.clamp(-R::ONE, R::ONE) * R::ZERO;
    }
    let largest = lanes.into_iter().fold(R::NEG_INFINITY, Real::max);
    let poison = poison.into_iter().fold(R::ZERO, |sum, value| sum + value);
    R::select(poison.is_nan(), R::NAN, largest)
}

/// Σ e^(x − maximum) of a row. Call it inside [`dispatch`].
#[inline(always)]
pub fn sum_exp<R: Real>(row: &[R], maximum: R) -> R {
    R::new(sum_of(
        row.len(),
        #[inline(always)]
        |k| Real::exp(row[k] - maximum),
    ))
}

/// Writes e^(x − maximum) of a row and returns their sum. Call it inside [`dispatch`].
#[inline(always)]
pub fn exp_into<R: Real>(row: &[R], maximum: R, output: &mut [R]) -> R {
    let length = row.len().min(output.len());
    let (row, output) = (&row[..length], &mut output[..length]);
    for (slot, &value) in output.iter_mut().zip(row) {
        *slot = Real::exp(value - maximum);
    }
    let mut lanes = [0.0; LANES];
    add_to_lanes(output, &mut lanes);
    R::new(fold_lanes(lanes))
}

/// ln Σ eˣ of a row; −∞ if it is empty or all −∞. Call it inside [`dispatch`].
#[inline(always)]
pub fn log_sum_exp<R: Real>(row: &[R]) -> R {
    let largest = maximum(row);
    // −∞ − (−∞) and ∞ − ∞ would be NaN.
    if largest == R::NEG_INFINITY || largest == R::INFINITY {
        return largest;
    }
    largest + Real::ln(sum_exp(row, largest))
}

/// Σ x·y over the shorter length. Call it inside [`dispatch`].
#[inline(always)]
pub fn dot<R: Real>(left: &[R], right: &[R]) -> R {
    let length = left.len().min(right.len());
    let (left, right) = (&left[..length], &right[..length]);
    R::new(sum_of(
        length,
        #[inline(always)]
        |k| left[k] * right[k],
    ))
}

#[cfg(test)]
mod tests {
    use pulp::Simd;

    use super::*;

    fn row(length: usize) -> Vec<f32> {
        (0..length).map(|i| ((i * 37 + 11) % 101) as f32 / 25.0 - 2.0).collect()
    }

    #[test]
    fn sums_of_every_length_equal_the_plain_sum() {
        for length in [0, 1, 31, 32, 33, 255, 256, 257, 1000] {
            let values = row(length);
            let plain: f64 = values.iter().map(|&x| f64::from(x)).sum();
            // Both sums are f64 over at most 1000 values below 2: rounding ≤ 1000·2000·2⁻⁵³.
            assert!((sum(&values) - plain).abs() <= 2.3e-10, "{length}");
            assert!((sum_of(length, |i| values[i]) - plain).abs() <= 2.3e-10, "{length}");
        }
    }

    #[test]
    fn a_maximum_is_found_in_every_lane_and_in_the_tail() {
        for length in [1, 31, 32, 33, 100] {
            for place in 0..length {
                let mut values = row(length);
                values[place] = 7.5;
                assert_eq!(maximum(&values), 7.5, "{place} of {length}");
                values[place] = f32::NAN;
                assert!(maximum(&values).is_nan(), "{place} of {length}");
            }
        }
    }

    #[test]
    fn an_infinite_value_is_a_maximum_and_not_nan() {
        let mut values = row(50);
        values[3] = f32::INFINITY;
        values[40] = f32::NEG_INFINITY;
        assert_eq!(maximum(&values), f32::INFINITY);
        assert_eq!(maximum::<f32>(&[]), f32::NEG_INFINITY);
    }

    #[test]
    fn log_sum_exp_survives_large_and_masked_logits() {
        let logits = [1000.0_f64, 1000.0, f64::NEG_INFINITY];
        assert!((log_sum_exp(&logits) - (1000.0 + 2.0_f64.ln())).abs() <= 2.3e-13); // 2 ulp of 1000
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY; 3]), f64::NEG_INFINITY);
        assert!(log_sum_exp(&[0.0, f64::NAN]).is_nan());
    }

    #[test]
    fn exp_into_writes_what_it_sums() {
        let values = row(77);
        let mut powers = vec![0.0; 77];
        let total = dispatch(|| exp_into(&values, 2.0, &mut powers));
        assert_eq!(total, dispatch(|| sum_exp(&values, 2.0)));
        assert_eq!(total, sum(&powers) as f32);
    }

    #[test]
    fn every_vector_width_gives_the_same_bits() {
        let values = row(1000);
        let wide = dispatch(
            #[inline(always)]
            || {
                sum_of(
                    1000,
                    #[inline(always)]
                    |i| Real::softplus(Real::tanh(values[i])),
                )
            },
        );
        let narrow = pulp::Scalar::new().vectorize(
            #[inline(always)]
            || sum_of(1000, |i| Real::softplus(Real::tanh(values[i]))),
        );
        assert_eq!(wide.to_bits(), narrow.to_bits());
    }
}
