//! Average pooling: the mean of each window by channel. PyTorch `AvgPool2d` and
//! `AdaptiveAvgPool2d`, Keras `AveragePooling2D`.
//!
//! The divisor is the number of places of the window, those of the padding included unless
//! `count_include_pad` is off; places behind the padding, which a last window of `ceil_mode` may
//! have, never count. A sum is that of the sums of its rows, in order.
//! Source: PyTorch, `aten/src/ATen/native/cpu/AvgPoolKernel.cpp` and `AdaptiveAvgPoolKernel.cpp`.

use crate::Result;
use crate::cpu::parallel::fill;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, Op, Saves, Shape,
};
use crate::nn::ops::pool::{Axis, Cell, LANES, Launch, Pool, Strided, program, programs};
use crate::runtime::kernel::Program;
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};

const FORWARD: File = shader!("ops/pool/average_forward.wgsl");
const BACKWARD: File = shader!("ops/pool/average_backward.wgsl");
const GLOBAL: File = shader!("ops/pool/average_global.wgsl");

const LABELS: [&str; 3] =
    ["average pooling", "average pooling, backward", "global average pooling"];

/// Cells of channels of a workgroup of the global average.
const CELLS_PER_GROUP: usize = 4;

pub(crate) static ENTRY: Entry = Entry { name: "avg_pool2d", examples, programs: all_programs };

pub(crate) static ADAPTIVE_ENTRY: Entry = Entry {
    name: "adaptive_avg_pool2d",
    examples: adaptive_examples,
    // Those of `avg_pool2d`.
    programs: Vec::new,
};

/// y = mean x over the windows of an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AvgPool2d {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub ceil_mode: bool,
    /// Divide by the padded places too.
    pub count_include_pad: bool,
}

/// y = mean x over windows that divide an image into as many as the output has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdaptiveAvgPool2d {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Height and width of the output.
    pub output: [usize; 2],
}

fn examples() -> Vec<Example> {
    let example = |input: [usize; 3], kernel, stride, padding, ceil_mode, count_include_pad| {
        let op = AvgPool2d { input, kernel, stride, padding, ceil_mode, count_include_pad };
        Example { op: Box::new(op), inputs: vec![input.to_vec()] }
    };
    vec![
        example([4, 4, 8], [2, 2], [2, 2], [0, 0], false, true),
        example([5, 6, 1], [3, 3], [2, 2], [1, 1], false, true),
        example([5, 4, 5], [3, 3], [2, 2], [1, 1], false, false),
        example([4, 4, 4], [3, 2], [1, 1], [1, 0], false, true),
        example([5, 7, 2], [1, 2], [2, 3], [0, 0], false, true),
        example([5, 5, 1], [2, 2], [2, 2], [0, 0], true, true),
        example([6, 5, 3], [3, 2], [2, 3], [1, 1], true, true),
        example([6, 5, 4], [3, 2], [2, 3], [1, 1], true, false),
        example([2, 2, 23], [2, 1], [1, 1], [0, 0], false, true),
    ]
}

fn adaptive_examples() -> Vec<Example> {
    let example = |input: [usize; 3], output| Example {
        op: Box::new(AdaptiveAvgPool2d { input, output }),
        inputs: vec![input.to_vec()],
    };
    vec![
        example([7, 5, 1], [3, 5]),
        example([3, 7, 4], [1, 3]),
        example([5, 4, 5], [1, 1]),
        example([4, 4, 8], [2, 2]),
        // More outputs than inputs.
        example([2, 3, 3], [3, 5]),
    ]
}

fn all_programs() -> Vec<Program> {
    let lanes = [8.0, 64.0];
    [
        programs(LABELS[0], FORWARD, &lanes),
        programs(LABELS[1], BACKWARD, &lanes),
        programs(LABELS[2], GLOBAL, &[64.0]),
    ]
    .concat()
}

/// An average over the windows of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Average(pub Pool);

impl Average {
    fn cell(&self) -> Cell {
        if self.0.channels.is_multiple_of(4) { Cell::Vec4 } else { Cell::Scalar }
    }

    /// The poolings whose composition it is: over one axis each if the loops of the whole are too
    /// long for a software adapter. A mean over both axes is the mean over one of those over the
    /// other.
    fn steps(&self, is_software: bool, turns: usize) -> Vec<Average> {
        if !is_software || turns <= MAX_LOOP_ITERATIONS {
            return vec![*self];
        }
        let [height, width] = self.0.axes;
        let over_width = Pool { axes: [width.each(height.input), width], ..self.0 };
        let over_height = Pool { axes: [height, height.each(width.output)], ..self.0 };
        vec![Average(over_width), Average(over_height)]
    }

