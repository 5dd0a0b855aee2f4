//! The gradients of weights and bias, in sums of several slices of the blocks.

use rayon::prelude::*;

use crate::cpu::scratch::with_scratch;
use crate::cpu::simd;
use crate::nn::ops::conv2d::direct::{Block, Direct};
use crate::nn::ops::conv2d::options::Conv2d;
use crate::nn::ops::conv2d::slices::{MOST_SLICES, ParameterGradients, sum_by_slices};
use crate::nn::ops::conv2d::tiles::{Gradient, NARROW, columns};

/// Parts of the blocks with a sum of the weights' gradient each, and numbers of all of these.
const LEAST_SLICES: usize = 4;
const SLICED: usize = 1 << 19;

/// Writes dL/dW and dL/db, or adds to them. `bias` is empty if there is none.
pub(in crate::nn::ops::conv2d) fn parameter_gradients(op: &Conv2d, io: ParameterGradients<f32>) {
    let ParameterGradients { x, grad_output, weight, bias, accumulate } = io;
    let direct = Direct::of_input(op);
    let [class] = &direct.classes[..] else { return };
    let (rows, filters) = (op.taps() * direct.inner, direct.outer);
    // Groups of whole vectors.
    let group_width = filters.next_multiple_of(NARROW);
    let stride = if filters == group_width { op.filters } else { op.groups * group_width };
    let length = (rows + 1) * stride;
    let blocks = direct.blocks(x.len() / op.input.iter().product::<usize>());
    let most = (SLICED / length).clamp(LEAST_SLICES, MOST_SLICES);
    let slices = blocks.len().min(most);
    let has_bias = !bias.is_empty();
    let of_slice = |slice: usize, partial: &mut [f32]| {
        let (of_weight, of_bias) = partial.split_at_mut(rows * stride);
        let range = blocks.len() * slice / slices..blocks.len() * (slice + 1) / slices;
        for block in &blocks[range] {
            direct.with_grad_output(block, grad_output, stride, |grad_output| {
                if has_bias {
                    add_rows(grad_output, of_bias);
                }
                direct.with_patches(class, x, block, |layout| {
                    let lines: Vec<usize> =
                        layout.places.iter().step_by(class.grid[1]).map(|at| at[0]).collect();
                    for group in 0..op.groups {
                        let runs = direct.runs(class, group);
                        for columns in columns(filters) {
                            let first = group * group_width + columns.start;
                            let gradient = Gradient {
                                source: layout.source,
                                lines: &lines,
                                pixels: class.grid[1],
                                step: direct.step[1] * direct.source[2],
                                runs: &runs,
                                columns,
                                grad_output,
                                grad_stride: stride,
                                grad_first: first,
                                sums: &mut *of_weight,
                                sums_stride: stride,
                                sums_first: first,
                            };
                            gradient.run();
                        }
                    }
                });
            });
        }
    };
    sum_by_slices(slices, length, of_slice, |partials| {
        let of_row = |row: usize, gradient: &mut [f32]| {
            if !accumulate {
                gradient.fill(0.0);
            }
            for partial in partials.clone() {
                let sums = partial[row * stride..][..stride].chunks(group_width.min(stride));
                for (gradient, sums) in gradient.chunks_exact_mut(filters).zip(sums) {
                    gradient.iter_mut().zip(sums).for_each(|(sum, &x)| *sum += x);
                }
            }
        };
        let of_weight = weight.par_chunks_mut(op.filters).with_min_len(16).enumerate();
        of_weight.for_each(|(row, gradient)| of_row(row, gradient));
        if !bias.is_empty() {
            of_row(rows, bias);
        }
    });
}

impl Direct {
    /// Calls `work` with dL/dY of a block in rows of `stride`: each group filled up to whole
    /// vectors.
    fn with_grad_output<T>(
        &self,
        block: &Block,
        grad_output: &[f32],
        stride: usize,
        work: impl FnOnce(&[f32]) -> T,
    ) -> T {
        let ([height, row], width) = (self.target, self.width());
        let first = (block.image * height + block.rows[0]) * row;
        let pixels = block.images * (block.rows[1] - block.rows[0]) * row;
        let grad_output = &grad_output[first * width..][..pixels * width];
        if stride == width {
            return work(grad_output);
        }
        with_scratch(pixels * stride, |padded| {
            let rows = padded.chunks_exact_mut(stride).zip(grad_output.chunks_exact(width));
            for (padded, row) in rows {
                let groups = padded.chunks_exact_mut(stride / self.groups);
                for (padded, values) in groups.zip(row.chunks_exact(self.outer)) {
                    padded[..self.outer].copy_from_slice(values);
                    padded[self.outer..].fill(0.0);
                }
            }
            work(padded)
        })
    }
}

/// Adds each row of a matrix to `sums`.
fn add_rows(rows: &[f32], sums: &mut [f32]) {
    simd::dispatch(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(sums.len()) {
                sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
            }
        },
    );
}
