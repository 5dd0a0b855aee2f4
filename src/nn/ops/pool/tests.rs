//! PyTorch's rules for windows, on each device. Expected numbers are computed by hand.

use std::sync::LazyLock;

use crate::nn::graph::op::{
    Backward, Forward, GpuBackward, GpuForward, GpuMode, GpuParameters, GpuStatistics, Mode, Op,
    Operand, Parameters, Precision, Segments,
};
use crate::nn::ops::pool::Pool;
use crate::nn::ops::pool::average::{AdaptiveAvgPool2d, Average, AvgPool2d};
use crate::nn::ops::pool::global::{GlobalAvgPool, GlobalMaxPool};
use crate::nn::ops::pool::max::MaxPool2d;
use crate::runtime::device::{Gpu, test_adapter};
use crate::runtime::recorder::Recorder;

/// Output and gradient of the input, for a gradient of the output that counts from 1.
#[derive(Debug, PartialEq)]
struct Found {
    y: Vec<f32>,
    dx: Vec<f32>,
}

fn upstream(length: usize) -> Vec<f32> {
    (1..=length).map(|number| number as f32).collect()
}

fn sizes(op: &dyn Op, input: [usize; 3], x: &[f32]) -> [usize; 3] {
    let (input, shapes) = (input.to_vec(), &[&input.to_vec()]);
    let (width, own) = (op.output(shapes).unwrap().iter().product(), op.saves(shapes).own);
    [x.len() / input.iter().product::<usize>(), width, own]
}

fn on_cpu<R: Precision>(op: &dyn Op, input: [usize; 3], x: &[f32]) -> Found {
    let real = |values: &[f32]| values.iter().map(|&x| R::from_f32(x)).collect::<Vec<R>>();
    let [rows, width, own] = sizes(op, input, x);
    let (mut y, mut saved) = (vec![R::NAN; rows * width], vec![R::NAN; rows * own]);
    let parameters = || Parameters { all: &[][..], ranges: &[], table: &[] };
    let statistics = Segments { all: &mut [], ranges: &[] };
    R::of(op)
        .forward(Forward {
            rows,
            inputs: &[&real(x)],
            ids: &[],
            parameters: parameters(),
            output: &mut y,
            saved: &mut saved,
            statistics,
            mode: Mode::default(),
        })
        .unwrap();
    let (mut dy, mut dx) = (real(&upstream(rows * width)), vec![R::NAN; x.len()]);
    R::of(op)
        .backward(Backward {
            rows,
            inputs: &[&[]],
            output: &[],
            saved: &saved,
            saved_of_input: &[],
            parameters: parameters(),
            grad_output: &mut dy,
            grad_inputs: &mut [Some(&mut dx)],
            adds: false,
            grad_parameters: Segments { all: &mut [], ranges: &[] },
            accumulate: false,
            ids: &[],
            mode: Mode::default(),
        })
        .unwrap();
    let single = |values: Vec<R>| values.into_iter().map(|x| x.to_f32()).collect();
    Found { y: single(y), dx: single(dx) }
}

fn on_gpu(device: &Gpu, op: &dyn Op, input: [usize; 3], x: &[f32]) -> Found {
    let [rows, width, own] = sizes(op, input, x);
    let nan = |length: usize| device.upload("NaN", &vec![f32::NAN; length.max(4)]).unwrap();
    let (x_of, dy) = (device.upload("x", x), device.upload("dy", &upstream(rows * width)));
    let (x_of, dy, y, dx) = (x_of.unwrap(), dy.unwrap(), nan(rows * width), nan(x.len()));
    let (saved, dummy) = (nan(rows * own), nan(4));
    let mut recorder = Recorder::new(device);
    let (input, output) =
        ([Operand { buffer: &x_of, width: x.len() / rows }], Operand { buffer: &y, width });
    let parameters = GpuParameters { all: &dummy, gradients: &dummy, ranges: &[], table: None };
    let mode = GpuMode { training: true, noise: &dummy, node: 0, place: None, loss_scale: None };
    op.forward_gpu(
        &mut recorder,
        &GpuForward {
            rows,
            first_row: 0,
            inputs: &input,
            parameters,
            output,
            saved: &saved,
            statistics: GpuStatistics { all: &dummy, ranges: &[] },
            mode,
        },
    )
    .unwrap();
    op.backward_gpu(
        &mut recorder,
        &GpuBackward {
            rows,
            first_row: 0,
            inputs: &input,
            output,
            saved: &saved,
            saved_of_input: &dummy,
            parameters,
            grad_output: &dy,
            grad_inputs: &[Some(&dx)],
            accumulate: false,
            mode,
        },
    )
    .unwrap();
    device.submit(&recorder.finish().commands).unwrap();
    let read = |buffer: &wgpu::Buffer, length: usize| -> Vec<f32> {
        pollster::block_on(device.download(buffer, 0, length)).unwrap()
    };
    Found { y: read(&y, rows * width), dx: read(&dx, x.len()) }
}

