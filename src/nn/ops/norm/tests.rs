//! A norm called alone, on each device; large shapes of all norms against the reference.

use std::ops::Range;

use crate::cpu::random::Random;
use crate::nn::graph::op::{
    Backward, Forward, GpuBackward, GpuForward, GpuMode, GpuParameters, GpuStatistics, Mode, Op,
    Operand, Parameters, Precision, Segments, Shape,
};
use crate::nn::ops::batch_norm::BatchNorm;
use crate::nn::ops::group_norm::GroupNorm;
use crate::nn::ops::layer_norm::LayerNorm;
use crate::nn::ops::rms_norm::RmsNorm;
use crate::runtime::device::Gpu;
use crate::runtime::recorder::Recorder;
use crate::{Error, Result};

/// A pass of an op over a batch.
pub(in crate::nn::ops) struct Call {
    pub op: Box<dyn Op>,
    pub shapes: Vec<Shape>,
    pub rows: usize,
    pub inputs: Vec<Vec<f64>>,
    pub parameters: Vec<f64>,
    pub statistics: Vec<f64>,
    pub upstream: Vec<f64>,
    pub training: bool,
    /// Adds the gradients of the parameters to ones.
    pub accumulate: bool,
}

/// Its results. The gradients are empty outside of training.
#[derive(Debug, Default, PartialEq)]
pub(in crate::nn::ops) struct Found {
    pub output: Vec<f64>,
    pub statistics: Vec<f64>,
    pub grad_inputs: Vec<Vec<f64>>,
    pub grad_parameters: Vec<f64>,
}

pub(in crate::nn::ops) fn device() -> Gpu {
    Gpu::open_with(crate::GpuOptions::default().checked(true))
        .expect("these tests need an adapter, a software one will do")
}

