//! Convolution against its definition in plain loops, on each device; bits of repeated runs and of
//! any number of threads; what is refused.

use std::ops::Range;
use std::time::Instant;

use crate::cpu::random::Random;
use crate::nn::graph::op::{
    Backward, Cpu, Forward, GpuBackward, GpuForward, GpuMode, GpuParameters, GpuStatistics, Mode,
    Op, Operand, Parameters, Precision, Segments, Shape,
};
use crate::nn::ops::conv2d::slices::ParameterGradients;
use crate::nn::ops::conv2d::{Conv2d, cpu, same_padding};
use crate::nn::ops::matmul;
use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::product;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Slice;
use crate::runtime::recorder::Recorder;

/// Numbers of a pass over a batch.
pub(super) struct Case {
    pub(super) op: Conv2d,
    pub(super) rows: usize,
    x: Vec<f64>,
    /// Weights, then bias.
    parameters: Vec<f64>,
    pub(super) ranges: Vec<Range<usize>>,
    grad_output: Vec<f64>,
}

/// Results of a pass: y, dL/dX, and the gradients of weights and bias.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    output: Vec<f64>,
    grad_input: Vec<f64>,
    gradients: Vec<f64>,
}

fn drawn(count: usize, stream: u64) -> Vec<f64> {
    let mut random = Random::new(5, stream);
    (0..count).map(|_| f64::from((2.0 * random.uniform() - 1.0) as f32)).collect()
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

impl Case {
    pub(super) fn new(op: Conv2d, rows: usize) -> Case {
        let shape: Shape = op.input.to_vec();
        let output: usize = op.output(&[&shape]).unwrap().iter().product();
        let (mut ranges, mut end) = (Vec::new(), 0);
        for spec in op.parameters(&[&shape]) {
            let length: usize = spec.shape.iter().product();
            ranges.push(end..end + length);
            end += length;
        }
        let x = drawn(rows * shape.iter().product::<usize>(), 1);
        let (parameters, grad_output) = (drawn(end, 2), drawn(rows * output, 3));
        Case { op, rows, x, parameters, ranges, grad_output }
    }

    /// The definition.
    pub(super) fn expected(&self) -> Found {
        let Case { op, x, parameters, grad_output, .. } = self;
        let ([height, width, channels], [out_height, out_width]) = (op.input, op.output_size());
        let (of_group, filters) = (op.group_channels(), op.filters);
        let mut found = Found {
            output: vec![0.0; grad_output.len()],
            grad_input: vec![0.0; x.len()],
            gradients: vec![0.0; parameters.len()],
        };
        let bias = op.taps() * of_group * filters;
        for (index, &upstream) in grad_output.iter().enumerate() {
            let (filter, pixel) = (index % filters, index / filters);
            let (out_x, line) = (pixel % out_width, pixel / out_width);
            let (out_y, image) = (line % out_height, line / out_height);
            let group = filter / op.group_filters();
            if op.bias {
                found.output[index] += parameters[bias + filter];
                found.gradients[bias + filter] += upstream;
            }
            for tap in 0..op.taps() * of_group {
                let (channel, tap_x) = (tap % of_group, tap / of_group % op.kernel[1]);
                let tap_y = tap / of_group / op.kernel[1];
                let y = (out_y * op.stride[0] + tap_y * op.dilation[0]).wrapping_sub(op.padding[0]);
                let at =
                    (out_x * op.stride[1] + tap_x * op.dilation[1]).wrapping_sub(op.padding[2]);
                if y >= height || at >= width {
                    continue;
                }
                let place = ((image * height + y) * width + at) * channels;
                let place = place + group * of_group + channel;
                let weight = tap * filters + filter;
                found.output[index] += x[place] * parameters[weight];
                found.grad_input[place] += upstream * parameters[weight];
                found.gradients[weight] += upstream * x[place];
            }
        }
        found
    }

    fn on_cpu<R: Precision>(&self) -> Found {
        self.added_on_cpu::<R>(None)
    }

    /// A pass that adds its gradients to `before`, or writes them.
    fn added_on_cpu<R: Precision>(&self, before: Option<f64>) -> Found {
        let real = |values: &[f64]| values.iter().map(|&x| R::new(x)).collect::<Vec<R>>();
        let (x, all, mut grad_output) =
            (real(&self.x), real(&self.parameters), real(&self.grad_output));
        let filled = |length: usize, value: f64| vec![R::new(value); length];
        let (mut output, old) = (filled(grad_output.len(), f64::NAN), before.unwrap_or(f64::NAN));
        let (mut grad_input, mut gradients) = (filled(x.len(), old), filled(all.len(), old));
        let parameters = || Parameters { all: &all, ranges: &self.ranges, table: &[] };
        let op: &dyn Op = &self.op;
        let op: &dyn Cpu<R> = R::of(op);
        op.forward(Forward {
            rows: self.rows,
            inputs: &[&x],
            ids: &[],
            parameters: parameters(),
            output: &mut output,
            saved: &mut [],
            statistics: Segments { all: &mut [], ranges: &[] },
            mode: Mode::default(),
        })
        .unwrap();
        op.backward(Backward {
            rows: self.rows,
            inputs: &[&x],
            output: &[],
            saved: &[],
            saved_of_input: &[],
            parameters: parameters(),
            grad_output: &mut grad_output,
            grad_inputs: &mut [Some(&mut grad_input)],
            adds: before.is_some(),
            grad_parameters: Segments { all: &mut gradients, ranges: &self.ranges },
            accumulate: before.is_some(),
            ids: &[],
            mode: Mode::default(),
        })
        .unwrap();
        let wide = |values: Vec<R>| values.into_iter().map(|x| x.to_f64()).collect::<Vec<_>>();
        Found { output: wide(output), grad_input: wide(grad_input), gradients: wide(gradients) }
    }

    fn on_gpu(&self, gpu: &Gpu) -> Found {
        let run = OnGpu::new(self, gpu);
        let mut recorder = Recorder::new(gpu);
        run.forward(self, &mut recorder);
        run.backward(self, &mut recorder, true);
        gpu.submit(&recorder.finish().commands).unwrap();
        run.read(self, gpu)
    }
}

/// The buffers of a case.
pub(super) struct OnGpu {
    pub(super) x: wgpu::Buffer,
    pub(super) parameters: wgpu::Buffer,
    pub(super) grad_output: wgpu::Buffer,
    pub(super) output: wgpu::Buffer,
    pub(super) grad_input: wgpu::Buffer,
    pub(super) gradients: wgpu::Buffer,
    pub(super) unused: [wgpu::Buffer; 3],
}

impl OnGpu {
    pub(super) fn new(case: &Case, gpu: &Gpu) -> OnGpu {
        let upload = |values: &[f64]| gpu.upload("a test", &single(values)).unwrap();
        let nan = |length: usize| gpu.upload("NaN", &vec![f32::NAN; length]).unwrap();
        OnGpu {
            x: upload(&case.x),
            parameters: upload(&case.parameters),
            grad_output: upload(&case.grad_output),
            output: nan(case.grad_output.len()),
            grad_input: nan(case.x.len()),
            gradients: nan(case.parameters.len()),
            unused: [nan(4), nan(4), nan(4)],
        }
    }

    pub(super) fn read(&self, case: &Case, gpu: &Gpu) -> Found {
        let read = |buffer: &wgpu::Buffer, length: usize| -> Vec<f64> {
            let found: Vec<f32> = pollster::block_on(gpu.download(buffer, 0, length)).unwrap();
            found.into_iter().map(f64::from).collect()
        };
        Found {
            output: read(&self.output, case.grad_output.len()),
            grad_input: read(&self.grad_input, case.x.len()),
            gradients: read(&self.gradients, case.parameters.len()),
        }
    }

    fn parts<'a>(&'a self, case: &'a Case) -> (GpuParameters<'a>, [Operand<'a>; 2], GpuMode<'a>) {
        let parameters = GpuParameters {
            all: &self.parameters,
            gradients: &self.gradients,
            ranges: &case.ranges,
            table: None,
        };
        let operand = |buffer, length: usize| Operand { buffer, width: length / case.rows };
        let operands =
            [operand(&self.x, case.x.len()), operand(&self.output, case.grad_output.len())];
        (
            parameters,
            operands,
            GpuMode {
                training: true,
                noise: &self.unused[2],
                node: 0,
                place: None,
                loss_scale: None,
            },
        )
    }

    fn forward(&self, case: &Case, recorder: &mut Recorder) {
        let (parameters, [x, output], mode) = self.parts(case);
        let io = GpuForward {
            rows: case.rows,
            first_row: 0,
            inputs: &[x],
            parameters,
            output,
            saved: &self.unused[0],
            statistics: GpuStatistics { all: &self.unused[1], ranges: &[] },
            mode,
        };
        case.op.forward_gpu(recorder, &io).unwrap();
    }

    fn backward(&self, case: &Case, recorder: &mut Recorder, of_input: bool) {
        let (parameters, [x, output], mode) = self.parts(case);
        let io = GpuBackward {
            rows: case.rows,
            first_row: 0,
            inputs: &[x],
            output,
            saved: &self.unused[0],
            saved_of_input: &self.unused[1],
            parameters,
            grad_output: &self.grad_output,
            grad_inputs: &[Some(&self.grad_input).filter(|_| of_input)],
            accumulate: false,
            mode,
        };
        case.op.backward_gpu(recorder, &io).unwrap();
    }
}

/// Larger than the examples of the entry: several blocks, tiles and slices.
fn cases() -> Vec<Case> {
    let new = Conv2d::new;
    let same = |op: Conv2d| {
        let padding = [0, 1].map(|axis| {
            same_padding(op.input[axis], op.kernel[axis], op.stride[axis], op.dilation[axis])
        });
        Conv2d { padding: [padding[0].0, padding[0].1, padding[1].0, padding[1].1], ..op }
    };
    let all = [
        (2, same(new([13, 11, 8], 16, [3, 3]))),
        (3, new([9, 9, 5], 7, [3, 3])),
        (2, new([13, 11, 12], 20, [1, 1])),
        (4, same(new([12, 12, 1], 6, [5, 5]))),
        (3, same(new([8, 8, 3], 16, [3, 3]))),
        (2, same(Conv2d { stride: [2, 2], ..new([14, 15, 8], 12, [3, 3]) })),
        (2, Conv2d { stride: [2, 2], bias: false, ..new([9, 8, 4], 8, [1, 1]) }),
        (2, same(Conv2d { dilation: [2, 3], ..new([11, 13, 4], 8, [3, 3]) })),
        (1, Conv2d { padding: [3, 0, 1, 2], stride: [3, 1], ..new([10, 7, 6], 40, [4, 3]) }),
        (2, same(Conv2d { groups: 2, ..new([9, 10, 8], 12, [3, 3]) })),
        (3, same(Conv2d { groups: 6, stride: [2, 1], ..new([9, 7, 6], 6, [3, 3]) })),
        (2, same(Conv2d { groups: 5, ..new([7, 9, 5], 15, [3, 2]) })),
        // Far more filters than channels.
        (2, same(new([10, 10, 4], 36, [3, 3]))),
        // Many pixels: blocks and slices of more than one, and a rest.
        (5, same(new([29, 31, 3], 5, [3, 3]))),
        // Several blocks of columns and several stages of weights, with rests.
        (1, same(new([6, 8, 40], 70, [3, 3]))),
        (1, Conv2d { stride: [2, 2], padding: [1; 4], ..new([9, 8, 20], 33, [3, 3]) }),
        (
            2,
            Conv2d {
                stride: [3, 3],
                dilation: [5, 5],
                padding: [5; 4],
                ..new([3, 3, 2], 2, [3, 3])
            },
        ),
        (
            1,
            Conv2d {
                stride: [4, 3],
                dilation: [2, 5],
                padding: [2; 4],
                ..new([9, 12, 3], 4, [2, 3])
            },
        ),
        // Sixteen filters: lines of seven pixels, and a rest.
        (2, same(new([5, 17, 16], 16, [3, 3]))),
    ];
    all.into_iter().map(|(rows, op)| Case::new(op, rows)).collect()
}

/// The largest difference, relative to the number of products in a sum.
pub(super) fn difference(found: &Found, expected: &Found, case: &Case) -> f64 {
    let depth = (case.op.taps() * case.op.group_channels().max(case.op.group_filters())) as f64;
    let [height, width] = case.op.output_size();
    let pixels = (case.rows * height * width) as f64;
    let pairs = [
        (&found.output, &expected.output, depth),
        (&found.grad_input, &expected.grad_input, depth),
        (&found.gradients, &expected.gradients, pixels),
    ];
    let mut most: f64 = 0.0;
    for (found, expected, terms) in pairs {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            let difference = (f - e).abs() / (terms + 1.0);
            assert!(!difference.is_nan(), "{f} {e}");
            most = most.max(difference);
        }
    }
    most
}

