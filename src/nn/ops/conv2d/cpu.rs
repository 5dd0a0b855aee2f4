//! Convolution on the CPU: in f32 by blocks of pixels on all cores, in any other precision from the
//! definition.

use rayon::prelude::*;

use crate::cpu::real::{ByPrecision, Real};
use crate::nn::graph::op::Forward;
use crate::nn::ops::conv2d::options::{Conv2d, FoldedNorm};
use crate::nn::ops::conv2d::slices::{ParameterGradients, ParameterGradientsOf};
use crate::nn::ops::conv2d::{depthwise, direct};

/// Weights and bias with a batch norm folded in.
pub(super) fn folded<R: Real>(op: &Conv2d, norm: FoldedNorm, io: &Forward<R>) -> (Vec<R>, Vec<R>) {
    let statistic = |number: usize| &io.statistics.all[io.statistics.ranges[number].clone()];
    let (mean, variance, first) = (statistic(0), statistic(1), 1 + usize::from(op.bias));
    let of = |values: &[R], filter: usize, default: f64| {
        values.get(filter).map_or(default, |value| value.to_f64())
    };
    let bias = if op.bias { io.parameters.get(1) } else { &[] };
    let (gamma, beta) = match norm.affine {
        true => (io.parameters.get(first), io.parameters.get(first + 1)),
        false => (&[][..], &[][..]),
    };
    let scale: Vec<f64> = (0..op.filters)
        .map(|filter| of(gamma, filter, 1.0) / (variance[filter].to_f64() + norm.epsilon).sqrt())
        .collect();
    let rows = io.parameters.get(0).chunks_exact(op.filters);
    let weight = rows
        .flat_map(|row| row.iter().zip(&scale).map(|(&w, &scale)| R::new(w.to_f64() * scale)))
        .collect();
    let bias = (0..op.filters).map(|filter| {
        let centred = of(bias, filter, 0.0) - mean[filter].to_f64();
        R::new(centred * scale[filter] + of(beta, filter, 0.0))
    });
    (weight, bias.collect())
}

/// y.
pub(super) fn forward<R: Real>(op: &Conv2d, x: &[R], weight: &[R], bias: &[R], y: &mut [R]) {
    let single = R::as_single(x).zip(R::as_single(weight)).zip(R::as_single(bias));
    if let (Some(((x, weight), bias)), Some(y)) = (single, R::as_single_mut(y)) {
        if op.is_depthwise() {
            return depthwise::forward(op, x, weight, bias, y);
        }
        return direct::forward(op, x, weight, bias, y);
    }
    let ([channels, filters], size) = (group(op), op.input.iter().product());
    let size_of_output = op.filters * op.output_size().iter().product::<usize>();
    let images = y.par_chunks_mut(size_of_output).zip(x.par_chunks(size));
    images.for_each(|(y, x)| {
        for row in y.chunks_exact_mut(op.filters) {
            if bias.is_empty() { row.fill(R::ZERO) } else { row.copy_from_slice(bias) }
        }
        for Read { pixel, place, tap } in reads(op) {
            for channel in 0..op.input[2] {
                let (group, row) = (channel / channels, tap * channels + channel % channels);
                let weight = &weight[row * op.filters + group * filters..][..filters];
                let y = &mut y[pixel * op.filters + group * filters..][..filters];
                let x = x[place * op.input[2] + channel];
                y.iter_mut().zip(weight).for_each(|(y, &w)| *y += x * w);
            }
        }
    });
}