fn drawn(count: usize, stream: u64) -> Vec<f64> {
    let mut random = Random::new(29, stream);
    // Rounded to f32, so that all devices begin with the same numbers.
    (0..count).map(|_| f64::from((2.0 * random.uniform() - 1.0) as f32)).collect()
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// Consecutive ranges of some lengths.
fn ranges(lengths: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut end = 0;
    lengths
        .map(|length| {
            end += length;
            end - length..end
        })
        .collect()
}

impl Call {
    pub fn new(op: impl Op, shape: &[usize], count: usize, rows: usize) -> Call {
        let (shapes, width) = (vec![shape.to_vec(); count], shape.iter().product::<usize>());
        let mut call = Call {
            op: Box::new(op),
            shapes,
            rows,
            inputs: (0..count).map(|input| drawn(rows * width, input as u64)).collect(),
            parameters: Vec::new(),
            statistics: Vec::new(),
            upstream: drawn(rows * width, 8),
            training: true,
            accumulate: false,
        };
        let shapes = call.shapes();
        let (parameters, statistics) = (call.op.parameters(&shapes), call.op.statistics(&shapes));
        let length = parameters.iter().map(|spec| spec.shape[0]).sum();
        call.statistics =
            statistics.iter().flat_map(|spec| vec![spec.initial; spec.length]).collect();
        call.parameters = drawn(length, 9);
        call
    }

    fn shapes(&self) -> Vec<&Shape> {
        self.shapes.iter().collect()
    }

    fn parameter_ranges(&self) -> Vec<Range<usize>> {
        ranges(self.op.parameters(&self.shapes()).iter().map(|spec| spec.shape[0]))
    }

    fn statistic_ranges(&self) -> Vec<Range<usize>> {
        ranges(self.op.statistics(&self.shapes()).iter().map(|spec| spec.length))
    }

    fn saved_length(&self) -> usize {
        let saves = self.op.saves(&self.shapes());
        saves.own * self.rows + saves.per_batch
    }

    pub fn on_cpu<R: Precision>(&self) -> Result<Found> {
        let real = |values: &[f64]| values.iter().map(|&x| R::new(x)).collect::<Vec<R>>();
        let back = |values: &[R]| values.iter().map(|x| x.to_f64()).collect::<Vec<f64>>();
        let inputs: Vec<Vec<R>> = self.inputs.iter().map(|input| real(input)).collect();
        let inputs: Vec<&[R]> = inputs.iter().map(|input| &input[..]).collect();
        let (all, mut statistics) = (real(&self.parameters), real(&self.statistics));
        let (of_parameters, of_statistics) = (self.parameter_ranges(), self.statistic_ranges());
        let parameters = || Parameters { all: &all, ranges: &of_parameters, table: &[] };
        let nan = |length: usize| vec![R::NAN; length];
        let (mut output, mut saved) = (nan(self.upstream.len()), nan(self.saved_length()));
        let mode = Mode { training: self.training, ..Mode::default() };
        let op = R::of(&*self.op);
        op.forward(Forward {
            rows: self.rows,
            inputs: &inputs,
            ids: &[],
            parameters: parameters(),
            output: &mut output,
            saved: &mut saved,
            statistics: Segments { all: &mut statistics, ranges: &of_statistics },
            mode,
        })?;
        let (output, statistics) = (output, back(&statistics));
        let mut found = Found { output: back(&output), statistics, ..Found::default() };
        if !self.training {
            return Ok(found);
        }
        let mut gradients: Vec<Vec<R>> = inputs.iter().map(|input| nan(input.len())).collect();
        let mut grad_inputs: Vec<Option<&mut [R]>> =
            gradients.iter_mut().map(|gradient| Some(&mut gradient[..])).collect();
        let mut grad_parameters = vec![if self.accumulate { R::ONE } else { R::NAN }; all.len()];
        op.backward(Backward {
            rows: self.rows,
            inputs: &inputs,
            output: &output,
            saved: &saved,
            saved_of_input: &[],
            parameters: parameters(),
            grad_output: &mut real(&self.upstream),
            grad_inputs: &mut grad_inputs,
            adds: false,
            grad_parameters: Segments { all: &mut grad_parameters, ranges: &of_parameters },
            accumulate: self.accumulate,
            ids: &[],
            mode,
        })?;
        found.grad_inputs = gradients.iter().map(|gradient| back(gradient)).collect();
        found.grad_parameters = back(&grad_parameters);
        Ok(found)
    }

    pub fn on_gpu(&self, device: &Gpu) -> Result<Found> {
        let upload =
            |values: &[f64]| device.upload("numbers", &[single(values), vec![0.0]].concat());
        let nan = |length: usize| device.upload("NaN", &vec![f32::NAN; length + 4]);
        let (width, rows) = (self.upstream.len() / self.rows, self.rows);
        let inputs = self.inputs.iter().map(|x| upload(x)).collect::<Result<Vec<_>>>()?;
        let operands: Vec<Operand> =
            inputs.iter().map(|buffer| Operand { buffer, width }).collect();
        let before = if self.accumulate { 1.0 } else { f64::NAN };
        let gradients = upload(&vec![before; self.parameters.len()])?;
        let all = upload(&self.parameters)?;
        let statistics = upload(&self.statistics)?;
        let (output, saved) = (nan(rows * width)?, nan(self.saved_length())?);
        let (of_parameters, of_statistics) = (self.parameter_ranges(), self.statistic_ranges());
        let parameters =
            GpuParameters { all: &all, gradients: &gradients, ranges: &of_parameters, table: None };
        let mut recorder = Recorder::new(device);
        let noise = recorder.dummy()?;
        let mode = GpuMode {
            training: self.training,
            noise: &noise,
            node: 0,
            place: None,
            loss_scale: None,
        };
        let output = Operand { buffer: &output, width };
        let io = GpuForward {
            rows,
            first_row: 0,
            inputs: &operands,
            parameters,
            output,
            saved: &saved,
            statistics: GpuStatistics { all: &statistics, ranges: &of_statistics },
            mode,
        };
        recorder.scope(|recorder| self.op.forward_gpu(recorder, &io))?;
        let grad_output = upload(&self.upstream)?;
        let grads = inputs.iter().map(|_| nan(rows * width)).collect::<Result<Vec<_>>>()?;
        if self.training {
            let io = GpuBackward {
                rows,
                first_row: 0,
                inputs: &operands,
                output,
                saved: &saved,
                saved_of_input: &noise,
                parameters,
                grad_output: &grad_output,
                grad_inputs: &grads.iter().map(Some).collect::<Vec<_>>(),
                accumulate: self.accumulate,
                mode,
            };
            recorder.scope(|recorder| self.op.backward_gpu(recorder, &io))?;
        }
        device.submit(&recorder.finish().commands)?;
        let read = |buffer: &wgpu::Buffer, length: usize| -> Result<Vec<f64>> {
            if length == 0 {
                return Ok(Vec::new());
            }
            let found: Vec<f32> = pollster::block_on(device.download(buffer, 0, length))?;
            Ok(found.into_iter().map(f64::from).collect())
        };
        let mut found = Found {
            output: read(output.buffer, rows * width)?,
            statistics: read(&statistics, self.statistics.len())?,
            ..Found::default()
        };
        if self.training {
            let read_all = grads.iter().map(|gradient| read(gradient, rows * width));
            found.grad_inputs = read_all.collect::<Result<_>>()?;
            found.grad_parameters = read(&gradients, self.parameters.len())?;
        }
        Ok(found)
    }

    /// On the CPU in both precisions and, if there is an adapter, on the GPU.
    pub fn everywhere(&self) -> Vec<Found> {
        let mut all = vec![self.on_cpu::<f64>().unwrap(), self.on_cpu::<f32>().unwrap()];
        // The kernels of software adapters, and those that hardware runs.
        for hardware in [false, true] {
            let options = crate::GpuOptions::default().checked(true).hardware_variants(hardware);
            if let Ok(gpu) = Gpu::open_with(options) {
                all.push(self.on_gpu(&gpu).unwrap());
            }
        }
        all
    }
}

/// The largest difference, relative to the largest expected number if that is above 1.
pub(in crate::nn::ops) fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(1.0, |most: f64, e| most.max(e.abs()));
    let pairs = found.iter().zip(expected);
    pairs
        .map(|(f, e)| (f - e).abs() / size)
        .fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most })
}