/// None if there is no adapter.
static DEVICE: LazyLock<Option<Gpu>> = LazyLock::new(|| {
    test_adapter::gpu()?;
    Some(Gpu::open_with(crate::GpuOptions::default().checked(true)).expect("it was opened before"))
});

/// What each device finds. NaN is found as 1e30, which is equal to itself.
fn everywhere(op: &dyn Op, input: [usize; 3], x: &[f32]) -> Vec<Found> {
    let mut all = vec![on_cpu::<f64>(op, input, x), on_cpu::<f32>(op, input, x)];
    all.extend(DEVICE.as_ref().map(|device| on_gpu(device, op, input, x)));
    for value in all.iter_mut().flat_map(|found| found.y.iter_mut().chain(&mut found.dx)) {
        *value = if value.is_nan() { 1e30 } else { *value };
    }
    all
}

fn max(input: [usize; 3], kernel: usize, stride: usize, padding: usize) -> MaxPool2d {
    let [kernel, stride, padding] = [kernel, stride, padding].map(|size| [size; 2]);
    MaxPool2d { input, kernel, stride, padding, ceil_mode: false }
}

/// An image of one channel as one of four equal ones, for the kernels of vectors.
fn four_channels(x: &[f32]) -> Vec<f32> {
    x.iter().flat_map(|&x| [x; 4]).collect()
}

/// A GPU's quotient may be some units off in the last place.
fn are_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let mut pairs = found.iter().zip(expected);
    assert!(pairs.all(|(f, e)| (f - e).abs() <= 1e-6 * e.abs()), "{found:?}, {expected:?}");
}