/// Writes dL/dX, or adds it.
pub(super) fn input_gradient<R: Real>(
    op: &Conv2d,
    grad_output: &[R],
    weight: &[R],
    grad_input: &mut [R],
    adds: bool,
) {
    let single = R::as_single(grad_output).zip(R::as_single(weight));
    if let (Some((grad_output, weight)), Some(grad_input)) = (single, R::as_single_mut(grad_input))
    {
        if op.is_depthwise() {
            return depthwise::input_gradient(op, grad_output, weight, grad_input, adds);
        }
        return direct::input_gradient(op, grad_output, weight, grad_input, adds);
    }
    let ([channels, filters], size) = (group(op), op.input.iter().product());
    let size_of_output = op.filters * op.output_size().iter().product::<usize>();
    let images = grad_input.par_chunks_mut(size).zip(grad_output.par_chunks(size_of_output));
    images.for_each(|(grad_input, grad_output)| {
        if !adds {
            grad_input.fill(R::ZERO);
        }
        for Read { pixel, place, tap } in reads(op) {
            for channel in 0..op.input[2] {
                let (group, row) = (channel / channels, tap * channels + channel % channels);
                let weight = &weight[row * op.filters + group * filters..][..filters];
                let dy = &grad_output[pixel * op.filters + group * filters..][..filters];
                let dx = &mut grad_input[place * op.input[2] + channel];
                dy.iter().zip(weight).for_each(|(&dy, &w)| *dx += dy * w);
            }
        }
    });
}

/// Writes dL/dW and dL/db, or adds to them.
pub(super) fn parameter_gradients<R: Real>(op: &Conv2d, io: ParameterGradients<R>) {
    match R::by_precision::<ParameterGradientsOf>(io) {
        ByPrecision::Single(io) if op.is_depthwise() => depthwise::parameter_gradients(op, io),
        ByPrecision::Single(io) => direct::gradient::parameter_gradients(op, io),
        ByPrecision::Double(io) => defined_parameter_gradients(op, io),
    }
}

/// As [`parameter_gradients`], from the definition.
fn defined_parameter_gradients(op: &Conv2d, io: ParameterGradients<f64>) {
    let ParameterGradients { x, grad_output, weight, bias, accumulate } = io;
    if !accumulate {
        weight.fill(0.0);
        bias.fill(0.0);
    }
    if !bias.is_empty() {
        for row in grad_output.chunks_exact(op.filters) {
            bias.iter_mut().zip(row).for_each(|(sum, &dy)| *sum += dy);
        }
    }
    let ([channels, filters], size) = (group(op), op.input.iter().product());
    let size_of_output = op.filters * op.output_size().iter().product::<usize>();
    // A row of the weights is one tap and channel.
    weight.par_chunks_mut(op.filters).enumerate().for_each(|(row, weight)| {
        let images = grad_output.chunks_exact(size_of_output).zip(x.chunks_exact(size));
        for (grad_output, x) in images {
            for Read { pixel, place, .. } in reads(op).filter(|read| read.tap == row / channels) {
                let dy = &grad_output[pixel * op.filters..][..op.filters];
                let x = &x[place * op.input[2]..][..op.input[2]];
                let groups = weight.chunks_exact_mut(filters).zip(dy.chunks_exact(filters));
                for ((sums, dy), group) in groups.zip(x.chunks_exact(channels)) {
                    let x = group[row % channels];
                    sums.iter_mut().zip(dy).for_each(|(sum, &dy)| *sum += x * dy);
                }
            }
        }
    });
}

/// Channels and filters of a group.
fn group(op: &Conv2d) -> [usize; 2] {
    [op.group_channels(), op.group_filters()]
}

/// A pixel of the output reads a pixel of the input through a tap.
struct Read {
    pixel: usize,
    place: usize,
    tap: usize,
}

/// All reads of an image.
fn reads(op: &Conv2d) -> impl Iterator<Item = Read> {
    let ([height, width, _], grid, kernel) = (op.input, op.output_size(), op.kernel);
    let (stride, dilation, padding) = (op.stride, op.dilation, op.padding);
    (0..grid[0] * grid[1]).flat_map(move |pixel| {
        (0..kernel[0] * kernel[1]).filter_map(move |tap| {
            let y = (pixel / grid[1] * stride[0] + tap / kernel[1] * dilation[0])
                .checked_sub(padding[0])
                .filter(|&y| y < height)?;
            let x = (pixel % grid[1] * stride[1] + tap % kernel[1] * dilation[1])
                .checked_sub(padding[2])
                .filter(|&x| x < width)?;
            Some(Read { pixel, place: y * width + x, tap })
        })
    })
}
