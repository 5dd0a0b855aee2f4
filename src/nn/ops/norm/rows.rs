//! Normalisation by row on the CPU: layer norm, and RMS norm without the mean.

use rayon::prelude::*;

use crate::cpu::parallel::rows_per_piece;
use crate::cpu::real::Real;

/// Accumulators of a sum.
const LANES: usize = 32;

/// Rows whose gradients are computed together.
const ROWS_AT_ONCE: usize = 4;

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
                R::dispatch(
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
            R::dispatch(
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
        let (count, mut row) = (x.len() / width, 0);
        while row < count {
            let rows = if count - row >= ROWS_AT_ONCE { ROWS_AT_ONCE } else { 1 };
            let part = row * width..(row + rows) * width;
            let dx = grad_input.as_deref_mut().map(|dx| &mut dx[part.clone()]);
            let (x, dy) = (&x[part.clone()], &grad_output[part]);
            let statistics = &statistics[2 * row..];
            if rows == ROWS_AT_ONCE {
                self.backward_rows::<ROWS_AT_ONCE>(x, statistics, dy, dx, sums);
            } else {
                self.backward_rows::<1>(x, statistics, dy, dx, sums);
            }
            row += rows;
        }
    }

    /// The gradients of N rows: first the sums of each, so that their loads do not wait for one
    /// another; then all of the rest, with the sums over rows in registers.
    #[inline(always)]
    fn backward_rows<const N: usize>(
        &self,
        x: &[R],
        statistics: &[R],
        dy: &[R],
        mut dx: Option<&mut [R]>,
        sums: &mut [R],
    ) {
        let width = self.weight.len();
        let mut rows = [RowGradient::default(); N];
        for (row, of_row) in rows.iter_mut().enumerate() {
            let part = row * width..(row + 1) * width;
            let statistics = [statistics[2 * row], statistics[2 * row + 1]];
            *of_row = match dx {
                Some(_) => self.row_gradient(&x[part.clone()], &dy[part], statistics),
                None => RowGradient::without(statistics),
            };
        }
        let (of_weight, of_bias) = sums.split_at_mut(width);
        let whole = width / LANES * LANES;
        for start in (0..whole).step_by(LANES) {
            // Local copies: the compiler need not ask whether the outputs overlap.
            let part = |values: &[R], from: usize| -> [R; LANES] {
                let mut copy = [R::ZERO; LANES];
                copy.copy_from_slice(&values[from..from + LANES]);
                copy
            };
            let (mut scaled, mut plain) = (part(of_weight, start), part(of_bias, start));
            let w = part(self.weight, start);
            for (row, of_row) in rows.iter().enumerate() {
                let from = row * width + start;
                let (x, dy) = (part(x, from), part(dy, from));
                let mut found = [R::ZERO; LANES];
                for lane in 0..LANES {
                    found[lane] = of_row.dx(x[lane], dy[lane], w[lane]);
                    scaled[lane] += of_row.of_weight(x[lane], dy[lane]);
                    plain[lane] += dy[lane];
                }
                if let Some(dx) = dx.as_deref_mut() {
                    dx[from..from + LANES].copy_from_slice(&found);
                }
            }
            of_weight[start..start + LANES].copy_from_slice(&scaled);
            of_bias[start..start + LANES].copy_from_slice(&plain);
        }
        for place in whole..width {
            for (row, of_row) in rows.iter().enumerate() {
                let from = row * width + place;
                let (x, dy) = (x[from], dy[from]);
                if let Some(dx) = dx.as_deref_mut() {
                    dx[from] = of_row.dx(x, dy, self.weight[place]);
                }
                of_weight[place] += of_row.of_weight(x, dy);
                of_bias[place] += dy;
            }
        }
    }

    #[inline(always)]
    fn row_gradient(&self, x: &[R], dy: &[R], [mean, scale]: [R; 2]) -> RowGradient<R> {
        let [of_g, of_x] = two_sums(
            [x, dy, self.weight],
            #[inline(always)]
            |[x, dy, w]| {
                let g = dy * w;
                [g, g * (x - mean)]
            },
        );
        let (count, r) = (x.len() as f64, scale.to_f64());
        let offset = if self.centred { R::new(r * of_g / count) } else { R::ZERO };
        RowGradient { mean, scale, offset, slope: R::new(r * r * r * of_x / count) }
    }
}

/// Numbers of a row that its gradients are computed from.
#[derive(Clone, Copy, Debug, Default)]
struct RowGradient<R> {
    mean: R,
    scale: R,
    offset: R,
    slope: R,
}

impl<R: Real> RowGradient<R> {
    /// For the gradients of the parameters alone.
    #[inline(always)]
    fn without([mean, scale]: [R; 2]) -> Self {
        RowGradient { mean, scale, offset: R::ZERO, slope: R::ZERO }
    }

    #[inline(always)]
    fn dx(self, x: R, dy: R, w: R) -> R {
        (dy * w * self.scale - self.offset) - (x - self.mean) * self.slope
    }

    /// dL/dy x̂.
    #[inline(always)]
    fn of_weight(self, x: R, dy: R) -> R {
        dy * ((x - self.mean) * self.scale)
    }
}

#[inline(always)]
fn normalise<R: Real>(x: &[R], [mean, scale]: [R; 2], parameters: [&[R]; 2], y: &mut [R]) {
    let parameters = parameters[0].iter().zip(parameters[1]);
    for ((y, &x), (&w, &b)) in y.iter_mut().zip(x).zip(parameters) {
        *y = (x - mean) * scale * w + b;
    }
}
