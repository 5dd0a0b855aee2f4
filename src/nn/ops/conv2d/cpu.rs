//! Convolution on the CPU. Patches of a block of pixels are gathered into a buffer of the size of a
//! core's second-level cache and multiplied there; the blocks are split over the threads. Blocks
//! and the order of sums depend only on shapes.

use std::ops::Range;

use rayon::prelude::*;

use crate::Result;
use crate::cpu::parallel::rows_per_piece;
use crate::cpu::real::Real;
use crate::cpu::simd;
use crate::cpu::strided::{View, ViewMut, product};
use crate::nn::ops::conv2d::options::Conv2d;

/// Elements of a block of patches: 512 KiB of f32, which leaves room for weights and outputs in a
/// second-level cache of 1 MiB.
const BLOCK: usize = 1 << 17;

/// Least pixels of a block with long patches: the weights are read once per block.
const LEAST_PIXELS: usize = 192;

/// Blocks that a large batch is split into at least, to keep the threads equally busy.
const BLOCKS: usize = 16;

/// Parts of the pixels with a sum of the weights' gradient each, and elements of all of these.
const MOST_SLICES: usize = 16;
const LEAST_SLICES: usize = 4;
const SLICED: usize = 1 << 22;

/// Elements copied at a time where a shorter run may be followed by anything.
const CHUNK: usize = 16;

/// Patches of a batch of images: the pixels they belong to, and the places they are read from.
#[derive(Clone, Copy, Debug)]
struct Patches {
    /// Height, width, channels.
    image: [usize; 3],
    /// Height and width of the grid of pixels that have a patch.
    grid: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// Padding above and left of the image.
    before: [usize; 2],
}

impl Patches {
    /// Of the input: a pixel of the output reads a patch.
    fn of_input(op: &Conv2d) -> Self {
        Patches {
            image: op.input,
            grid: op.output_size(),
            kernel: op.kernel,
            stride: op.stride,
            dilation: op.dilation,
            before: [op.padding[0], op.padding[2]],
        }
    }

    /// Of the output, with stride 1: a pixel of the input is read by the outputs of a patch, its
    /// taps in reverse order.
    fn of_output(op: &Conv2d) -> Self {
        let [height, width] = op.output_size();
        Patches {
            image: [height, width, op.filters],
            grid: [op.input[0], op.input[1]],
            kernel: op.kernel,
            stride: [1; 2],
            dilation: op.dilation,
            before: [op.extent(0) - 1 - op.padding[0], op.extent(1) - 1 - op.padding[2]],
        }
    }