fn large() -> Vec<Call> {
    let relu = BatchNorm { relu: true, residual: true, ..BatchNorm::new(16) };
    let wide = BatchNorm { affine: false, relu: true, ..BatchNorm::new(33) };
    vec![
        Call::new(relu, &[7, 6, 16], 2, 80),
        Call::new(wide, &[5, 33], 1, 61),
        Call::new(BatchNorm::new(1), &[30, 30, 1], 1, 25),
        Call::new(GroupNorm::new(4, 24), &[11, 9, 24], 1, 5),
        Call::new(GroupNorm::new(5, 15), &[7, 15], 1, 9),
        Call::new(LayerNorm::new(320), &[9, 320], 1, 75),
        Call::new(LayerNorm::new(37), &[37], 1, 700),
        Call::new(RmsNorm::new(132), &[3, 132], 1, 90),
    ]
}

#[test]
fn large_batches_give_on_each_device_what_the_reference_gives() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let device = device();
    for call in large() {
        let expected = call.on_cpu::<f64>().unwrap();
        let gpu = call.on_gpu(&device).unwrap();
        assert_eq!(gpu, call.on_gpu(&device).unwrap(), "{:?}: not the same bits twice", call.op);
        for (name, found) in [("cpu", call.on_cpu::<f32>().unwrap()), ("gpu", gpu)] {
            let name = format!("{name}, {:?}", call.op);
            // Sums of up to some hundred numbers of order one in a row, rounded to 6e-8 each,
            // relative to the largest sum.
            let of = |found: &[f64], expected: &[f64]| {
                let d = difference(found, expected);
                assert!(d <= 5e-6, "{name}: {d}");
            };
            of(&found.output, &expected.output);
            of(&found.statistics, &expected.statistics);
            of(&found.grad_parameters, &expected.grad_parameters);
            for (found, expected) in found.grad_inputs.iter().zip(&expected.grad_inputs) {
                of(found, expected);
            }
        }
    }
}

