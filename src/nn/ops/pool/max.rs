//! Max pooling: the largest number of each window by channel. PyTorch `MaxPool2d`, Keras
//! `MaxPooling2D`.
//!
//! PyTorch's rules: padding never wins; of equal numbers the first in row-major order does; NaN
//! wins, the last one of several. Padding is at most half of the kernel.
//! Source: PyTorch, `aten/src/ATen/native/cpu/MaxPoolKernel.cpp`.
//!
//! Forward saves the winner of each window, as its place in the window: a byte if the channels come
//! in fours, which moves fewer bytes than reading the input again, and the input need not be kept.
//! Backward gathers: an input takes dL/dy of the windows that it wins.

use bytemuck::Pod;

use crate::Result;
use crate::cpu::parallel::sum_into_two;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, Op, Saves, Shape,
};
use crate::nn::ops::pool::{Cell, LANES, Launch, Pool, Strided, programs};
use crate::runtime::kernel::Program;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};

const FORWARD: File = shader!("ops/pool/max_forward.wgsl");
const BACKWARD: File = shader!("ops/pool/max_backward.wgsl");

pub(crate) static ENTRY: Entry = Entry { name: "max_pool2d", examples, programs: all_programs };

/// y = max x over the windows of an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaxPool2d {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub ceil_mode: bool,
}

fn examples() -> Vec<Example> {
    let example = |input: [usize; 3], kernel, stride, padding, ceil_mode| Example {
        op: Box::new(MaxPool2d { input, kernel, stride, padding, ceil_mode }),
        inputs: vec![input.to_vec()],
    };
    vec![
        // Vectors, without overlap.
        example([4, 4, 8], [2, 2], [2, 2], [0, 0], false),
        // Overlap and padding; one channel, five, and vectors.
        example([5, 6, 1], [3, 3], [2, 2], [1, 1], false),
        example([5, 4, 5], [3, 3], [2, 2], [1, 1], false),
        example([4, 4, 4], [3, 2], [1, 1], [1, 0], false),
        // Rows and columns that no window reads.
        example([5, 5, 1], [2, 2], [2, 2], [0, 0], false),
        example([5, 7, 2], [1, 2], [2, 3], [0, 0], false),
        // A last window that ends behind the input.
        example([5, 5, 1], [2, 2], [2, 2], [0, 0], true),
        example([6, 5, 3], [3, 2], [2, 3], [1, 1], true),
        // More places than a byte counts.
        example([16, 5, 1], [18, 15], [1, 1], [9, 7], false),
        // The vector loop of the CPU and its rest.
        example([2, 2, 23], [2, 1], [1, 1], [0, 0], false),
    ]
}

fn all_programs() -> Vec<Program> {
    let lanes = [8.0, 64.0];
    [programs("max_pool2d", FORWARD, &lanes), programs("max_pool2d, backward", BACKWARD, &lanes)]
        .concat()
}

/// A winner's place in its window.
trait Tap: Copy + PartialEq + Pod + Send + Sync {
    fn of(place: u32) -> Self;
}

impl Tap for u8 {
    #[inline(always)]
    fn of(place: u32) -> Self {
        place as u8
    }
}

impl Tap for u32 {
    #[inline(always)]
    fn of(place: u32) -> Self {
        place
    }
}

/// The memory of saved numbers as that of other types.
fn as_taps<R: Real, T: Tap>(saved: &[R]) -> &[T] {
    match R::as_single(saved) {
        Some(single) => bytemuck::cast_slice(single),
        None => R::as_double(saved).map_or(&[], bytemuck::cast_slice),
    }
}

fn as_taps_mut<R: Real, T: Tap>(saved: &mut [R]) -> &mut [T] {
    if R::as_single(saved).is_some() {
        return R::as_single_mut(saved).map_or(&mut [], bytemuck::cast_slice_mut);
    }
    R::as_double_mut(saved).map_or(&mut [], bytemuck::cast_slice_mut)
}