    fn pixels(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// Calls `run(at, place, length)` for each run of adjacent elements of the patches of `count`
    /// pixels, in order: `at` is its index in the patches, `place` that in the images, or none if
    /// it lies outside of them.
    #[inline(always)]
    fn walk(
        &self,
        first: usize,
        count: usize,
        channels: Range<usize>,
        mut run: impl FnMut(usize, Option<usize>, usize),
    ) {
        let ([height, width, depth], [grid_height, grid_width]) = (self.image, self.grid);
        let ([kernel_height, kernel_width], deep) = (self.kernel, channels.len());
        let is_whole = self.dilation[1] == 1 && deep == depth;
        let (mut image, rest) = (first / self.pixels(), first % self.pixels());
        let (mut grid_y, mut grid_x) = (rest / grid_width, rest % grid_width);
        let mut at = 0;
        for _ in 0..count {
            let top = (grid_y * self.stride[0]) as isize - self.before[0] as isize;
            let left = (grid_x * self.stride[1]) as isize - self.before[1] as isize;
            for tap_y in 0..kernel_height {
                let y = top + (tap_y * self.dilation[0]) as isize;
                if y < 0 || y >= height as isize {
                    run(at, None, kernel_width * deep);
                    at += kernel_width * deep;
                    continue;
                }
                let line = (image * height + y as usize) * width * depth + channels.start;
                if is_whole {
                    let taps = kernel_width as isize;
                    let low = (-left).clamp(0, taps);
                    let high = (width as isize - left).clamp(low, taps);
                    if low > 0 {
                        run(at, None, low as usize * depth);
                    }
                    if high > low {
                        let place = line + (left + low) as usize * depth;
                        let length = (high - low) as usize * depth;
                        run(at + low as usize * depth, Some(place), length);
                    }
                    if taps > high {
                        run(at + high as usize * depth, None, (taps - high) as usize * depth);
                    }
                    at += kernel_width * depth;
                } else {
                    for tap_x in 0..kernel_width {
                        let x = left + (tap_x * self.dilation[1]) as isize;
                        let is_inside = x >= 0 && x < width as isize;
                        run(at, is_inside.then(|| line + x as usize * depth), deep);
                        at += deep;
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

    /// Writes the patches of `count` pixels; elements outside of the image are 0. `patches` is
    /// longer by [`CHUNK`].
    fn gather<R: Real>(
        &self,
        images: &[R],
        first: usize,
        count: usize,
        channels: Range<usize>,
        patches: &mut [R],
    ) {
        simd::dispatch(
            #[inline(always)]
            || {
                self.walk(
                    first,
                    count,
                    channels,
                    #[inline(always)]
                    |at, place, length| match place {
                        Some(place) => copy(&images[place..], &mut patches[at..], length),
                        None => patches[at..at + length].fill(R::ZERO),
                    },
                );
            },
        );
    }

    /// Adds the patches of `count` pixels to the pixels that they would be read from.
    fn scatter<R: Real>(
        &self,
        patches: &[R],
        first: usize,
        count: usize,
        channels: Range<usize>,
        images: &mut [R],
    ) {
        simd::dispatch(
            #[inline(always)]
            || {
                self.walk(
                    first,
                    count,
                    channels,
                    #[inline(always)]
                    |at, place, length| {
                        if let Some(place) = place {
                            let sums = images[place..place + length].iter_mut();
                            sums.zip(&patches[at..at + length]).for_each(|(sum, &x)| *sum += x);
                        }
                    },
                );
            },
        );
    }
}

/// Copies `length` elements. A short run is copied as one chunk: what follows it in `to` is written
/// later.
#[inline(always)]
fn copy<R: Copy>(from: &[R], to: &mut [R], length: usize) {
    if length <= CHUNK
        && let (Some(from), Some(to)) = (from.first_chunk::<CHUNK>(), to.first_chunk_mut::<CHUNK>())
    {
        *to = *from;
        return;
    }
    to[..length].copy_from_slice(&from[..length]);
}

/// Pixels of a block with patches of `depth` elements.
fn block_of(pixels: usize, depth: usize) -> usize {
    (BLOCK / depth.max(1)).max(LEAST_PIXELS).min(pixels.div_ceil(BLOCKS).max(64))
}

/// A buffer for the patches of a block.
fn patch_buffer<R: Real>(count: usize, depth: usize) -> Vec<R> {
    vec![R::ZERO; count * depth + CHUNK]
}

/// A product of patches with a kernel, in groups.
#[derive(Debug)]
struct Convolution<'a, R> {
    patches: Patches,
    is_pointwise: bool,
    /// Channels and filters of a group.
    group: [usize; 2],
    groups: usize,
    /// [taps · channels of a group, filters].
    weight: &'a [R],
    /// One per filter, or none.
    bias: &'a [R],
}

impl<R: Real> Convolution<'_, R> {
    fn run(&self, images: &[R], output: &mut [R]) -> Result<()> {
        let ([channels, filters], patches) = (self.group, &self.patches);
        let (width, depth) =
            (filters * self.groups, patches.kernel[0] * patches.kernel[1] * channels);
        let block = block_of(output.len() / width, depth);
        let blocks = output.par_chunks_mut(block * width).enumerate();
        blocks.try_for_each_init(Vec::new, |buffer, (number, output)| {
            let (first, count) = (number * block, output.len() / width);
            if !self.bias.is_empty() {
                output.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(self.bias));
            }
            for group in 0..self.groups {
                let left = if self.is_pointwise {
                    &images[first * depth..(first + count) * depth]
                } else {
                    if buffer.is_empty() {
                        *buffer = patch_buffer(block, depth);
                    }
                    let channels = group * channels..(group + 1) * channels;
                    patches.gather(images, first, count, channels, buffer);
                    &buffer[..]
                };
                let start = group * filters;
                product(
                    [count, filters, depth],
                    View { values: left, row: depth, column: 1 },
                    View { values: &self.weight[start..], row: width, column: 1 },
                    ViewMut { values: &mut output[start..], row: width, column: 1 },
                    !self.bias.is_empty(),
                )?;
            }
            Ok(())
        })
    }
}

/// y.
pub(super) fn forward<R: Real>(
    op: &Conv2d,
    x: &[R],
    weight: &[R],
    bias: &[R],
    y: &mut [R],
) -> Result<()> {
    if op.is_depthwise() {
        depthwise_forward(op, x, weight, bias, y);
        return Ok(());
    }
    let convolution = Convolution {
        patches: Patches::of_input(op),
        is_pointwise: op.is_pointwise(),
        group: [op.group_channels(), op.group_filters()],
        groups: op.groups,
        weight,
        bias,
    };
    convolution.run(x, y)
}

/// dL/dX.
pub(super) fn input_gradient<R: Real>(
    op: &Conv2d,
    grad_output: &[R],
    weight: &[R],
    grad_input: &mut [R],
) -> Result<()> {
    if op.is_depthwise() {
        depthwise_input_gradient(op, grad_output, weight, grad_input);
        return Ok(());
    }
    // A pixel of dX gathers what it is read by, or each patch of dX is computed and added to its
    // pixels: what moves fewer numbers. With a stride most of what were gathered would be zeros.
    let gathers = op.groups == 1 && op.stride == [1; 2];
    if gathers && (op.is_pointwise() || op.filters <= 2 * op.input[2]) {
        let convolution = Convolution {
            patches: Patches::of_output(op),
            is_pointwise: op.is_pointwise(),
            group: [op.filters, op.input[2]],
            groups: 1,
            weight: &reversed(op, weight),
            bias: &[],
        };
        return convolution.run(grad_output, grad_input);
    }
    scattered_input_gradient(op, grad_output, weight, grad_input)
}

/// The weights [taps, channels, filters] as [taps in reverse order, filters, channels].
fn reversed<R: Real>(op: &Conv2d, weight: &[R]) -> Vec<R> {
    let size = op.input[2] * op.filters;
    let mut output = vec![R::ZERO; weight.len()];
    let taps = output.par_chunks_mut(size).zip(weight.par_chunks(size).rev());
    taps.for_each(|(output, weight)| transpose(weight, op.filters, output));
    output
}

/// Transposes a matrix of rows of `width` in blocks of whole cache lines.
fn transpose<R: Real>(values: &[R], width: usize, output: &mut [R]) {
    const SIDE: usize = 16;
    let height = values.len() / width.max(1);
    for i in (0..height).step_by(SIDE) {
        for j in (0..width).step_by(SIDE) {
            for column in j..width.min(j + SIDE) {
                for row in i..height.min(i + SIDE) {
                    output[column * height + row] = values[row * width + column];
                }
            }
        }
    }
}

/// dL/dX image by image: the patches of dX are dY Wᵀ.
fn scattered_input_gradient<R: Real>(
    op: &Conv2d,
    grad_output: &[R],
    weight: &[R],
    grad_input: &mut [R],
) -> Result<()> {
    let patches = Patches::of_input(op);
    let (channels, filters, width) = (op.group_channels(), op.group_filters(), op.filters);
    let (depth, pixels) = (op.taps() * channels, patches.pixels());
    let block = (BLOCK / depth).max(LEAST_PIXELS).min(pixels);
    // [filters, depth]: a group is contiguous.
    let mut by_filter = vec![R::ZERO; weight.len()];
    transpose(weight, width, &mut by_filter);
    let images = grad_input.par_chunks_mut(op.input.iter().product()).enumerate();
    images.try_for_each_init(Vec::new, |buffer, (image, grad_input)| {
        if buffer.is_empty() {
            *buffer = patch_buffer(block, depth);
        }
        grad_input.fill(R::ZERO);
        for first in (0..pixels).step_by(block) {
            let count = block.min(pixels - first);
            for group in 0..op.groups {
                let left = &grad_output[(image * pixels + first) * width + group * filters..];
                product(
                    [count, depth, filters],
                    View { values: left, row: width, column: 1 },
                    View { values: &by_filter[group * filters * depth..], row: depth, column: 1 },
                    ViewMut { values: buffer, row: depth, column: 1 },
                    false,
                )?;
                let channels = group * channels..(group + 1) * channels;
                patches.scatter(buffer, first, count, channels, grad_input);
            }
        }
        Ok(())
    })
}

/// Sums over slices of the pixels, of which the gradients of W and b are the sums.
#[derive(Debug)]
pub(super) struct ParameterSums<R> {
    /// For each slice the gradient of W, then that of b.
    partials: Vec<R>,
    /// Elements of a slice.
    length: usize,
    /// The gradient of W is [filters, taps · channels of a group] instead of its transpose.
    by_filter: bool,
}

/// The sums over the slices.
pub(super) fn parameter_sums<R: Real>(
    op: &Conv2d,
    rows: usize,
    x: &[R],
    grad_output: &[R],
) -> Result<ParameterSums<R>> {
    let patches = Patches::of_input(op);
    let (channels, filters, width) = (op.group_channels(), op.group_filters(), op.filters);
    let (depth, pixels, by_filter) =
        (op.taps() * channels, rows * patches.pixels(), !op.is_depthwise());
    let length = (depth + 1) * width;
    let block = block_of(pixels, if by_filter { depth } else { depth * width });
    let blocks = pixels.div_ceil(block);
    let slices = blocks.min(MOST_SLICES).min((SLICED / length).max(LEAST_SLICES));
    let mut partials = vec![R::ZERO; slices * length];
    partials.par_chunks_mut(length).enumerate().try_for_each_init(
        Vec::new,
        |buffer, (slice, partial)| {
            let (of_weight, of_bias) = partial.split_at_mut(depth * width);
            for number in blocks * slice / slices..blocks * (slice + 1) / slices {
                let first = number * block;
                let count = block.min(pixels - first);
                let grad_output = &grad_output[first * width..(first + count) * width];
                if op.bias {
                    add_rows(grad_output, of_bias);
                }
                if !by_filter {
                    depthwise_weight_gradient(op, x, first, grad_output, of_weight);
                    continue;
                }
                for group in 0..op.groups {
                    let left = if op.is_pointwise() {
                        &x[first * depth..(first + count) * depth]
                    } else {
                        if buffer.is_empty() {
                            *buffer = patch_buffer(block, depth);
                        }
                        let channels = group * channels..(group + 1) * channels;
                        patches.gather(x, first, count, channels, buffer);
                        &buffer[..]
                    };
                    let start = group * filters;
                    product(
                        [depth, filters, count],
                        View { values: left, row: 1, column: depth },
                        View { values: &grad_output[start..], row: width, column: 1 },
                        ViewMut { values: &mut of_weight[start * depth..], row: 1, column: depth },
                        true,
                    )?;
                }
            }
            Ok(())
        },
    )?;
    Ok(ParameterSums { partials, length, by_filter })
}

/// Adds each row of a matrix to `sums`.
fn add_rows<R: Real>(rows: &[R], sums: &mut [R]) {
    simd::dispatch(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(sums.len()) {
                sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
            }
        },
    );
}

/// Adds the slices of dL/dW.
pub(super) fn weight_gradient<R: Real>(
    op: &Conv2d,
    sums: &ParameterSums<R>,
    gradient: &mut [R],
    accumulate: bool,
) {
    const ROWS: usize = 16;
    let width = op.filters;
    let depth = gradient.len() / width;
    gradient.par_chunks_mut(ROWS * width).enumerate().for_each(|(number, gradient)| {
        if !accumulate {
            gradient.fill(R::ZERO);
        }
        let first = number * ROWS;
        let rows = gradient.len() / width;
        for partial in sums.partials.chunks_exact(sums.length) {
            if !sums.by_filter {
                let partial = &partial[first * width..][..gradient.len()];
                gradient.iter_mut().zip(partial).for_each(|(sum, &x)| *sum += x);
                continue;
            }
            for filter in 0..width {
                let line = &partial[filter * depth + first..][..rows];
                let column = gradient[filter..].iter_mut().step_by(width);
                column.zip(line).for_each(|(sum, &x)| *sum += x);
            }
        }
    });
}

/// Adds the slices of dL/db.
pub(super) fn bias_gradient<R: Real>(
    op: &Conv2d,
    sums: &ParameterSums<R>,
    gradient: &mut [R],
    accumulate: bool,
) {
    if !accumulate {
        gradient.fill(R::ZERO);
    }
    for partial in sums.partials.chunks_exact(sums.length) {
        let of_bias = &partial[sums.length - op.filters..];
        gradient.iter_mut().zip(of_bias).for_each(|(sum, &x)| *sum += x);
    }
}

/// Calls `tap(pixel, place, weights)` for each pixel of a block and each tap inside of the image:
/// `place` is the index of the image's channels, `weights` that of the tap's filters.
#[inline(always)]
fn depthwise_taps(
    op: &Conv2d,
    first: usize,
    count: usize,
    mut tap: impl FnMut(usize, usize, usize),
) {
    let (channels, depth) = (op.input[2], op.taps() * op.input[2]);
    let filters = op.group_filters();
    Patches::of_input(op).walk(
        first,
        count,
        0..channels,
        #[inline(always)]
        |at, place, length| {
            let Some(place) = place else { return };
            let (pixel, weights) = (at / depth, at % depth * filters);
            for offset in (0..length).step_by(channels) {
                tap(pixel, place + offset, weights + offset * filters);
            }
        },
    );
}

/// y of filters of one channel each.
fn depthwise_forward<R: Real>(op: &Conv2d, x: &[R], weight: &[R], bias: &[R], y: &mut [R]) {
    let (channels, width, filters) = (op.input[2], op.filters, op.group_filters());
    let block = rows_per_piece(width * op.taps());
    y.par_chunks_mut(block * width).enumerate().for_each(|(number, y)| {
        simd::dispatch(
            #[inline(always)]
            || {
                for row in y.chunks_exact_mut(width) {
                    if bias.is_empty() { row.fill(R::ZERO) } else { row.copy_from_slice(bias) }
                }
                depthwise_taps(
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
fn depthwise_input_gradient<R: Real>(
    op: &Conv2d,
    grad_output: &[R],
    weight: &[R],
    grad_input: &mut [R],
) {
    let (channels, width, filters) = (op.input[2], op.filters, op.group_filters());
    let (pixels, size) = (Patches::of_input(op).pixels(), op.input.iter().product());
    grad_input.par_chunks_mut(size).enumerate().for_each(|(image, grad_input)| {
        let grad_output = &grad_output[image * pixels * width..][..pixels * width];
        simd::dispatch(
            #[inline(always)]
            || {
                grad_input.fill(R::ZERO);
                depthwise_taps(
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
fn depthwise_weight_gradient<R: Real>(
    op: &Conv2d,
    x: &[R],
    first: usize,
    grad_output: &[R],
    sums: &mut [R],
) {
    let (channels, width, filters) = (op.input[2], op.filters, op.group_filters());
    simd::dispatch(
        #[inline(always)]
        || {
            depthwise_taps(
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