/// 2⁻²⁴: each product and each sum of numbers below 1 is rounded once, and errors cancel.
const ROUNDING: f64 = 6e-8;

#[test]
fn each_device_gives_what_the_definition_gives() {
    for case in cases() {
        let expected = case.expected();
        let name = format!("{:?}", case.op);
        let exact = difference(&case.on_cpu::<f64>(), &expected, &case);
        let single = difference(&case.on_cpu::<f32>(), &expected, &case);
        assert!(exact <= 1e-15 && single <= ROUNDING, "{name}: {exact}, {single}");
    }
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open().unwrap();
    for case in cases() {
        let found = case.on_gpu(&gpu);
        let most = difference(&found, &case.expected(), &case);
        assert!(most <= ROUNDING, "{:?}: {most}", case.op);
        assert!(found == case.on_gpu(&gpu), "{:?}: other bits in a second run", case.op);
    }
}

#[test]
fn gradients_are_added_to_what_is_there() {
    for case in cases() {
        let mut expected = case.expected();
        for gradient in expected.grad_input.iter_mut().chain(&mut expected.gradients) {
            *gradient += 0.5;
        }
        let exact = difference(&case.added_on_cpu::<f64>(Some(0.5)), &expected, &case);
        let single = difference(&case.added_on_cpu::<f32>(Some(0.5)), &expected, &case);
        assert!(exact <= 1e-15 && single <= ROUNDING, "{:?}: {exact}, {single}", case.op);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for case in cases() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| case.on_cpu::<f32>())
        };
        let one = with(1);
        assert!(one == with(1) && one == with(2) && one == with(3), "{:?}", case.op);
    }
}

