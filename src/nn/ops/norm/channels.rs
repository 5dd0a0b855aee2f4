//! Normalisation by channel on the CPU: batch norm (all pixels of the batch) and group norm (the
//! pixels of a sample).
//!
//! A matrix of pixels × channels is read in slabs of whole pixels. So that few channels use whole
//! vectors too, `k` consecutive pixels are one row of k · channels columns; the k sums of a channel
//! are added at the end of a slab. Within a slab sums are in the precision of the values, the slabs
//! are merged in f64, in order.

use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::parallel::PIECE;
use crate::cpu::real::Real;

/// Columns whose two sums are in registers at once.
const BLOCK: usize = 32;

/// Columns of a row at most, if pixels are joined.
const MOST_COLUMNS: usize = 4096;

/// Mean of a channel, and the sum of the squared distances from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::nn::ops) struct Moments {
    pub count: f64,
    pub mean: f64,
    pub squares: f64,
}

impl Moments {
    /// Of both parts together (T. Chan, G. Golub, R. LeVeque, 1979).
    pub fn merged(self, other: Moments) -> Moments {
        if self.count == 0.0 {
            return other;
        }
        let count = self.count + other.count;
        let (distance, share) = (other.mean - self.mean, other.count / count);
        Moments {
            count,
            mean: self.mean + distance * share,
            squares: self.squares + other.squares + distance * distance * self.count * share,
        }
    }

    /// The biased variance.
    pub fn variance(self) -> f64 {
        self.squares / self.count
    }
}

/// Consecutive pixels that are one row of whole blocks; 1 if they were too many.
fn joined_pixels(channels: usize) -> usize {
    let (mut a, mut b) = (channels, BLOCK);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let pixels = BLOCK / a.max(1);
    if pixels * channels <= MOST_COLUMNS { pixels } else { 1 }
}

/// Elements of a slab: whole rows of joined pixels.
fn slab(channels: usize) -> usize {
    let row = joined_pixels(channels) * channels;
    (PIECE / row.max(1)).max(1) * row.max(1)
}

/// Numbers per channel, repeated for joined pixels.
fn repeated<R: Real>(numbers: &[R]) -> Vec<R> {
    numbers.repeat(joined_pixels(numbers.len()))
}

/// Two sums per column over the rows of some matrices of `shift.len()` columns: added to `sums`,
/// first all of the first sum, then all of the second.
#[inline(always)]
fn add_columns<R: Real, const N: usize>(
    matrices: [&[R]; N],
    shift: &[R],
    sums: &mut [R],
    terms: impl Fn([R; N], R) -> [R; 2] + Copy,
) {
    let width = shift.len();
    let (first, second) = sums.split_at_mut(width);
    let ((blocks, rest), (firsts, _), (seconds, _)) = (
        shift.as_chunks::<BLOCK>(),
        first.as_chunks_mut::<BLOCK>(),
        second.as_chunks_mut::<BLOCK>(),
    );
    let rows = matrices[0].len() / width.max(1);
    for (place, ((shift, first), second)) in blocks.iter().zip(firsts).zip(seconds).enumerate() {
        // Local copies stay in registers.
        let (mut a, mut b) = ([R::ZERO; BLOCK], [R::ZERO; BLOCK]);
        for row in 0..rows {
            let start = row * width + place * BLOCK;
            let parts = matrices.map(|matrix| &matrix[start..start + BLOCK]);
            for lane in 0..BLOCK {
                let [x, y] = terms(parts.map(|part| part[lane]), shift[lane]);
                a[lane] += x;
                b[lane] += y;
            }
        }
        first.iter_mut().zip(a).for_each(|(sum, part)| *sum += part);
        second.iter_mut().zip(b).for_each(|(sum, part)| *sum += part);
    }
    let start = width - rest.len();
    for row in 0..rows {
        for (column, &shift) in (start..).zip(rest) {
            let values = matrices.map(|matrix| matrix[row * width + column]);
            let [x, y] = terms(values, shift);
            sums[column] += x;
            sums[width + column] += y;
        }
    }
}