impl MaxPool2d {
    fn pool(&self) -> Result<Pool> {
        let MaxPool2d { input, kernel, stride, padding, ceil_mode } = *self;
        let options = Strided { input, kernel, stride, padding, ceil_mode, counts_padding: false };
        Pool::strided(ENTRY.name, &options)
    }

    /// Vectors of four channels, whose winners share a word.
    fn cell(&self) -> Cell {
        let taps = self.kernel[0].saturating_mul(self.kernel[1]);
        if self.input[2].is_multiple_of(4) && taps <= 256 { Cell::Vec4 } else { Cell::Scalar }
    }

    fn launch(&self, label: &'static str, text: File, elements: usize, turns: usize) -> Launch {
        Launch { label, text, cell: self.cell(), elements, turns }
    }
}

impl Op for MaxPool2d {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        let pool = self.pool()?;
        pool.check(ENTRY.name, inputs)?;
        Ok(pool.output())
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        let outputs = self.pool().map_or(0, |pool| pool.output_length());
        Saves { own: outputs / self.cell().size(), ..Saves::default() }
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let pool = self.pool()?;
        let [height, width] = pool.axes.map(|axis| axis.longest());
        let elements = io.rows * io.output.width;
        let launch = self.launch(ENTRY.name, FORWARD, elements, height * (width + 1));
        let storage = [io.inputs[0].buffer, io.output.buffer, io.saved].map(Into::into);
        pool.record(recorder, launch, &storage)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let Some(grad_input) = io.grad_inputs[0] else { return Ok(()) };
        let pool = self.pool()?;
        let [height, width] = pool.axes.map(|axis| axis.most_windows());
        let elements = io.rows * pool.input_length();
        let label = "max_pool2d, backward";
        let launch = self.launch(label, BACKWARD, elements, height * (width + 1));
        let storage = [io.saved, io.grad_output, grad_input].map(Into::into);
        pool.record(recorder, launch, &storage)
    }
}

/// The maxima of one window over N channels, and their places.
#[inline(always)]
fn winners<R: Real, T: Tap, const N: usize>(
    window: &Window<R>,
    channel: usize,
    (y, taps): (&mut [R; N], &mut [T; N]),
) {
    let Window { sample, rows, columns, width, channels, .. } = *window;
    let at = |row: usize, column: usize| (row * width + column) * channels + channel;
    let mut best = [R::NEG_INFINITY; N];
    best.copy_from_slice(&sample[at(rows[0], columns[0])..][..N]);
    let mut places = [window.first_tap; N];
    for row in rows[0]..rows[1] {
        let first_tap = window.first_tap + (row - rows[0]) as u32 * window.taps_of_row;
        for (tap, column) in (first_tap..).zip(columns[0]..columns[1]) {
            let values = &sample[at(row, column)..][..N];
            for lane in 0..N {
                let value = values[lane];
                let wins = (value > best[lane]) | value.is_nan();
                best[lane] = R::select(wins, value, best[lane]);
                places[lane] = if wins { tap } else { places[lane] };
            }
        }
    }
    *y = best;
    *taps = places.map(T::of);
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
    /// The place of its first input, and how many a row has.
    first_tap: u32,
    taps_of_row: u32,
}

