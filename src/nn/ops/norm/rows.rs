//! Normalisation by row on the CPU: layer norm, and RMS norm without the mean.

use rayon::prelude::*;

use crate::cpu::parallel::rows_per_piece;
use crate::cpu::real::Real;
use crate::cpu::simd::dispatch;

/// Accumulators of a sum.
const LANES: usize = 32;

/// Most rows whose contributions to a parameter's gradient are added one after another.
const MOST_ROWS: usize = 512;

/// Slabs of rows that a parameter's gradient is summed in, if none is longer than [`MOST_ROWS`].
const SLABS: usize = 64;

/// Normalisation of rows of `weight.len()` numbers.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn::ops) struct Rows<'a, R> {
    /// γ; ones if there are none.
    pub weight: &'a [R],
    pub epsilon: f64,
    /// Subtracts the mean; false for RMS norm.
    pub centred: bool,
}

/// Two sums over the elements of rows, in [`LANES`] accumulators each.
#[inline(always)]
fn two_sums<R: Real, const N: usize>(
    rows: [&[R]; N],
    terms: impl Fn([R; N]) -> [R; 2] + Copy,
) -> [f64; 2] {
    let length = rows[0].len();
    let (mut a, mut b) = ([R::ZERO; LANES], [R::ZERO; LANES]);
    let whole = length / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        let parts = rows.map(|row| &row[start..start + LANES]);
        for lane in 0..LANES {
            let [x, y] = terms(parts.map(|part| part[lane]));
            a[lane] += x;
            b[lane] += y;
        }
    }
    let (mut first, mut second) = (R::ZERO, R::ZERO);
    for place in whole..length {
        let [x, y] = terms(rows.map(|row| row[place]));
        first += x;
        second += y;
    }
    if whole > 0 {
        first += folded(&a);
        second += folded(&b);
    }
    [first.to_f64(), second.to_f64()]
}

/// As [`two_sums`], one sum over one row.
#[inline(always)]
fn one_sum<R: Real>(row: &[R], term: impl Fn(R) -> R + Copy) -> f64 {
    let (blocks, rest) = row.as_chunks::<LANES>();
    let mut a = [R::ZERO; LANES];
    for block in blocks {
        for lane in 0..LANES {
            a[lane] += term(block[lane]);
        }
    }
    let mut sum = R::ZERO;
    for &x in rest {
        sum += term(x);
    }
    if !blocks.is_empty() {
        sum += folded(&a);
    }
    sum.to_f64()
}

/// The sum of accumulators, pairwise. Not inlined: its pairs would otherwise decide how the loops
/// above it are vectorized, two numbers at a time (4 times slower).
#[inline(never)]
fn folded<R: Real>(lanes: &[R; LANES]) -> R {
    let (mut lanes, mut width) = (*lanes, LANES / 2);
    while width > 0 {
        for lane in 0..width {
            let other = lanes[lane + width];
            lanes[lane] += other;
        }
        width /= 2;
    }
    lanes[0]
}