/// Σ g (x − mean), then Σ g as [`add_columns`]; g, the gradient through a ReLU with this `output`,
/// replaces `gradient` in the same pass.
#[inline(always)]
fn add_columns_through_relu<R: Real>(
    gradient: &mut [R],
    [x, output]: [&[R]; 2],
    mean: &[R],
    sums: &mut [R],
) {
    let (width, length) = (mean.len(), gradient.len());
    let (x, output, rows) = (&x[..length], &output[..length], length / width.max(1));
    let in_blocks = width / BLOCK * BLOCK;
    let (first, second) = sums.split_at_mut(width);
    for start in (0..in_blocks).step_by(BLOCK) {
        let (mean, mut a, mut b) = (block(mean, start), [R::ZERO; BLOCK], [R::ZERO; BLOCK]);
        for row in 0..rows {
            let at = row * width + start;
            let (mut g, x, y) = (block(gradient, at), block(x, at), block(output, at));
            for lane in 0..BLOCK {
                g[lane] = through_relu(g[lane], y[lane]);
                a[lane] += g[lane] * (x[lane] - mean[lane]);
                b[lane] += g[lane];
            }
            gradient[at..at + BLOCK].copy_from_slice(&g);
        }
        first[start..start + BLOCK].iter_mut().zip(a).for_each(|(sum, part)| *sum += part);
        second[start..start + BLOCK].iter_mut().zip(b).for_each(|(sum, part)| *sum += part);
    }
    for row in 0..rows {
        for column in in_blocks..width {
            let at = row * width + column;
            let g = through_relu(gradient[at], output[at]);
            gradient[at] = g;
            first[column] += g * (x[at] - mean[column]);
            second[column] += g;
        }
    }
}

/// Two sums per channel over `length` elements of a slab: `add` adds those of a range of it, whose
/// columns are as many as the numbers that it is given.
fn slab_sums<R: Real>(
    length: usize,
    shift: &[R],
    mut add: impl FnMut(Range<usize>, &[R], &mut [R]),
) -> Vec<f64> {
    let channels = shift.len();
    let shifts = repeated(shift);
    let whole = length / shifts.len().max(1) * shifts.len();
    let (mut sums, mut rest) = (vec![R::ZERO; 2 * shifts.len()], vec![R::ZERO; 2 * channels]);
    R::dispatch(
        #[inline(always)]
        || {
            add(0..whole, &shifts, &mut sums);
            add(whole..length, shift, &mut rest);
        },
    );
    let mut total: Vec<f64> = rest.iter().map(|sum| sum.to_f64()).collect();
    let (of_first, of_second) = total.split_at_mut(channels);
    let (first, second) = sums.split_at(shifts.len());
    for (total, sums) in [(of_first, first), (of_second, second)] {
        for sums in sums.chunks_exact(channels) {
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum.to_f64());
        }
    }
    total
}

/// Mean and squares of each channel. The sums of a slab are of the distances from its first pixel,
/// so that a mean far from 0 costs no digits.
pub(in crate::nn::ops) fn moments<R: Real>(x: &[R], channels: usize) -> Vec<Moments> {
    let of_slab = |x: &[R]| -> Vec<Moments> {
        let origin = &x[..channels];
        let sums = slab_sums(
            x.len(),
            origin,
            #[inline(always)]
            |range, origin, sums| {
                add_columns(
                    [&x[range]],
                    origin,
                    sums,
                    #[inline(always)]
                    |[x], origin| {
                        let distance = x - origin;
                        [distance, distance * distance]
                    },
                );
            },
        );
        let count = (x.len() / channels) as f64;
        let of_channel = origin.iter().zip(&sums[..channels]).zip(&sums[channels..]);
        of_channel
            .map(|((origin, sum), squares)| Moments {
                count,
                mean: origin.to_f64() + sum / count,
                squares: Real::max(squares - sum * sum / count, 0.0),
            })
            .collect()
    };
    let slabs: Vec<Vec<Moments>> = x.par_chunks(slab(channels)).map(of_slab).collect();
    let mut total = vec![Moments::default(); channels];
    for slab in slabs {
        total.iter_mut().zip(slab).for_each(|(total, part)| *total = total.merged(part));
    }
    total
}

/// y = (x − mean) scale + shift, then + residual and ReLU if there are any.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn::ops) struct Apply<'a, R> {
    /// Per channel.
    pub mean: &'a [R],
    pub scale: &'a [R],
    pub shift: &'a [R],
    pub residual: Option<&'a [R]>,
    pub relu: bool,
}

