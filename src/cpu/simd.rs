//! Vector instructions selected at run time, and the loops over a slice or a row shared by the
//! losses.
//!
//! The loops are plain Rust that the compiler vectorizes; [`dispatch`] compiles them for several
//! instruction sets and selects the best one at run time. Sums use `LANES` f64 accumulators for
//! every vector width.

use std::ops::Range;

use crate::cpu::real::Real;

/// Number of accumulators of a sum: one vector of f32, two of f64, on AVX-512.
pub(crate) const LANES: usize = 16;

/// Number of values computed into a buffer before they are summed, so that the computing loop
/// vectorizes separately.
const BLOCK: usize = 256;

/// Runs a closure with the best vector instructions of this machine (AVX-512, AVX2 with FMA, NEON
/// …).
///
/// Only code inlined into the closure is compiled for them: mark the closure and the functions it
/// calls `#[inline(always)]`, and put the whole loop inside, not one element.
///
/// ```
/// use gradus::cpu::simd;
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

/// Σ x, in f64 over a fixed number of SIMD lanes.
pub(crate) fn sum<R: Real>(values: &[R]) -> f64 {
    R::dispatch(
        #[inline(always)]
        || {
            let mut lanes = [0.0; LANES];
            add_to_lanes(values, &mut lanes);
            fold_lanes(lanes)
        },
    )
}

/// Σ of values that `fill(range, values)` writes block by block: a reduction without a separate
/// pass over memory.
///
/// `fill` receives a range of at most 256 indices and a buffer of the same length; a loop over
/// slices cut to the range vectorizes, and it may write other outputs (a gradient) in the same
/// pass. Call it inside [`dispatch`]; `fill` should be `#[inline(always)]`.
///
/// ```
/// use gradus::cpu::simd;
/// let (predictions, targets) = ([1.0_f32, 2.0, 4.0], [0.0, 0.0, 1.0]);
/// let total = simd::sum_blocks(3, |range, errors: &mut [f32]| {
///     let pairs = predictions[range.clone()].iter().zip(&targets[range]);
///     errors.iter_mut().zip(pairs).for_each(|(error, (x, y))| *error = (x - y) * (x - y));
/// });
/// assert_eq!(total, 14.0);
/// ```
#[inline(always)]
pub fn sum_blocks<R: Real>(length: usize, mut fill: impl FnMut(Range<usize>, &mut [R])) -> f64 {
    let mut lanes = [0.0; LANES];
    let mut block = [R::ZERO; BLOCK];
    let mut start = 0;
    while start < length {
        let end = length.min(start + BLOCK);
        let values = &mut block[..end - start];
        fill(start..end, values);
        add_to_lanes(values, &mut lanes);
        start = end;
    }
    fold_lanes(lanes)
}

/// Σ f(i) for i below `length`, over a fixed number of SIMD lanes. As [`sum_blocks`], for values
/// not stored in slices; a bounds check inside `value` may prevent vectorization. Call it inside
/// [`dispatch`].
#[inline(always)]
pub(crate) fn sum_of<R: Real>(length: usize, mut value: impl FnMut(usize) -> R) -> f64 {
    sum_blocks(
        length,
        #[inline(always)]
        |range, values| {
            let start = range.start;
            values.iter_mut().enumerate().for_each(|(offset, slot)| *slot = value(start + offset));
        },
    )
}

#[inline(always)]
pub(crate) fn add_to_lanes<R: Real>(values: &[R], lanes: &mut [f64; LANES]) {
    // A local copy keeps the accumulators in registers; through the reference they would be stored
    // at each step.
    let mut sums = *lanes;
    let (whole, tail) = values.as_chunks::<LANES>();
    for chunk in whole {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value.to_f64();
        }
    }
    for (sum, value) in sums.iter_mut().zip(tail) {
        *sum += value.to_f64();
    }
    *lanes = sums;
}

#[inline(always)]
pub(crate) fn fold_lanes(mut lanes: [f64; LANES]) -> f64 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The larger one, or NaN if either is.
#[inline(always)]
fn larger<R: Real>(found: R, value: R) -> R {
    R::select(value > found || value.is_nan(), value, found)
}

/// The largest value of a row; NaN if the row contains one, [`Real::NEG_INFINITY`] if it is empty.
/// Call it inside [`dispatch`].
#[inline(always)]
pub(crate) fn maximum<R: Real>(row: &[R]) -> R {
    let (whole, tail) = row.as_chunks::<LANES>();
    let mut found = R::NEG_INFINITY;
    if !whole.is_empty() {
        let mut lanes = [R::NEG_INFINITY; LANES];
        for chunk in whole {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane = larger(*lane, value);
            }
        }
        found = lanes.into_iter().fold(found, larger);
    }
    tail.iter().fold(found, |found, &value| larger(found, value))
}

#[inline(always)]
fn subtract_and_exp<R: Real>(row: &[R], maximum: R, output: &mut [R]) {
    for (slot, &value) in output.iter_mut().zip(row) {
        *slot = Real::exp(value - maximum);
    }
}

/// Writes e^(x − maximum) of a row and returns their sum. Call it inside [`dispatch`].
#[inline(always)]
pub(crate) fn exp_into<R: Real>(row: &[R], maximum: R, output: &mut [R]) -> R {
    let length = row.len().min(output.len());
    let (row, output) = (&row[..length], &mut output[..length]);
    subtract_and_exp(row, maximum, output);
    let mut lanes = [0.0; LANES];
    add_to_lanes(output, &mut lanes);
    R::new(fold_lanes(lanes))
}