#[test]
fn infinity_beside_the_padding_stays_where_it_is() {
    let op = Conv2d { padding: [1; 4], ..Conv2d::new([4, 4, 4], 4, [3, 3]) };
    let mut case = Case::new(op, 1);
    let weights = case.parameters.len() - 4;
    case.parameters[..weights].fill(1.0);
    case.x.fill(0.5);
    case.x[0] = f64::INFINITY;
    let check = |found: Found| {
        let is_near = |index: usize| index / 4 % 4 <= 1 && index / 16 <= 1;
        let all = found.output.iter().enumerate();
        all.for_each(|(index, y)| assert_eq!(y.is_infinite(), is_near(index), "{index}: {y}"));
    };
    check(case.on_cpu::<f32>());
    check(case.on_cpu::<f64>());
    crate::runtime::device::test_adapter::needs_gpu!();
    check(case.on_gpu(&Gpu::open().unwrap()));
}

#[test]
fn same_padding_is_that_of_the_frameworks() {
    // TensorFlow's formula: an odd rest is behind.
    let all = [
        ((28, 3, 1, 1), (1, 1)),
        ((28, 3, 2, 1), (0, 1)),
        ((29, 3, 2, 1), (1, 1)),
        ((7, 4, 1, 1), (1, 2)),
        ((7, 3, 1, 2), (2, 2)),
        ((5, 1, 2, 1), (0, 0)),
        ((5, 2, 3, 1), (0, 0)),
        ((224, 7, 2, 1), (2, 3)),
    ];
    for ((size, kernel, stride, dilation), expected) in all {
        assert_eq!(same_padding(size, kernel, stride, dilation), expected, "{size} {kernel}");
        let extent = dilation * (kernel - 1) + 1;
        let padded = size + expected.0 + expected.1;
        assert_eq!((padded - extent) / stride + 1, size.div_ceil(stride));
    }
}