    pub fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let (x, y) = (io.inputs[0].buffer, io.output.buffer);
        let [height, width] = self.0.axes.map(|axis| axis.longest());
        let is_software = recorder.gpu().is_software();
        let steps = self.steps(is_software, height * (width + 1));
        let [first, ref others @ ..] = steps[..] else { return Ok(()) };
        let Some(second) = others.first() else {
            return first.record_forward(recorder, io.rows, [x, y]);
        };
        let between = recorder.scratch("means of rows", io.rows * first.0.output_length())?;
        first.record_forward(recorder, io.rows, [x, &between])?;
        second.record_forward(recorder, io.rows, [&between, y])
    }

    fn record_forward(
        &self,
        recorder: &mut Recorder,
        rows: usize,
        buffers: [&wgpu::Buffer; 2],
    ) -> Result<()> {
        let (pool, cell) = (&self.0, self.cell());
        let (elements, storage) = (rows * pool.output_length(), buffers.map(Into::into));
        let is_whole = |axis: &Axis| axis.output == 1 && axis.count(0) == axis.input;
        if pool.axes.iter().all(is_whole) && !recorder.gpu().is_software() {
            return self.record_global(recorder, rows, buffers);
        }
        let [height, width] = pool.axes.map(|axis| axis.longest());
        let turns = height * (width + 1);
        let launch = Launch { label: LABELS[0], text: FORWARD, cell, elements, turns };
        pool.record(recorder, launch, &storage)
    }

    /// Records the average of all pixels with threads that share one.
    pub fn record_global(
        &self,
        recorder: &mut Recorder,
        rows: usize,
        buffers: [&wgpu::Buffer; 2],
    ) -> Result<()> {
        let (pool, cell, gpu) = (&self.0, self.cell(), recorder.gpu());
        let kernel = gpu.kernel(&program(LABELS[2], GLOBAL, cell, lanes_of(false).into()))?;
        let groups = (pool.channels / cell.size()).div_ceil(CELLS_PER_GROUP) * rows;
        let params = pool.params(cell, rows * pool.output_length());
        recorder.dispatch(&kernel, &params, &buffers.map(Into::into), groups as u32)
    }

    pub fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let Some(dx) = io.grad_inputs[0] else { return Ok(()) };
        let [height, width] = self.0.axes.map(|axis| axis.most_windows());
        let is_software = recorder.gpu().is_software();
        let steps = self.steps(is_software, height * (width + 1));
        let [first, ref others @ ..] = steps[..] else { return Ok(()) };
        let Some(second) = others.first() else {
            return first.record_backward(recorder, io.rows, [io.grad_output, dx]);
        };
        let elements = io.rows * first.0.output_length();
        let between = recorder.scratch("gradients of the means of rows", elements)?;
        second.record_backward(recorder, io.rows, [io.grad_output, &between])?;
        first.record_backward(recorder, io.rows, [&between, dx])
    }

    fn record_backward(
        &self,
        recorder: &mut Recorder,
        rows: usize,
        buffers: [&wgpu::Buffer; 2],
    ) -> Result<()> {
        let pool = &self.0;
        let (elements, cell) = (rows * pool.input_length(), self.cell());
        let [height, width] = pool.axes.map(|axis| axis.most_windows());
        let turns = height * (width + 1);
        let launch = Launch { label: LABELS[1], text: BACKWARD, cell, elements, turns };
        pool.record(recorder, launch, &buffers.map(Into::into))
    }

    pub fn forward<R: Real>(&self, io: Forward<R>) -> Result<()> {
        let (pool, x) = (&self.0, io.inputs[0]);
        let ([height, width], channels) = (pool.axes, pool.channels);
        let ([line, piece], length) = (pool.pieces_of_output(), pool.input_length());
        fill(io.output, piece, |start, part| {
            R::dispatch(
                #[inline(always)]
                || {
                    for (number, y) in part.chunks_exact_mut(line).enumerate() {
                        let row = start / line + number;
                        let (number, window_y) = (row / height.output, row % height.output);
                        let sample = &x[number * length..][..length];
                        let rows = height.inputs(window_y);
                        for (window_x, y) in y.chunks_exact_mut(channels).enumerate() {
                            let columns = width.inputs(window_x);
                            let window = Window {
                                sample,
                                rows: [rows.start, rows.end],
                                columns: [columns.start, columns.end],
                                width: width.input,
                                channels,
                                count: R::new(
                                    (height.count(window_y) * width.count(window_x)) as f64,
                                ),
                            };
                            pixel(&window, y);
                        }
                    }
                },
            );
        });
        Ok(())
    }

    pub fn backward<R: Real>(&self, io: Backward<R>) -> Result<()> {
        let Some(grad_input) = io.grad_inputs[0].as_deref_mut() else { return Ok(()) };
        let ([height, width], channels) = (self.0.axes, self.0.channels);
        let grad_output: &[R] = io.grad_output;
        self.0.gather(
            grad_input,
            #[inline(always)]
            |from, pixel| {
                let [window_y, window_x] = from.window;
                let count = height.count(window_y) * width.count(window_x);
                let factor = R::ONE / R::new(count as f64);
                let terms = grad_output[from.at..][..channels].iter().map(|&dy| dy * factor);
                if from.first {
                    pixel.iter_mut().zip(terms).for_each(|(dx, term)| *dx = term);
                } else {
                    pixel.iter_mut().zip(terms).for_each(|(dx, term)| *dx += term);
                }
            },
        );
        Ok(())
    }
}

