//! Depthwise convolution in f32: filters of one channel each. It moves more numbers than it
//! multiplies; channels run along the vector lanes.

use rayon::prelude::*;

use crate::cpu::parallel::rows_per_piece;
use crate::cpu::simd;
use crate::nn::ops::conv2d::options::Conv2d;
use crate::nn::ops::conv2d::slices::{MOST_SLICES, ParameterGradients, sum_by_slices};

/// Pixels with a sum of the weights' gradient of their own, at least.
const LEAST_PIXELS: usize = 512;

/// Calls `tap(pixel, place, weights)` for each pixel of a block and each tap inside of the image:
/// `place` is the index of the image's channels, `weights` that of the tap's filters.
#[inline(always)]
fn taps(op: &Conv2d, first: usize, count: usize, mut tap: impl FnMut(usize, usize, usize)) {
    let (channels, filters) = (op.input[2], op.group_filters());
    let ([height, width, _], [grid_height, grid_width]) = (op.input, op.output_size());
    let (mut image, rest) =
        (first / (grid_height * grid_width), first % (grid_height * grid_width));
    let (mut grid_y, mut grid_x) = (rest / grid_width, rest % grid_width);
    for pixel in 0..count {
        let top = (grid_y * op.stride[0]) as isize - op.padding[0] as isize;
        let left = (grid_x * op.stride[1]) as isize - op.padding[2] as isize;
        for tap_y in 0..op.kernel[0] {
            let y = top + (tap_y * op.dilation[0]) as isize;
            if y < 0 || y >= height as isize {
                continue;
            }
            let line = (image * height + y as usize) * width;
            for tap_x in 0..op.kernel[1] {
                let x = left + (tap_x * op.dilation[1]) as isize;
                if x >= 0 && x < width as isize {
                    let number = tap_y * op.kernel[1] + tap_x;
                    tap(pixel, (line + x as usize) * channels, number * channels * filters);
                }
            }
        }
        grid_x += 1;
        if grid_x == grid_width {
            (grid_x, grid_y) = (0, grid_y + 1);
            if grid_y == grid_height {
                (grid_y, image) = (0, image + 1);
            }
        }
    }
}

/// y of filters of one channel each.
pub(super) fn forward(op: &Conv2d, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    let (channels, width, filters) = (op.input[2], op.filters, op.group_filters());
    let block = rows_per_piece(width * op.taps());
    y.par_chunks_mut(block * width).enumerate().for_each(|(number, y)| {
        simd::dispatch(
            #[inline(always)]
            || {
                for row in y.chunks_exact_mut(width) {
                    if bias.is_empty() { row.fill(0.0) } else { row.copy_from_slice(bias) }
                }
                taps(
                    op,
                    number * block,
                    y.len() / width,
                    #[inline(always)]
                    |pixel, place, weights| {
                        let (x, y) = (&x[place..][..channels], &mut y[pixel * width..][..width]);
                        let weight = &weight[weights..][..width];
                        if filters == 1 {
                            let pairs = x.iter().zip(weight);
                            y.iter_mut().zip(pairs).for_each(|(y, (&x, &w))| *y += x * w);
                            return;
                        }
                        let groups = y.chunks_exact_mut(filters).zip(weight.chunks_exact(filters));
                        for ((y, weight), &x) in groups.zip(x) {
                            y.iter_mut().zip(weight).for_each(|(y, &w)| *y += x * w);
                        }
                    },
                );
            },
        );
    });
}

/// dL/dX of filters of one channel each, image by image.
pub(super) fn input_gradient(
    op: &Conv2d,
    grad_output: &[f32],
    weight: &[f32],
    grad_input: &mut [f32],
    adds: bool,
) {
    let (channels, width, filters) = (op.input[2], op.filters, op.group_filters());
    let (pixels, size) = (op.output_size().iter().product::<usize>(), op.input.iter().product());
    grad_input.par_chunks_mut(size).enumerate().for_each(|(image, grad_input)| {
        let grad_output = &grad_output[image * pixels * width..][..pixels * width];
        simd::dispatch(
            #[inline(always)]
            || {
                if !adds {
                    grad_input.fill(0.0);
                }
                taps(
                    op,
                    0,
                    pixels,
                    #[inline(always)]
                    |pixel, place, weights| {
                        let dx = &mut grad_input[place..][..channels];
                        let dy = &grad_output[pixel * width..][..width];
                        let weight = &weight[weights..][..width];
                        if filters == 1 {
                            let pairs = dy.iter().zip(weight);
                            dx.iter_mut().zip(pairs).for_each(|(dx, (&dy, &w))| *dx += dy * w);
                            return;
                        }
                        let groups = dy.chunks_exact(filters).zip(weight.chunks_exact(filters));
                        for ((dy, weight), dx) in groups.zip(dx) {
                            dy.iter().zip(weight).for_each(|(&dy, &w)| *dx += dy * w);
                        }
                    },
                );
            },
        );
    });
}

/// Adds dL/dW of the pixels from `first` on, of filters of one channel each.
fn weight_gradient(op: &Conv2d, x: &[f32], first: usize, grad_output: &[f32], sums: &mut [f32]) {
    let (channels, width, filters) = (op.input[2], op.filters, op.group_filters());
    simd::dispatch(
        #[inline(always)]
        || {
            taps(
                op,
                first,
                grad_output.len() / width,
                #[inline(always)]
                |pixel, place, weights| {
                    let (x, dy) = (&x[place..][..channels], &grad_output[pixel * width..][..width]);
                    let sums = &mut sums[weights..][..width];
                    if filters == 1 {
                        let pairs = x.iter().zip(dy);
                        sums.iter_mut().zip(pairs).for_each(|(sum, (&x, &dy))| *sum += x * dy);
                        return;
                    }
                    let groups = sums.chunks_exact_mut(filters).zip(dy.chunks_exact(filters));
                    for ((sums, dy), &x) in groups.zip(x) {
                        sums.iter_mut().zip(dy).for_each(|(sum, &dy)| *sum += x * dy);
                    }
                },
            );
        },
    );
}

/// Writes dL/dW and dL/db, or adds to them. `bias` is empty if there is none.
pub(super) fn parameter_gradients(op: &Conv2d, io: ParameterGradients<f32>) {
    let ParameterGradients { x, grad_output, weight, bias, accumulate } = io;
    let (width, size) = (op.filters, weight.len() + op.filters);
    let pixels = grad_output.len() / width;
    let slices = pixels.div_ceil(LEAST_PIXELS).min(MOST_SLICES);
    let (length, has_bias) = (weight.len(), !bias.is_empty());
    let of_slice = |slice: usize, partial: &mut [f32]| {
        let (of_weight, of_bias) = partial.split_at_mut(length);
        let [from, to] = [slice, slice + 1].map(|slice| pixels * slice / slices);
        let grad_output = &grad_output[from * width..to * width];
        weight_gradient(op, x, from, grad_output, of_weight);
        if has_bias {
            for row in grad_output.chunks_exact(width) {
                of_bias.iter_mut().zip(row).for_each(|(sum, &dy)| *sum += dy);
            }
        }
    };
    sum_by_slices(slices, size, of_slice, |partials| {
        if !accumulate {
            weight.fill(0.0);
            bias.fill(0.0);
        }
        for partial in partials {
            let (of_weight, of_bias) = partial.split_at(weight.len());
            weight.iter_mut().zip(of_weight).for_each(|(sum, &x)| *sum += x);
            bias.iter_mut().zip(of_bias).for_each(|(sum, &x)| *sum += x);
        }
    });
}