fn forward<R: Real, T: Tap>(pool: &Pool, x: &[R], y: &mut [R], taps: &mut [T]) {
    let ([height, width], channels) = (pool.axes, pool.channels);
    let ([line, piece], length) = (pool.pieces_of_output(), pool.input_length());
    let taps_of_row = width.numbers()[0];
    sum_into_two(y, piece, taps, piece, |index, y, taps| {
        R::dispatch(
            #[inline(always)]
            || {
                let lines = y.chunks_exact_mut(line).zip(taps.chunks_exact_mut(line));
                for (number, (y, taps)) in lines.enumerate() {
                    let row = index * (piece / line) + number;
                    let (number, window_y) = (row / height.output, row % height.output);
                    let sample = &x[number * length..][..length];
                    let rows = height.inputs(window_y);
                    let tap_row = height.tap(window_y, rows.start) * taps_of_row;
                    let pixels = y.chunks_exact_mut(channels);
                    let pixels = pixels.zip(taps.chunks_exact_mut(channels));
                    for (window_x, (y, taps)) in pixels.enumerate() {
                        let columns = width.inputs(window_x);
                        let window = Window {
                            sample,
                            rows: [rows.start, rows.end],
                            columns: [columns.start, columns.end],
                            width: width.input,
                            channels,
                            first_tap: (tap_row + width.tap(window_x, columns.start)) as u32,
                            taps_of_row: taps_of_row as u32,
                        };
                        pixel(&window, y, taps);
                    }
                }
            },
        );
        0.0
    });
}

/// All channels of a window: sixteen, four and one at a time.
#[inline(always)]
fn pixel<R: Real, T: Tap>(window: &Window<R>, y: &mut [R], taps: &mut [T]) {
    let whole = y.len() / LANES * LANES;
    let (vectors, rest) = y.as_chunks_mut::<LANES>();
    let (vectors_of_taps, rest_of_taps) = taps.as_chunks_mut::<LANES>();
    for (number, pair) in vectors.iter_mut().zip(vectors_of_taps).enumerate() {
        winners(window, number * LANES, pair);
    }
    let fours_end = whole + rest.len() / 4 * 4;
    let (fours, rest) = rest.as_chunks_mut::<4>();
    let (fours_of_taps, rest_of_taps) = rest_of_taps.as_chunks_mut::<4>();
    for (number, pair) in fours.iter_mut().zip(fours_of_taps).enumerate() {
        winners(window, whole + 4 * number, pair);
    }
    let ones = rest.as_chunks_mut::<1>().0.iter_mut().zip(rest_of_taps.as_chunks_mut::<1>().0);
    for (number, pair) in ones.enumerate() {
        winners(window, fours_end + number, pair);
    }
}

fn backward<R: Real, T: Tap>(pool: &Pool, taps: &[T], grad_output: &[R], grad_input: &mut [R]) {
    let channels = pool.channels;
    pool.gather(
        grad_input,
        #[inline(always)]
        |from, pixel| {
            let tap = T::of(from.tap as u32);
            let (dy, taps) = (&grad_output[from.at..][..channels], &taps[from.at..][..channels]);
            let terms = dy.iter().zip(taps).map(|(&dy, &t)| R::select(t == tap, dy, R::ZERO));
            if from.first {
                pixel.iter_mut().zip(terms).for_each(|(dx, term)| *dx = term);
            } else {
                pixel.iter_mut().zip(terms).for_each(|(dx, term)| *dx += term);
            }
        },
    );
}

impl<R: Real> Cpu<R> for MaxPool2d {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let (pool, length) = (self.pool()?, io.output.len());
        match self.cell() {
            Cell::Vec4 => {
                let taps = as_taps_mut::<R, u8>(io.saved);
                forward(&pool, io.inputs[0], io.output, &mut taps[..length]);
            }
            Cell::Scalar => {
                let taps = as_taps_mut::<R, u32>(io.saved);
                forward(&pool, io.inputs[0], io.output, &mut taps[..length]);
            }
        }
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let Some(grad_input) = io.grad_inputs[0].as_deref_mut() else { return Ok(()) };
        let pool = self.pool()?;
        match self.cell() {
            Cell::Vec4 => {
                backward(&pool, as_taps::<R, u8>(io.saved), io.grad_output, grad_input);
            }
            Cell::Scalar => {
                backward(&pool, as_taps::<R, u32>(io.saved), io.grad_output, grad_input);
            }
        }
        Ok(())
    }
}