#[test]
fn gradients_of_parameters_are_added_to_those_of_earlier_batches() {
    for mut call in [
        Call::new(BatchNorm::new(4), &[3, 4], 1, 9),
        Call::new(GroupNorm::new(2, 4), &[3, 4], 1, 9),
        Call::new(LayerNorm::new(5), &[5], 1, 9),
        Call::new(RmsNorm::new(8), &[8], 1, 9),
    ] {
        let alone = call.everywhere();
        call.accumulate = true;
        for (found, alone) in call.everywhere().iter().zip(alone) {
            let expected: Vec<f64> = alone.grad_parameters.iter().map(|g| g + 1.0).collect();
            assert!(difference(&found.grad_parameters, &expected) <= 1e-6, "{:?}", call.op);
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for call in large() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| call.on_cpu::<f32>().unwrap())
        };
        assert_eq!(with(1), with(3), "{:?}", call.op);
    }
}

#[test]
fn wrong_shapes_and_options_are_refused_by_name() {
    let image = vec![4, 4, 6];
    let refused = |op: &dyn Op, words: [&str; 2]| {
        let error = op.output(&[&image]).unwrap_err();
        assert!(matches!(error, Error::Shape { .. } | Error::Option { .. }));
        let error = error.to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    refused(&BatchNorm::new(5), ["batch_norm", "[4, 4, 6]"]);
    refused(&BatchNorm { residual: true, ..BatchNorm::new(6) }, ["batch_norm", "2 inputs"]);
    refused(&BatchNorm { momentum: 1.5, ..BatchNorm::new(6) }, ["momentum", "1.5"]);
    refused(&BatchNorm { epsilon: -1.0, ..BatchNorm::new(6) }, ["epsilon", "-1"]);
    refused(&GroupNorm::new(2, 4), ["group_norm", "[4, 4, 6]"]);
    refused(&LayerNorm::new(4), ["layer_norm", "[4, 4, 6]"]);
    refused(&RmsNorm::new(1), ["rms_norm", "[4, 4, 6]"]);
}

/// Milliseconds of forward and backward on the CPU, the fastest of some runs.
pub(in crate::nn::ops) fn milliseconds(call: &Call) -> f64 {
    let inputs: Vec<Vec<f32>> = call.inputs.iter().map(|input| single(input)).collect();
    let inputs: Vec<&[f32]> = inputs.iter().map(|input| &input[..]).collect();
    let (all, mut statistics) = (single(&call.parameters), single(&call.statistics));
    let (of_parameters, of_statistics) = (call.parameter_ranges(), call.statistic_ranges());
    let parameters = || Parameters { all: &all, ranges: &of_parameters, table: &[] };
    let mut output = vec![0.0; call.upstream.len()];
    let (mut saved, mut grad_input) = (vec![0.0; call.saved_length()], output.clone());
    let (mut grad_output, mut grad_parameters) = (single(&call.upstream), vec![0.0; all.len()]);
    let mode = Mode { training: true, ..Mode::default() };
    let op = <f32 as Precision>::of(&*call.op);
    let mut run = || {
        let begin = std::time::Instant::now();
        op.forward(Forward {
            rows: call.rows,
            inputs: &inputs,
            ids: &[],
            parameters: parameters(),
            output: &mut output,
            saved: &mut saved,
            statistics: Segments { all: &mut statistics, ranges: &of_statistics },
            mode,
        })
        .unwrap();
        let forward = begin.elapsed();
        op.backward(Backward {
            rows: call.rows,
            inputs: &inputs,
            output: &output,
            saved: &saved,
            saved_of_input: &[],
            parameters: parameters(),
            grad_output: &mut grad_output,
            grad_inputs: &mut [Some(&mut grad_input[..])],
            adds: false,
            grad_parameters: Segments { all: &mut grad_parameters, ranges: &of_parameters },
            accumulate: false,
            ids: &[],
            mode,
        })
        .unwrap();
        [forward, begin.elapsed()].map(|time| time.as_secs_f64() * 1e3)
    };
    let times: Vec<[f64; 2]> = (0..60).map(|_| run()).collect();
    let fastest = |part: usize| times.iter().map(|t| t[part]).fold(f64::INFINITY, f64::min);
    println!("{:?}: forward {:.3} ms, with backward {:.3} ms", call.op, fastest(0), fastest(1));
    fastest(1)
}