#[test]
fn what_is_no_convolution_is_refused_by_name() {
    let base = || Conv2d::new([5, 6, 4], 6, [3, 3]);
    let cases = [
        (Conv2d { groups: 3, ..base() }, "groups"),
        (Conv2d { groups: 4, ..base() }, "groups"),
        (Conv2d { groups: 0, ..base() }, "groups"),
        (Conv2d { padding: [0, 3, 0, 0], ..base() }, "padding"),
        (Conv2d { padding: [0, 0, 5, 0], dilation: [1, 2], ..base() }, "padding"),
        (Conv2d { stride: [0, 1], ..base() }, "stride"),
        (Conv2d { dilation: [1, 0], ..base() }, "dilation"),
        (Conv2d { kernel: [0, 3], ..base() }, "kernel"),
        (Conv2d { kernel: [3, 7], ..base() }, "kernel"),
        (Conv2d { dilation: [3, 1], ..base() }, "kernel"),
        (Conv2d { filters: 0, ..base() }, "filters"),
        (Conv2d { input: [5, 0, 4], ..base() }, "input"),
        (Conv2d { input: [20_000, 20_000, 32], ..base() }, "20000"),
        (Conv2d { kernel: [usize::MAX, 1], ..base() }, "kernel"),
    ];
    for (op, word) in cases {
        let error = op.output(&[&op.input.to_vec()]).unwrap_err().to_string();
        assert!(error.contains("conv2d") && error.contains(word), "{word}: {error}");
    }
    let error = base().output(&[&vec![5, 6, 3]]).unwrap_err().to_string();
    assert!(error.contains("[5, 6, 3]") && error.contains("[5, 6, 4]"), "{error}");
    assert_eq!(base().output(&[&vec![5, 6, 4]]).unwrap(), [3, 4, 6]);
}

