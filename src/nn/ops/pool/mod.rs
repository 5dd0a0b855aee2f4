//! Pooling over images [height, width, channels]: which inputs each window covers, and the loops
//! and kernels that the pooling ops share.
//!
//! Sizes as PyTorch's: an axis of n inputs has ⌊(n + 2p − k)/s⌋ + 1 windows; with `ceil_mode` ⌈ ⌉,
//! less one if the last would begin behind the input and its left padding. Windows of an adaptive
//! pooling to o outputs are ⌊i n/o⌋ … ⌈(i + 1) n/o⌉.
//! Source: PyTorch, `aten/src/ATen/native/Pool.h` and `AdaptivePooling.h`.

pub(crate) mod average;
pub(crate) mod global;
pub(crate) mod max;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::cpu::parallel::{fill, rows_per_piece};
use crate::cpu::real::Real;
use crate::nn::graph::op::Shape;
use crate::runtime::kernel::{Program, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const POOL: File = shader!("ops/pool/pool.wgsl");
const SCALAR: File = shader!("ops/pool/pool_scalar.wgsl");
const VEC4: File = shader!("ops/pool/pool_vec4.wgsl");

/// Sizes up to this keep the kernels' coordinates below 2³².
const MOST: usize = 1 << 30;

/// Channels of a vector loop.
const LANES: usize = 16;

/// How windows lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Windows {
    Strided { kernel: usize, stride: usize, padding: usize, counts_padding: bool },
    Adaptive,
}

/// An axis of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub input: usize,
    pub output: usize,
    windows: Windows,
}

/// Options of a pooling with windows of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strided {
    pub input: [usize; 3],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub ceil_mode: bool,
    /// An average divides by its padded places too.
    pub counts_padding: bool,
}

impl Axis {
    /// Windows of one size; the axis' number names it in messages.
    fn strided(op: &str, options: &Strided, number: usize) -> Result<Self> {
        let name = ["height", "width"][number];
        let (input, kernel) = (options.input[number], options.kernel[number]);
        let (stride, padding) = (options.stride[number], options.padding[number]);
        for (option, size) in [("input", input), ("kernel", kernel), ("stride", stride)] {
            if !(1..=MOST).contains(&size) {
                return Err(Error::option(op, &format!("{option} ({name})"), size, "1 to 2^30"));
            }
        }
        if padding > kernel / 2 {
            let allowed = format!("at most half of the kernel's {kernel}");
            return Err(Error::option(op, &format!("padding ({name})"), padding, &allowed));
        }
        let padded = input + 2 * padding;
        let rounded_up = if options.ceil_mode { stride - 1 } else { 0 };
        let Some(rest) = (padded + rounded_up).checked_sub(kernel) else {
            let found = format!("a kernel of {name} {kernel} on {padded} places with padding");
            let allowed = format!("a kernel of {name} 1 to {padded}");
            return Err(Error::Shape { operation: op.into(), found, allowed });
        };
        let most = rest / stride + 1;
        let begins_behind = options.ceil_mode && (most - 1) * stride >= input + padding;
        let output = most - usize::from(begins_behind);
        let counts_padding = options.counts_padding;
        let windows = Windows::Strided { kernel, stride, padding, counts_padding };
        Ok(Axis { input, output, windows })
    }

    /// As many windows as outputs.
    fn adaptive(input: usize, output: usize) -> Self {
        Axis { input, output, windows: Windows::Adaptive }
    }

    /// Each input alone: an axis beside this one in a pooling over one of them.
    fn each(&self, input: usize) -> Self {
        let windows = match self.windows {
            Windows::Strided { counts_padding, .. } => {
                Windows::Strided { kernel: 1, stride: 1, padding: 0, counts_padding }
            }
            Windows::Adaptive => Windows::Adaptive,
        };
        Axis { input, output: input, windows }
    }

    /// The inputs of a window.
    #[inline(always)]
    fn inputs(&self, window: usize) -> Range<usize> {
        match self.windows {
            Windows::Strided { kernel, stride, padding, .. } => {
                let first = window * stride;
                first.saturating_sub(padding)..(first + kernel - padding).min(self.input)
            }
            Windows::Adaptive => {
                let end = ((window + 1) * self.input).div_ceil(self.output);
                window * self.input / self.output..end
            }
        }
    }

    /// What the sum of a window is divided by.
    #[inline(always)]
    fn count(&self, window: usize) -> usize {
        match self.windows {
            Windows::Strided { kernel, stride, padding, counts_padding: true } => {
                kernel.min(self.input + 2 * padding - window * stride)
            }
            _ => self.inputs(window).len(),
        }
    }