/// A window of a sample.
#[derive(Clone, Copy)]
struct Window<'a, R> {
    sample: &'a [R],
    /// From, to.
    rows: [usize; 2],
    columns: [usize; 2],
    width: usize,
    channels: usize,
    count: R,
}

/// The mean over N channels.
#[inline(always)]
fn mean<R: Real, const N: usize>(window: &Window<R>, channel: usize, y: &mut [R; N]) {
    let Window { sample, rows, columns, width, channels, count } = *window;
    let mut total = [R::ZERO; N];
    for row in rows[0]..rows[1] {
        let mut sums = [R::ZERO; N];
        let mut start = (row * width + columns[0]) * channels + channel;
        for _ in columns[0]..columns[1] {
            let values = &sample[start..][..N];
            for lane in 0..N {
                sums[lane] += values[lane];
            }
            start += channels;
        }
        for lane in 0..N {
            total[lane] += sums[lane];
        }
    }
    *y = total.map(|sum| sum / count);
}

/// All channels of a window: sixteen, four and one at a time.
#[inline(always)]
fn pixel<R: Real>(window: &Window<R>, y: &mut [R]) {
    let whole = y.len() / LANES * LANES;
    let (vectors, rest) = y.as_chunks_mut::<LANES>();
    for (number, y) in vectors.iter_mut().enumerate() {
        mean(window, number * LANES, y);
    }
    let fours_end = whole + rest.len() / 4 * 4;
    let (fours, rest) = rest.as_chunks_mut::<4>();
    for (number, y) in fours.iter_mut().enumerate() {
        mean(window, whole + 4 * number, y);
    }
    for (number, y) in rest.as_chunks_mut::<1>().0.iter_mut().enumerate() {
        mean(window, fours_end + number, y);
    }
}

impl AvgPool2d {
    fn average(&self) -> Result<Average> {
        let AvgPool2d { input, kernel, stride, padding, ceil_mode, count_include_pad } = *self;
        let options = Strided {
            input,
            kernel,
            stride,
            padding,
            ceil_mode,
            counts_padding: count_include_pad,
        };
        Ok(Average(Pool::strided(ENTRY.name, &options)?))
    }
}

impl AdaptiveAvgPool2d {
    fn average(&self) -> Result<Average> {
        Ok(Average(Pool::adaptive(ADAPTIVE_ENTRY.name, self.input, self.output)?))
    }
}

/// The op of an average whose output is the pool's.
macro_rules! average_op {
    ($op:ident, $entry:ident) => {
        impl Op for $op {
            fn entry(&self) -> &'static Entry {
                &$entry
            }

            fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
                let Average(pool) = self.average()?;
                pool.check($entry.name, inputs)?;
                Ok(pool.output())
            }

            fn saves(&self, _: &[&Shape]) -> Saves {
                Saves::default()
            }

            fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
                self.average()?.forward_gpu(recorder, io)
            }

            fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
                self.average()?.backward_gpu(recorder, io)
            }
        }

        impl<R: Real> Cpu<R> for $op {
            fn forward(&self, io: Forward<R>) -> Result<()> {
                self.average()?.forward(io)
            }

            fn backward(&self, io: Backward<R>) -> Result<()> {
                self.average()?.backward(io)
            }
        }
    };
}

average_op!(AvgPool2d, ENTRY);
average_op!(AdaptiveAvgPool2d, ADAPTIVE_ENTRY);