impl<R: Real> Apply<'_, R> {
    pub(in crate::nn::ops) fn run(&self, x: &[R], output: &mut [R]) {
        let [mean, scale, shift] = [self.mean, self.scale, self.shift].map(repeated);
        let slab = slab(self.mean.len());
        output.par_chunks_mut(slab).zip(x.par_chunks(slab)).enumerate().for_each(
            |(place, (output, x))| {
                let residual = self.residual.map(|r| &r[place * slab..][..output.len()]);
                // −∞ keeps every number, NaN too.
                let least = if self.relu { R::ZERO } else { R::NEG_INFINITY };
                let coefficients = [&mean[..], &scale, &shift];
                R::dispatch(
                    #[inline(always)]
                    || match residual {
                        Some(residual) => map_columns(
                            [x, residual],
                            coefficients,
                            output,
                            #[inline(always)]
                            |[x, r], [mean, scale, shift]| {
                                Real::max((x - mean) * scale + shift + r, least)
                            },
                        ),
                        None => map_columns(
                            [x],
                            coefficients,
                            output,
                            #[inline(always)]
                            |[x], [mean, scale, shift]| {
                                Real::max((x - mean) * scale + shift, least)
                            },
                        ),
                    },
                );
            },
        );
    }
}

/// Each element of `output` by `formula`, from those of the matrices `inputs` and from numbers per
/// column.
///
/// By blocks of columns, whose numbers stay in registers: a loop over the columns of each row spends
/// more time on its beginnings than on the 32 columns that a row has at least (2.5 times slower).
#[inline(always)]
fn map_columns<R: Real, const N: usize, const K: usize>(
    inputs: [&[R]; N],
    columns: [&[R]; K],
    output: &mut [R],
    formula: impl Fn([R; N], [R; K]) -> R + Copy,
) {
    let (width, length) = (columns[0].len(), output.len());
    let (inputs, rows) = (inputs.map(|input| &input[..length]), length / width.max(1));
    let in_blocks = width / BLOCK * BLOCK;
    for start in (0..in_blocks).step_by(BLOCK) {
        let numbers = columns.map(|numbers| block(numbers, start));
        for row in 0..rows {
            let at = row * width + start;
            let values = inputs.map(|input| block(input, at));
            let mut found = [R::ZERO; BLOCK];
            for lane in 0..BLOCK {
                let values = values.each_ref().map(|values| values[lane]);
                found[lane] = formula(values, numbers.each_ref().map(|numbers| numbers[lane]));
            }
            output[at..at + BLOCK].copy_from_slice(&found);
        }
    }
    // The columns behind the last block, and the pixels behind the last whole row.
    let rest = |row: usize| if row < rows { in_blocks..width } else { 0..length - rows * width };
    for row in 0..=rows {
        for column in rest(row) {
            let at = row * width + column;
            let values = inputs.map(|input| input[at]);
            output[at] = formula(values, columns.map(|numbers| numbers[column]));
        }
    }
}

/// A copy, which stays in registers.
#[inline(always)]
fn block<R: Real>(values: &[R], start: usize) -> [R; BLOCK] {
    let mut copy = [R::ZERO; BLOCK];
    copy.copy_from_slice(&values[start..start + BLOCK]);
    copy
}

/// Σ g (x − mean) of each channel, then Σ g of each.
///
/// With `output`, that of a ReLU, `gradient` is first replaced by g, its product with the ReLU's
/// derivative.
pub(in crate::nn::ops) fn gradient_sums<R: Real>(
    gradient: &mut [R],
    x: &[R],
    output: Option<&[R]>,
    mean: &[R],
) -> Vec<f64> {
    let slab = slab(mean.len());
    let of_slab = |(place, (gradient, x)): (usize, (&mut [R], &[R]))| {
        let length = gradient.len();
        match output.map(|output| &output[place * slab..][..length]) {
            Some(output) => slab_sums(
                length,
                mean,
                #[inline(always)]
                |range, mean, sums| {
                    let others = [&x[range.clone()], &output[range.clone()]];
                    add_columns_through_relu(&mut gradient[range], others, mean, sums);
                },
            ),
            None => slab_sums(
                length,
                mean,
                #[inline(always)]
                |range, mean, sums| {
                    add_columns(
                        [&gradient[range.clone()], &x[range]],
                        mean,
                        sums,
                        #[inline(always)]
                        |[g, x], mean| [g * (x - mean), g],
                    );
                },
            ),
        }
    };
    let slabs: Vec<Vec<f64>> =
        gradient.par_chunks_mut(slab).zip(x.par_chunks(slab)).enumerate().map(of_slab).collect();
    sum(&slabs, 2 * mean.len())
}