    /// The windows with an input.
    #[inline(always)]
    fn windows(&self, input: usize) -> Range<usize> {
        match self.windows {
            Windows::Strided { kernel, stride, padding, .. } => {
                let padded = input + padding;
                let first = if padded < kernel { 0 } else { (padded - kernel) / stride + 1 };
                first..(padded / stride + 1).min(self.output).max(first)
            }
            Windows::Adaptive => {
                let end = ((input + 1) * self.output).div_ceil(self.input);
                input * self.output / self.input..end
            }
        }
    }

    /// The place of an input in a window.
    #[inline(always)]
    fn tap(&self, window: usize, input: usize) -> usize {
        match self.windows {
            Windows::Strided { stride, padding, .. } => input + padding - window * stride,
            Windows::Adaptive => input - self.inputs(window).start,
        }
    }

    /// The largest number of inputs of a window.
    fn longest(&self) -> usize {
        match self.windows {
            Windows::Strided { kernel, .. } => kernel.min(self.input),
            Windows::Adaptive if self.is_disjoint() => self.input / self.output,
            Windows::Adaptive => (self.input / self.output + 2).min(self.input),
        }
    }

    /// The largest number of windows with one input.
    fn most_windows(&self) -> usize {
        match self.windows {
            Windows::Strided { kernel, stride, .. } => kernel.div_ceil(stride).min(self.output),
            Windows::Adaptive if self.is_disjoint() => 1,
            Windows::Adaptive => (self.output / self.input + 2).min(self.output),
        }
    }

    /// True if no input is in two windows.
    fn is_disjoint(&self) -> bool {
        match self.windows {
            Windows::Strided { kernel, stride, .. } => kernel <= stride || self.output == 1,
            Windows::Adaptive => self.input.is_multiple_of(self.output),
        }
    }

    /// True if each input is in a window.
    fn covers(&self) -> bool {
        match self.windows {
            Windows::Strided { kernel, stride, .. } => {
                let end = self.inputs(self.output - 1).end;
                end == self.input && (kernel >= stride || self.output == 1)
            }
            Windows::Adaptive => true,
        }
    }

    /// Kernel, stride and padding for the kernels, which do not read those of an adaptive axis.
    fn numbers(&self) -> [usize; 3] {
        match self.windows {
            Windows::Strided { kernel, stride, padding, .. } => [kernel, stride, padding],
            Windows::Adaptive => [0; 3],
        }
    }
}

/// A pooling of [height, width, channels].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pool {
    pub axes: [Axis; 2],
    pub channels: usize,
}

/// A window of the batch and a pixel in it.
#[derive(Clone, Copy, Debug)]
struct Contribution {
    /// The first channel of the window's pixel in the output.
    at: usize,
    window: [usize; 2],
    tap: usize,
    /// Write instead of add.
    first: bool,
}

impl Pool {
    /// Windows of one size.
    pub fn strided(op: &str, options: &Strided) -> Result<Self> {
        let channels = options.input[2];
        if !(1..=MOST).contains(&channels) {
            return Err(Error::option(op, "input (channels)", channels, "1 to 2^30"));
        }
        let axes = [Axis::strided(op, options, 0)?, Axis::strided(op, options, 1)?];
        Ok(Pool { axes, channels })
    }

    /// Windows that divide the input.
    pub fn adaptive(op: &str, input: [usize; 3], output: [usize; 2]) -> Result<Self> {
        for (name, size) in [("input", &input[..]), ("output", &output[..])] {
            if let Some(size) = size.iter().find(|size| !(1..=MOST).contains(*size)) {
                return Err(Error::option(op, name, size, "1 to 2^30 on each axis"));
            }
        }
        let axes = [0, 1].map(|number| Axis::adaptive(input[number], output[number]));
        Ok(Pool { axes, channels: input[2] })
    }

    /// Checks the shape that an op is given.
    pub fn check(&self, op: &str, inputs: &[&Shape]) -> Result<()> {
        let own = [self.axes[0].input, self.axes[1].input, self.channels];
        match inputs {
            [shape] if shape[..] == own => Ok(()),
            _ => Err(Error::Shape {
                operation: op.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: format!("one input of shape {own:?}"),
            }),
        }
    }

    pub fn output(&self) -> Shape {
        vec![self.axes[0].output, self.axes[1].output, self.channels]
    }

    fn input_length(&self) -> usize {
        self.axes.iter().fold(self.channels, |length, axis| length * axis.input)
    }

    fn output_length(&self) -> usize {
        self.axes.iter().fold(self.channels, |length, axis| length * axis.output)
    }

    /// Elements of a line of the output, and of a piece of the output for a thread: as many lines
    /// as keep the inputs that they read within a piece.
    fn pieces_of_output(&self) -> [usize; 2] {
        let [height, width] = self.axes;
        let line = width.output * self.channels;
        let read = height.longest().min(height.input) * width.input * self.channels;
        [line, rows_per_piece(line.max(read)) * line]
    }