#[test]
fn the_first_of_equal_numbers_wins() {
    let x = [7.0, 7.0, 1.0, 2.0, 7.0, 7.0, 2.0, 2.0];
    for found in everywhere(&max([2, 4, 1], 2, 2, 0), [2, 4, 1], &x) {
        assert_eq!(found.y, [7.0, 2.0]);
        assert_eq!(found.dx, [1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    }
    // The zeros are equal too, and so are the lowest numbers.
    for x in [[0.0, -0.0, -0.0, 0.0], [-0.0, 0.0, 0.0, -0.0], [f32::NEG_INFINITY; 4]] {
        for found in everywhere(&max([2, 2, 1], 2, 2, 0), [2, 2, 1], &x) {
            assert_eq!(found.dx, [1.0, 0.0, 0.0, 0.0]);
        }
        let vectors = max([2, 2, 4], 2, 2, 0);
        for found in everywhere(&vectors, [2, 2, 4], &four_channels(&x)) {
            assert_eq!((&found.dx[..4], &found.dx[4..]), (&upstream(4)[..], &[0.0; 12][..]));
        }
    }
}

#[test]
fn nan_wins_and_the_last_one_gets_the_gradient() {
    let (nan, negative) = (f32::NAN, -f32::NAN);
    for [a, b] in [[nan, nan], [negative, negative]] {
        let x = [1.0, a, f32::INFINITY, b, 5.0, 4.0, 3.0, 2.0];
        for found in everywhere(&max([2, 4, 1], 2, 2, 0), [2, 4, 1], &x) {
            assert_eq!(found.y, [1e30, 1e30]);
            assert_eq!(found.dx, [0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
        }
        let x = [a, 9.0, b, 9.0];
        let vectors = max([2, 2, 4], 2, 2, 0);
        for found in everywhere(&vectors, [2, 2, 4], &four_channels(&x)) {
            assert_eq!(found.y, [1e30; 4]);
            assert_eq!(found.dx[8..12], upstream(4));
        }
    }
}

#[test]
fn padding_never_wins() {
    let x = [-2.0, -1.0, -3.0e38, f32::NEG_INFINITY];
    for found in everywhere(&max([1, 4, 1], 3, 2, 1), [1, 4, 1], &x) {
        assert_eq!(found.y, [-1.0, -1.0]);
        assert_eq!(found.dx, [0.0, 3.0, 0.0, 0.0]);
    }
    for found in everywhere(&max([1, 1, 1], 2, 1, 1), [1, 1, 1], &[f32::MIN]) {
        assert_eq!((found.y, found.dx), (vec![f32::MIN; 4], vec![10.0]));
    }
}

#[test]
fn more_winners_than_a_byte_counts_are_kept() {
    // The winner is the last of 17 · 16 places, in four channels.
    let input = [17, 16, 4];
    let op = GlobalMaxPool { input };
    let mut x = vec![-1.0; 17 * 16 * 4];
    x[271 * 4..].fill(1.0);
    for found in everywhere(&op, input, &x) {
        assert_eq!((&found.y[..], &found.dx[271 * 4..]), (&[1.0; 4][..], &upstream(4)[..]));
        assert_eq!(found.dx[..271 * 4], [0.0; 271 * 4]);
    }
}

#[test]
fn sizes_are_those_of_pytorch() {
    // By `pooling_output_shape` of its Pool.h: input, kernel, stride, padding, the output, and the
    // output with ceil_mode.
    for (input, kernel, stride, padding, floor, ceil) in [
        (5, 2, 2, 0, 2, 3),
        (5, 3, 2, 1, 3, 3),
        (6, 3, 2, 1, 3, 4),
        (4, 2, 3, 1, 2, 2),
        (7, 2, 3, 0, 2, 3),
        (6, 1, 4, 0, 2, 2),
        (5, 1, 4, 0, 2, 2),
        (3, 3, 5, 1, 1, 1),
    ] {
        for (ceil_mode, expected) in [(false, floor), (true, ceil)] {
            let input = [input, 1, 1];
            let [kernel, stride, padding] = [[kernel, 1], [stride, 1], [padding, 0]];
            let op = MaxPool2d { input, kernel, stride, padding, ceil_mode };
            assert_eq!(op.output(&[&input.to_vec()]).unwrap(), [expected, 1, 1], "{op:?}");
        }
    }
}

#[test]
fn averages_count_the_padding_or_not() {
    let x: Vec<f32> = (1..=16).map(|number| number as f32).collect();
    let of = |ceil_mode, count_include_pad, kernel: usize, stride: usize, padding: usize| {
        let [kernel, stride, padding] = [kernel, stride, padding].map(|size| [size; 2]);
        let input = [4, 4, 1];
        let op = AvgPool2d { input, kernel, stride, padding, ceil_mode, count_include_pad };
        everywhere(&op, input, &x)
    };
    for found in of(false, true, 3, 2, 1) {
        let ninth = |sum: f32| sum / 9.0;
        // 1 + 2 + 5 + 6, 2 + … + 8, 5 + … + 14, 6 + … + 16.
        are_close(&found.y, &[14.0, 30.0, 57.0, 99.0].map(ninth));
        assert!((found.dx[5] - ninth(10.0)).abs() < 1e-6, "{found:?}");
    }
    for found in of(false, false, 3, 2, 1) {
        are_close(&found.y, &[3.5, 5.0, 9.5, 11.0]);
        let expected = 1.0 / 4.0 + 2.0 / 6.0 + 3.0 / 6.0 + 4.0 / 9.0;
        assert!((found.dx[5] - expected).abs() < 1e-6, "{found:?}");
    }
    // The last window has one input of the corner, and its other places are behind the padding.
    for found in of(true, true, 3, 3, 0) {
        are_close(&found.y, &[6.0, 8.0, 14.0, 16.0]);
        assert_eq!(found.dx[15], 4.0);
    }
    // Two places per axis within the padded input, of which one is an input.
    for found in of(true, true, 3, 4, 1) {
        are_close(&found.y, &[14.0 / 9.0, 12.0 / 6.0, 27.0 / 6.0, 16.0 / 4.0]);
    }
}

#[test]
fn adaptive_windows_overlap_where_sizes_do_not_divide() {
    let op = AdaptiveAvgPool2d { input: [7, 1, 1], output: [3, 1] };
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
    for found in everywhere(&op, [7, 1, 1], &x) {
        // 0 … 3, 2 … 5, 4 … 7.
        are_close(&found.y, &[2.0, 4.0, 6.0]);
        let expected = [1.0, 1.0, 3.0, 2.0, 5.0, 3.0, 3.0];
        are_close(&found.dx, &expected.map(|sum| sum / 3.0));
    }
    let op = AdaptiveAvgPool2d { input: [5, 1, 1], output: [3, 1] };
    for found in everywhere(&op, [5, 1, 1], &[1.0, 5.0, 3.0, 6.0, 9.0]) {
        // 0 … 2, 1 … 4, 3 … 5.
        are_close(&found.y, &[3.0, 14.0 / 3.0, 7.5]);
    }
}

#[test]
fn a_global_average_is_the_mean_of_many_pixels() {
    for channels in [3, 4, 20] {
        let input = [37, 41, channels];
        let x: Vec<f32> =
            (0..2 * 37 * 41 * channels).map(|i| ((i * 7919) % 1009) as f32 / 1009.0).collect();
        let all = everywhere(&GlobalAvgPool { input }, input, &x);
        for found in &all {
            for (value, expected) in found.y.iter().zip(&all[0].y) {
                assert!((value - expected).abs() <= 2e-6, "{value}, {expected}");
            }
            for (dx, expected) in found.dx.iter().zip(&all[0].dx) {
                assert!((dx - expected).abs() <= 3e-7 * expected.abs(), "{dx}, {expected}");
            }
        }
    }
}

/// The kernel of hardware, on any adapter.
#[test]
fn a_global_average_by_slices_of_pixels_is_the_same() {
    let Some(device) = DEVICE.as_ref() else { return };
    for (rows, channels) in [(3, 3), (2, 4), (3, 21), (2, 24)] {
        let input = [7, 9, channels];
        let x: Vec<f32> =
            (0..rows * 63 * channels).map(|i| ((i * 7919) % 1009) as f32 / 1009.0).collect();
        let expected = on_cpu::<f64>(&GlobalAvgPool { input }, input, &x).y;
        let [from, to] = [&x, &vec![f32::NAN; rows * channels]]
            .map(|values| device.upload("numbers", values).unwrap());
        let pool = Pool::adaptive("global", input, [1, 1]).unwrap();
        let mut recorder = Recorder::new(device);
        Average(pool).record_global(&mut recorder, rows, [&from, &to]).unwrap();
        device.submit(&recorder.finish().commands).unwrap();
        let found = pollster::block_on(device.download(&to, 0, rows * channels)).unwrap();
        let mut pairs = found.iter().zip(&expected);
        assert!(pairs.all(|(f, e): (&f32, &f32)| (f - e).abs() <= 1e-6), "{found:?}");
    }
}

#[test]
fn a_mean_over_more_pixels_than_one_loop_may_have_is_one_of_means() {
    let input = [2, 40_000, 1];
    let x: Vec<f32> = (0..80_000).map(|number| (number % 5) as f32).collect();
    for found in everywhere(&GlobalAvgPool { input }, input, &x) {
        assert!((found.y[0] - 2.0).abs() <= 2e-5, "{}", found.y[0]);
        assert!(found.dx.iter().all(|dx| (dx - 1.0 / 80_000.0).abs() <= 1e-11));
    }
}

/// Blocks of windows that a thread computes together begin at lines of other samples.
#[test]
fn a_batch_in_pieces_gives_what_its_samples_give() {
    let input = [23, 30, 12];
    let op = max(input, 3, 2, 1);
    let x: Vec<f32> =
        (0..5 * 23 * 30 * 12).map(|i| ((i * 7919) % 10_007) as f32 / 10_007.0).collect();
    let whole = on_cpu::<f32>(&op, input, &x);
    let samples = x.chunks(23 * 30 * 12).map(|x| on_cpu::<f32>(&op, input, x));
    let y: Vec<f32> = samples.flat_map(|found| found.y).collect();
    assert_eq!(whole.y, y);
    for found in everywhere(&op, input, &x) {
        // Sums of the same numbers in the same order.
        assert_eq!(found, whole);
    }
}

#[test]
fn what_cannot_be_pooled_is_refused_by_name() {
    let refused = |op: &dyn Op, input: [usize; 3], words: &[&str]| {
        let error = op.output(&[&input.to_vec()]).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    let input = [4, 4, 2];
    refused(&max(input, 2, 2, 2), input, &["max_pool2d", "padding", "2", "half"]);
    refused(&max(input, 5, 1, 0), input, &["max_pool2d", "kernel", "5", "4"]);
    refused(&max(input, 0, 1, 0), input, &["max_pool2d", "kernel", "0"]);
    refused(&max(input, 1, 0, 0), input, &["max_pool2d", "stride", "0"]);
    refused(&max(input, usize::MAX, 1, usize::MAX / 2), input, &["max_pool2d", "kernel"]);
    refused(&max([0, 4, 2], 2, 2, 0), [0, 4, 2], &["max_pool2d", "input"]);
    refused(&max(input, 2, 2, 0), [4, 4, 3], &["max_pool2d", "[4, 4, 3]", "[4, 4, 2]"]);
    let average = AvgPool2d {
        input,
        kernel: [2, 2],
        stride: [2, 2],
        padding: [0, 2],
        ceil_mode: false,
        count_include_pad: true,
    };
    refused(&average, input, &["avg_pool2d", "padding (width)"]);
    let adaptive = AdaptiveAvgPool2d { input, output: [0, 1] };
    refused(&adaptive, input, &["adaptive_avg_pool2d", "output", "0"]);
    refused(&GlobalAvgPool { input }, [4, 2, 4], &["global_avg_pool", "[4, 2, 4]"]);
    refused(&GlobalMaxPool { input }, [2, 4, 4], &["global_max_pool", "[2, 4, 4]"]);
}
