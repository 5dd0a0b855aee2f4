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

/// Σ of `T` terms of each element of rows, in [`LANES`] accumulators each.
#[inline(always)]
fn sums<R: Real, const N: usize, const T: usize>(
    rows: [&[R]; N],
    terms: impl Fn([R; N]) -> [R; T],
) -> [f64; T] {
    let length = rows[0].len();
    let rows = rows.map(|row| &row[..length]);
    let mut lanes = [[R::ZERO; LANES]; T];
    let whole = length / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        let parts = rows.map(|row| row[start..].first_chunk::<LANES>());
        for lane in 0..LANES {
            let found = terms(parts.map(|part| part.map_or(R::ZERO, |part| part[lane])));
            for (lanes, found) in lanes.iter_mut().zip(found) {
                lanes[lane] += found;
            }
        }
    }
    let mut total = [R::ZERO; T];
    for place in whole..length {
        let found = terms(rows.map(|row| row[place]));
        total.iter_mut().zip(found).for_each(|(total, found)| *total += found);
    }
    let mut width = if whole > 0 { LANES / 2 } else { 0 };
    while width > 0 {
        for lanes in &mut lanes {
            for lane in 0..width {
                let other = lanes[lane + width];
                lanes[lane] += other;
            }
        }
        width /= 2;
    }
    std::array::from_fn(|term| (total[term] + lanes[term][0]).to_f64())
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
                            let parameters = self.weight.iter().zip(bias);
                            for ((y, &x), (&w, &b)) in y.iter_mut().zip(x).zip(parameters) {
                                *y = (x - mean) * scale * w + b;
                            }
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
            let [sum] = sums([x], |[x]| [x - origin]);
            R::new(origin.to_f64() + sum / count)
        } else {
            R::ZERO
        };
        let [squares] = sums([x], |[x]| {
            let distance = x - mean;
            [distance * distance]
        });
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
        let [of_g, of_x] = sums([x, dy, self.weight], |[x, dy, w]| {
            let g = dy * w;
            [g, g * (x - mean)]
        });
        let (count, scale) = (x.len() as f64, scale.to_f64());
        let offset = if self.centred { R::new(scale * of_g / count) } else { R::ZERO };
        let (slope, scale) = (R::new(scale * scale * scale * of_x / count), R::new(scale));
        for (((dx, &x), &dy), &w) in dx.iter_mut().zip(x).zip(dy).zip(self.weight) {
            *dx = (dy * w * scale - offset) - (x - mean) * slope;
        }
    }
}

#[inline(always)]
fn add_parameter_gradients<R: Real>(
    x: &[R],
    dy: &[R],
    [mean, scale]: [R; 2],
    of_weight: &mut [R],
    of_bias: &mut [R],
) {
    let sums = of_weight.iter_mut().zip(of_bias);
    for (((of_weight, of_bias), &x), &dy) in sums.zip(x).zip(dy) {
        *of_weight += dy * ((x - mean) * scale);
        *of_bias += dy;
    }
}