    /// Writes the gradient of the input: for each of its pixels, the contributions of the windows
    /// that contain it, in order.
    fn gather<R: Real>(
        &self,
        grad_input: &mut [R],
        contribute: impl Fn(Contribution, &mut [R]) + Sync,
    ) {
        let [height, width] = self.axes;
        let (channels, line) = (self.channels, width.input * self.channels);
        let (disjoint, covers) = (width.is_disjoint(), width.covers());
        let taps_of_row = width.numbers()[0];
        fill(grad_input, rows_per_piece(line) * line, |start, part| {
            R::dispatch(
                #[inline(always)]
                || {
                    for (number, line_of) in part.chunks_exact_mut(line).enumerate() {
                        let row = start / line + number;
                        let (sample, y) = (row / height.input, row % height.input);
                        let windows = height.windows(y);
                        let first = disjoint && windows.len() == 1;
                        if !(first && covers) {
                            line_of.fill(R::ZERO);
                        }
                        for window_y in windows {
                            let tap_row = height.tap(window_y, y) * taps_of_row;
                            let line_at = (sample * height.output + window_y) * width.output;
                            for window_x in 0..width.output {
                                let (at, columns) =
                                    ((line_at + window_x) * channels, width.inputs(window_x));
                                let first_tap = tap_row + width.tap(window_x, columns.start);
                                let pixels =
                                    &mut line_of[columns.start * channels..columns.end * channels];
                                let pixels = pixels.chunks_exact_mut(channels);
                                for (tap, pixel) in (first_tap..).zip(pixels) {
                                    let window = [window_y, window_x];
                                    contribute(Contribution { at, window, tap, first }, pixel);
                                }
                            }
                        }
                    }
                },
            );
        });
    }
}

/// The two texts of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Scalar,
    Vec4,
}

impl Cell {
    fn size(self) -> usize {
        match self {
            Cell::Scalar => 1,
            Cell::Vec4 => 4,
        }
    }
}

/// A kernel of this module over a cell.
fn program(label: &str, text: File, cell: Cell, lanes: f64) -> Program {
    let cell = if cell == Cell::Vec4 { VEC4 } else { SCALAR };
    Program::plain(label, &[text, POOL, cell], vec![("WORKGROUP", lanes)])
}

/// A kernel with each cell and number of lanes, for the shader checks.
fn programs(label: &str, text: File, lanes: &[f64]) -> Vec<Program> {
    let cells = [Cell::Scalar, Cell::Vec4];
    lanes.iter().flat_map(|&lanes| cells.map(|cell| program(label, text, cell, lanes))).collect()
}

/// A launch of a kernel of this module.
#[derive(Clone, Copy, Debug)]
struct Launch {
    label: &'static str,
    text: File,
    cell: Cell,
    /// Elements of the tensor that is written.
    elements: usize,
    /// Turns of the kernel's loops.
    turns: usize,
}

impl Pool {
    /// Records a kernel with one thread per cell of what it writes.
    fn record(&self, recorder: &mut Recorder, launch: Launch, storage: &[Slice]) -> Result<()> {
        let gpu = recorder.gpu();
        let (lanes, Launch { label, text, cell, .. }) = (lanes_of(gpu.is_software()), launch);
        if gpu.is_software() && launch.turns > MAX_LOOP_ITERATIONS {
            return Err(Error::Shape {
                operation: label.into(),
                found: format!("windows of {} places on a software adapter", launch.turns),
                allowed: format!("up to {MAX_LOOP_ITERATIONS} there; or use the device `cpu`"),
            });
        }
        let kernel = gpu.kernel(&program(label, text, cell, lanes.into()))?;
        let (params, cells) = (self.params(cell, launch.elements), launch.elements / cell.size());
        recorder.dispatch(&kernel, &params, storage, (cells as u32).div_ceil(lanes))
    }

    fn params(&self, cell: Cell, elements: usize) -> [u32; 16] {
        let [height, width] = self.axes;
        let [[kernel_y, stride_y, padding_y], [kernel_x, stride_x, padding_x]] =
            self.axes.map(|axis| axis.numbers());
        let counts_padding =
            |axis: Axis| matches!(axis.windows, Windows::Strided { counts_padding: true, .. });
        [
            elements / cell.size(),
            self.channels / cell.size(),
            height.input,
            width.input,
            height.output,
            width.output,
            kernel_y,
            kernel_x,
            stride_y,
            stride_x,
            padding_y,
            padding_x,
            usize::from(height.windows == Windows::Adaptive),
            usize::from(counts_padding(height)),
            0,
            0,
        ]
        .map(|number| number as u32)
    }
}