/// The sum of lists of the same length, in order.
pub(in crate::nn::ops) fn sum(lists: &[Vec<f64>], length: usize) -> Vec<f64> {
    let mut total = vec![0.0; length];
    for list in lists {
        total.iter_mut().zip(list).for_each(|(total, part)| *total += part);
    }
    total
}

/// The gradient of a ReLU with output `y`; NaN stays.
#[inline(always)]
fn through_relu<R: Real>(gradient: R, y: R) -> R {
    let inside = R::select(y > R::ZERO, gradient, R::ZERO);
    R::select(y.is_nan(), y, inside)
}

/// dL/dx = g scale − offset − (x − mean) slope, each number per channel.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn::ops) struct InputGradient<'a, R> {
    pub mean: &'a [R],
    pub scale: &'a [R],
    pub offset: &'a [R],
    pub slope: &'a [R],
}

impl<R: Real> InputGradient<'_, R> {
    pub fn run(&self, gradient: &[R], x: &[R], output: &mut [R]) {
        let [mean, scale, offset, slope] =
            [self.mean, self.scale, self.offset, self.slope].map(repeated);
        let slab = slab(self.mean.len());
        let parts =
            output.par_chunks_mut(slab).zip(gradient.par_chunks(slab).zip(x.par_chunks(slab)));
        parts.for_each(|(output, (gradient, x))| {
            R::dispatch(
                #[inline(always)]
                || {
                    map_columns(
                        [gradient, x],
                        [&mean, &scale, &offset, &slope],
                        output,
                        #[inline(always)]
                        |[g, x], [mean, scale, offset, slope]| {
                            (g * scale - offset) - (x - mean) * slope
                        },
                    );
                },
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::random::Random;

    fn drawn(count: usize, stream: u64) -> Vec<f32> {
        let mut random = Random::new(5, stream);
        (0..count).map(|_| (2.0 * random.uniform() - 1.0) as f32).collect()
    }

    #[test]
    fn moments_and_gradients_are_those_of_plain_loops() {
        // Channels that fill, split and exceed a block, and several slabs with a shorter last one.
        for (channels, pixels) in [(1, 20_001), (3, 7_003), (16, 1_100), (33, 71), (5_000, 9)] {
            let (x, g) = (drawn(channels * pixels, 1), drawn(channels * pixels, 2));
            let found = moments(&x, channels);
            let mean: Vec<f32> = found.iter().map(|m| m.mean as f32).collect();
            let y: Vec<f32> = x.iter().map(|x| x + 0.25).collect();
            let sums = gradient_sums(&mut g.clone(), &x, Some(&y), &mean);
            for channel in [0, channels / 2, channels - 1] {
                let of = |list: &[f32]| -> Vec<f64> {
                    list[channel..].iter().step_by(channels).map(|&x| f64::from(x)).collect()
                };
                let (x, g, y) = (of(&x), of(&g), of(&y));
                let count = pixels as f64;
                let expected = x.iter().sum::<f64>() / count;
                let variance = x.iter().map(|x| (x - expected).powi(2)).sum::<f64>() / count;
                // Some 500 additions of order one in a row, each rounded to 6e-8, divided by their
                // number.
                assert!((found[channel].mean - expected).abs() <= 1e-6, "{channels}");
                assert!((found[channel].variance() - variance).abs() <= 1e-6, "{channels}");
                let masked = || g.iter().zip(&y).map(|(g, &y)| if y > 0.0 { *g } else { 0.0 });
                let mean = f64::from(mean[channel]);
                let of_x: f64 = masked().zip(&x).map(|(g, x)| g * (x - mean)).sum();
                let of_one: f64 = masked().sum();
                assert!((sums[channel] - of_x).abs() <= 1e-6 * count, "{channels}");
                assert!((sums[channels + channel] - of_one).abs() <= 1e-6 * count, "{channels}");
            }
        }
    }

    #[test]
    fn a_mean_far_from_zero_costs_no_digits_of_the_variance() {
        let x: Vec<f32> = drawn(30_000, 3).iter().map(|x| 1e4 + x).collect();
        let exact = {
            let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / 1e4 / 3.0;
            x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 3e4
        };
        let found = moments(&x, 1)[0];
        assert!((found.variance() / exact - 1.0).abs() <= 1e-5, "{found:?}, {exact}");
    }
}