/// Replaces each x with e^(x − maximum) in place and returns their sum. Call it inside
/// [`dispatch`].
#[inline(always)]
pub(crate) fn exp_in_place<R: Real>(row: &mut [R], maximum: R) -> R {
    for slot in row.iter_mut() {
        *slot = Real::exp(*slot - maximum);
    }
    let mut lanes = [0.0; LANES];
    add_to_lanes(row, &mut lanes);
    R::new(fold_lanes(lanes))
}

/// Rows below this width are too short for a separate vector loop.
const SHORT: usize = 64;

/// For each row of `width` logits: e^(x − maximum) into `output`, and its maximum and the sum of
/// `output` into the other two.
///
/// Softmax is output ÷ sum, log-sum-exp is maximum + ln sum. A row with NaN, with +∞ or with only
/// −∞ gets NaN in all of `output` and in its sum, as 0/0 and ∞/∞ are undefined; `maxima`
/// distinguishes these cases. Call it inside [`dispatch`] with at most
/// [`crate::cpu::parallel::PIECE`] elements, so that short rows stay in the first-level cache
/// between its three passes.
#[inline(always)]
pub(crate) fn exp_rows<R: Real>(
    logits: &[R],
    width: usize,
    output: &mut [R],
    maxima: &mut [R],
    sums: &mut [R],
) {
    let width = width.max(1);
    let rows = logits.chunks_exact(width).zip(output.chunks_exact_mut(width));
    if width >= SHORT {
        for (((logits, output), largest), sum) in rows.zip(maxima).zip(sums) {
            *largest = maximum(logits);
            *sum = exp_into(logits, *largest, output);
        }
        return;
    }
    // Short rows: the exponentials of all rows in one long loop.
    for ((logits, output), largest) in rows.zip(maxima) {
        *largest = logits.iter().fold(R::NEG_INFINITY, |found, &value| larger(found, value));
        for (slot, &value) in output.iter_mut().zip(logits) {
            *slot = value - *largest;
        }
    }
    for slot in output.iter_mut() {
        *slot = Real::exp(*slot);
    }
    for (output, sum) in output.chunks_exact(width).zip(sums) {
        *sum = R::new(output.iter().fold(0.0, |sum, value| sum + value.to_f64()));
    }
}

/// Σ x·y over the shorter length. Call it inside [`dispatch`].
#[inline(always)]
pub fn dot<R: Real>(left: &[R], right: &[R]) -> R {
    R::new(sum_blocks(
        left.len().min(right.len()),
        #[inline(always)]
        |range, products| {
            let pairs = left[range.clone()].iter().zip(&right[range]);
            products.iter_mut().zip(pairs).for_each(|(product, (&x, &y))| *product = x * y);
        },
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
            assert_eq!(
                sum_of(length, |i| values[i]),
                sum_blocks(length, |range, slots| slots.copy_from_slice(&values[range]))
            );
            assert!(
                (f64::from(dot(&values, &vec![1.0; length])) - plain).abs() <= plain.abs() * 6e-8,
                "{length}"
            ); // rounded to f32
        }
    }

    #[test]
    fn a_maximum_is_found_in_every_lane_and_in_the_tail() {
        for length in [1, 15, 16, 17, 31, 32, 33, 100] {
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
    fn exp_into_writes_what_it_sums() {
        let values = row(77);
        let mut powers = vec![0.0; 77];
        let total = dispatch(|| exp_into(&values, 2.0, &mut powers));
        assert_eq!(total, sum(&powers) as f32);
    }

    #[test]
    fn rows_of_any_width_get_their_maximum_and_their_sum() {
        for width in [1, 2, 10, 63, 64, 65, 200] {
            let logits = row(3 * width);
            let (mut output, mut maxima, mut sums) = (vec![0.0; 3 * width], [0.0; 3], [0.0; 3]);
            exp_rows(&logits, width, &mut output, &mut maxima, &mut sums);
            for index in 0..3 {
                let logits = &logits[index * width..][..width];
                let largest = maximum(logits);
                assert_eq!(maxima[index], largest);
                let exact: f64 = logits.iter().map(|&x| f64::from(x - largest).exp()).sum();
                // Each exponential is within 1 ulp = 2⁻²³ relative, the sum is rounded once more.
                assert!((f64::from(sums[index]) - exact).abs() <= exact * 1.8e-7, "width {width}");
                assert!(output[index * width..][..width].contains(&1.0));
            }
        }
    }

    #[test]
    fn nan_in_a_row_stays_in_that_row() {
        for width in [5, 70] {
            let mut logits = row(2 * width);
            logits[width + 2] = f32::NAN;
            let (mut output, mut maxima, mut sums) = (vec![0.0; 2 * width], [0.0; 2], [0.0; 2]);
            exp_rows(&logits, width, &mut output, &mut maxima, &mut sums);
            assert!(output[..width].iter().all(|x| x.is_finite()) && sums[0].is_finite());
            assert!(
                output[width..].iter().all(|x| x.is_nan())
                    && sums[1].is_nan()
                    && maxima[1].is_nan()
            );
        }
    }

    #[test]
    fn every_vector_width_gives_the_same_bits() {
        let values = row(1000);
        let fill = |range: Range<usize>, slots: &mut [f32]| {
            let pairs = slots.iter_mut().zip(&values[range]);
            pairs.for_each(|(slot, &x)| *slot = Real::softplus(Real::tanh(x)));
        };
        let wide = dispatch(
            #[inline(always)]
            || sum_blocks(1000, fill),
        );
        let narrow = pulp::Scalar::new().vectorize(
            #[inline(always)]
            || sum_blocks(1000, fill),
        );
        assert_eq!(wide.to_bits(), narrow.to_bits());
    }
}