/// A 3×3 convolution of 28² images.
fn timed(rows: usize, channels: usize, filters: usize) -> Case {
    let op = Conv2d { padding: [1; 4], ..Conv2d::new([28, 28, channels], filters, [3, 3]) };
    Case::new(op, rows)
}

/// Prints the best time of some runs and the speed of a number of the case's products.
fn report(case: &Case, name: &str, products: usize, mut work: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    let seconds = (0..15).map(time).fold(f64::INFINITY, f64::min);
    let [height, width, channels] = case.op.input;
    let flops = 2 * products * case.rows * height * width * 9 * channels * case.op.filters;
    println!(
        "{channels} → {}, {height}², batch {}, {name}: {:.2} ms, {:.1} GFLOP/s",
        case.op.filters,
        case.rows,
        1e3 * seconds,
        1e-9 * flops as f64 / seconds
    );
    seconds
}

/// Times to compare with PyTorch's on two cores: 9.0 ms (8.1 channels last) forward and 27.7 (25.6)
/// forward and backward for 64 → 64 filters over 32 images of 28².
#[test]
#[ignore = "prints times; in release"]
fn speed_on_the_cpu() {
    for (rows, channels, filters) in [(32, 64, 64), (64, 1, 32), (64, 16, 16), (64, 32, 32)] {
        let case = timed(rows, channels, filters);
        let (x, all, grad_output) =
            (single(&case.x), single(&case.parameters), single(&case.grad_output));
        let (weight, bias) = all.split_at(case.ranges[0].end);
        let (mut output, mut grad_input) = (vec![0.0; grad_output.len()], vec![0.0; x.len()]);
        let mut gradient = vec![0.0; weight.len()];
        // Inside the pool, as training runs.
        rayon::scope(|_| {
            let forward = report(&case, "forward", 1, || {
                cpu::forward(&case.op, &x, weight, bias, &mut output);
            });
            let of_weight = report(&case, "gradient of the weights", 1, || {
                let io = ParameterGradients {
                    x: &x,
                    grad_output: &grad_output,
                    weight: &mut gradient,
                    bias: &mut [],
                    accumulate: false,
                };
                cpu::parameter_gradients(&case.op, io);
            });
            let of_input = report(&case, "gradient of the input", 1, || {
                cpu::input_gradient(&case.op, &grad_output, weight, &mut grad_input, false);
            });
            println!("together {:.2} ms", 1e3 * (forward + of_weight + of_input));
        });
    }
}

/// Times beside those of the plain product of the same sizes.
#[test]
#[ignore = "prints times"]
fn speed_on_the_gpu() {
    let Ok(gpu) = Gpu::open() else { return };
    for (rows, channels, filters) in [(8, 64, 64), (64, 1, 32), (64, 16, 16)] {
        let case = timed(rows, channels, filters);
        let run = OnGpu::new(&case, &gpu);
        let time = |name: &str, products: usize, record: &dyn Fn(&mut Recorder)| {
            let mut recorder = Recorder::new(&gpu);
            record(&mut recorder);
            let commands = recorder.finish().commands;
            report(&case, name, products, || {
                gpu.submit(&commands).unwrap();
                gpu.wait().unwrap();
            });
        };
        let (m, k) = ((rows * 28 * 28) as u32, (9 * channels) as u32);
        let params = matmul::Params { m, n: filters as u32, k, ..matmul::Params::default() };
        let left = gpu.upload("patches", &vec![0.5_f32; (m * k) as usize]).unwrap();
        time("a plain product", 1, &|recorder| {
            let storage = [&left, &run.parameters, &run.output].map(Slice::from);
            let kind = Kind::plain(matmul::Layout::NN);
            product::record(recorder, &kind, &params, &storage).unwrap();
        });
        time("forward", 1, &|recorder| run.forward(&case, recorder));
        time("gradient of the weights", 1, &|recorder| run.backward(&case, recorder, false));
        if channels > 1 {
            // An image of one channel is the input of the model, whose gradient is not computed.
            time("both gradients", 2, &|recorder| run.backward(&case, recorder, true));
        }
    }
}