impl<R: Real> Rows<'_, R> {
    /// Writes y, and the mean and the reciprocal of the deviation of each row.
    pub fn forward(&self, x: &[R], bias: &[R], statistics: &mut [R], output: &mut [R]) {
        let width = self.weight.len();
        let rows = rows_per_piece(width);
        output
            .par_chunks_mut(rows * width)
            .zip(x.par_chunks(rows * width))
            .zip(statistics.par_chunks_mut(2 * rows))
            .for_each(|((output, x), statistics)| {
                dispatch(
                    #[inline(always)]
                    || {
                        let rows = output.chunks_exact_mut(width).zip(x.chunks_exact(width));
                        for ((y, x), of_row) in rows.zip(statistics.chunks_exact_mut(2)) {
                            let [mean, scale] = self.statistics_of(x);
                            of_row.copy_from_slice(&[mean, scale]);
                            normalise(x, [mean, scale], [self.weight, bias], y);
                        }
                    },
                );
            });
    }

    /// Mean and 1/√(σ² + ε) of a row, in two passes. The first is over the distances from the first
    /// number: a constant row has exactly its own mean.
    #[inline(always)]
    fn statistics_of(&self, x: &[R]) -> [R; 2] {
        let (count, origin) = (x.len() as f64, x[0]);
        let mean = if self.centred {
            let sum = one_sum(
                x,
                #[inline(always)]
                |x| x - origin,
            );
            R::new(origin.to_f64() + sum / count)
        } else {
            R::ZERO
        };
        let squares = one_sum(
            x,
            #[inline(always)]
            |x| (x - mean) * (x - mean),
        );
        [mean, R::new(1.0 / (squares / count + self.epsilon).sqrt())]
    }

    /// Writes dL/dx = r (g − mean g − x̂ mean(g x̂)) with g = γ dL/dy and r = 1/√(σ² + ε), without
    /// the mean of g for RMS norm. Returns dL/dγ, then dL/dβ.
    pub fn backward(
        &self,
        x: &[R],
        statistics: &[R],
        grad_output: &[R],
        grad_input: Option<&mut [R]>,
    ) -> Vec<f64> {
        let width = self.weight.len();
        let count = x.len() / width;
        let rows = count.div_ceil(SLABS).max(rows_per_piece(width)).min(MOST_ROWS);
        let length = rows * width;
        let slabs = x
            .par_chunks(length)
            .zip(grad_output.par_chunks(length))
            .zip(statistics.par_chunks(2 * rows));
        let of_slab = |((x, dy), statistics), mut dx: Option<&mut [R]>| {
            let mut sums = vec![R::ZERO; 2 * width];
            dispatch(
                #[inline(always)]
                || self.backward_slab(x, statistics, dy, dx.as_deref_mut(), &mut sums),
            );
            sums
        };
        let parts: Vec<Vec<R>> = match grad_input {
            Some(grad_input) => slabs
                .zip(grad_input.par_chunks_mut(length))
                .map(|(slab, dx)| of_slab(slab, Some(dx)))
                .collect(),
            None => slabs.map(|slab| of_slab(slab, None)).collect(),
        };
        let mut total = vec![0.0; 2 * width];
        for part in parts {
            total.iter_mut().zip(part).for_each(|(total, part)| *total += part.to_f64());
        }
        total
    }

    #[inline(always)]
    fn backward_slab(
        &self,
        x: &[R],
        statistics: &[R],
        grad_output: &[R],
        mut grad_input: Option<&mut [R]>,
        sums: &mut [R],
    ) {
        let width = self.weight.len();
        let (of_weight, of_bias) = sums.split_at_mut(width);
        let rows = x.chunks_exact(width).zip(grad_output.chunks_exact(width));
        for (row, ((x, dy), of_row)) in rows.zip(statistics.chunks_exact(2)).enumerate() {
            let (mean, scale) = (of_row[0], of_row[1]);
            if let Some(grad_input) = grad_input.as_deref_mut() {
                let dx = &mut grad_input[row * width..][..width];
                self.row_gradient(x, dy, [mean, scale], dx);
            }
            add_parameter_gradients(x, dy, [mean, scale], of_weight, of_bias);
        }
    }

    #[inline(always)]
    fn row_gradient(&self, x: &[R], dy: &[R], [mean, scale]: [R; 2], dx: &mut [R]) {
        let [of_g, of_x] = two_sums(
            [x, dy, self.weight],
            #[inline(always)]
            |[x, dy, w]| {
                let g = dy * w;
                [g, g * (x - mean)]
            },
        );
        let (count, scale) = (x.len() as f64, scale.to_f64());
        let offset = if self.centred { R::new(scale * of_g / count) } else { R::ZERO };
        let (slope, scale) = (R::new(scale * scale * scale * of_x / count), R::new(scale));
        for (((dx, &x), &dy), &w) in dx.iter_mut().zip(x).zip(dy).zip(self.weight) {
            *dx = (dy * w * scale - offset) - (x - mean) * slope;
        }
    }
}

#[inline(always)]
fn normalise<R: Real>(x: &[R], [mean, scale]: [R; 2], parameters: [&[R]; 2], y: &mut [R]) {
    let parameters = parameters[0].iter().zip(parameters[1]);
    for ((y, &x), (&w, &b)) in y.iter_mut().zip(x).zip(parameters) {
        *y = (x - mean) * scale * w + b;
    }
}

/// Adds dL/dy x̂ and dL/dy of a row.
#[inline(always)]
fn add_parameter_gradients<R: Real>(
    x: &[R],
    dy: &[R],
    [mean, scale]: [R; 2],
    of_weight: &mut [R],
    of_bias: &mut [R],
) {
    let ((weights, weight_rest), (biases, bias_rest)) =
        (of_weight.as_chunks_mut::<LANES>(), of_bias.as_chunks_mut::<LANES>());
    let ((xs, x_rest), (dys, dy_rest)) = (x.as_chunks::<LANES>(), dy.as_chunks::<LANES>());
    for (((of_weight, of_bias), x), dy) in weights.iter_mut().zip(biases).zip(xs).zip(dys) {
        // Local copies: the compiler need not ask whether the outputs overlap.
        let (mut sums, mut plain) = (*of_weight, *of_bias);
        for lane in 0..LANES {
            sums[lane] += dy[lane] * ((x[lane] - mean) * scale);
            plain[lane] += dy[lane];
        }
        (*of_weight, *of_bias) = (sums, plain);
    }
    let sums = weight_rest.iter_mut().zip(bias_rest);
    for (((of_weight, of_bias), &x), &dy) in sums.zip(x_rest).zip(dy_rest) {
        *of_weight += dy * ((x - mean) * scale);
        *of_bias += dy;
    }
}
