//! Attention against its definition, written again here in f64 with whole matrices.

use std::mem::offset_of;
use std::time::Instant;

use crate::cpu::random::Random;
use crate::nn::graph::op::{
    Backward, Forward, GpuBackward, GpuForward, GpuMode, GpuParameters, GpuStatistics, Mode, Op,
    Operand, Parameters, Precision, Segments,
};
use crate::nn::ops::attention::gpu::{Params, Pass, RotateParams, Variant};
use crate::nn::ops::attention::{Attention, Pairs, Rotary};
use crate::runtime::device::Gpu;
use crate::runtime::device::test_adapter::needs_gpu;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl;
use crate::{Error, GpuOptions};

/// An op with the numbers of a batch.
#[derive(Clone)]
struct Case {
    op: Attention,
    rows: usize,
    qkv: Vec<f64>,
    lengths: Vec<f64>,
    grad_output: Vec<f64>,
}

/// Output and gradient of the packed input.
#[derive(Debug, PartialEq)]
struct Found {
    output: Vec<f64>,
    gradient: Vec<f64>,
}

impl Case {
    fn new(op: Attention, rows: usize, lengths: &[f64]) -> Case {
        let mut random = Random::new(5, 9);
        // Rounded to f32, so that all devices begin with the same numbers.
        let mut drawn = |count: usize| -> Vec<f64> {
            (0..count).map(|_| f64::from((2.0 * random.uniform() - 1.0) as f32)).collect()
        };
        let of_row = op.tokens * op.width;
        let (qkv, grad_output) = (drawn(rows * 3 * of_row), drawn(rows * of_row));
        Case { op, rows, qkv, lengths: lengths.to_vec(), grad_output }
    }

    /// The place of a number of q (third 0), k or v in the packed input.
    fn place(&self, [row, token, third, head, number]: [usize; 5]) -> usize {
        let (tokens, width) = (self.op.tokens, self.op.width);
        ((row * tokens + token) * 3 + third) * width + head * width / self.op.heads + number
    }

    fn on_cpu<R: Precision>(&self) -> Found {
        let real = |values: &[f64]| values.iter().map(|&x| R::new(x)).collect::<Vec<R>>();
        let (qkv, lengths, of_row) =
            (real(&self.qkv), real(&self.lengths), self.op.tokens * self.op.width);
        let inputs: &[&[R]] = if self.op.has_lengths { &[&qkv, &lengths] } else { &[&qkv] };
        let nan = |count: usize| vec![R::NAN; count];
        let (mut output, mut saved) =
            (nan(self.rows * of_row), nan(self.rows * self.op.tokens * self.op.heads));
        let parameters = || Parameters { all: &[], ranges: &[], table: &[] };
        let op = R::of(&self.op);
        op.forward(Forward {
            rows: self.rows,
            inputs,
            ids: &[],
            parameters: parameters(),
            output: &mut output,
            saved: &mut saved,
            statistics: Segments { all: &mut [], ranges: &[] },
            mode: Mode::default(),
        })
        .unwrap();
        let (mut gradient, mut of_lengths) = (nan(self.qkv.len()), nan(self.lengths.len()));
        op.backward(Backward {
            rows: self.rows,
            inputs,
            output: &output,
            saved: &saved,
            saved_of_input: &[],
            parameters: parameters(),
            grad_output: &mut real(&self.grad_output),
            grad_inputs: &mut [Some(&mut gradient[..]), Some(&mut of_lengths[..])][..inputs.len()],
            adds: false,
            grad_parameters: Segments { all: &mut [], ranges: &[] },
            accumulate: false,
            ids: &[],
            mode: Mode::default(),
        })
        .unwrap();
        assert!(!self.op.has_lengths || of_lengths.iter().all(|&g| g == R::ZERO));
        let wide = |values: &[R]| values.iter().map(|x| x.to_f64()).collect();
        Found { output: wide(&output), gradient: wide(&gradient) }
    }

    fn on_gpu(&self, gpu: &Gpu) -> Found {
        let recording = Recorded::new(self, gpu);
        recording.run();
        let read = |buffer: &wgpu::Buffer, length: usize| -> Vec<f64> {
            let found: Vec<f32> = pollster::block_on(gpu.download(buffer, 0, length)).unwrap();
            found.into_iter().map(f64::from).collect()
        };
        let of_lengths = read(&recording.of_lengths, self.rows);
        assert!(!self.op.has_lengths || of_lengths.iter().all(|&g| g == 0.0));
        Found {
            output: read(&recording.output, self.grad_output.len()),
            gradient: read(&recording.gradient, self.qkv.len()),
        }
    }

    /// From the definition.
    fn naive(&self) -> Found {
        let Attention { tokens, width, heads, .. } = self.op;
        let depth = width / heads;
        let scale = self.op.scale.unwrap_or(1.0 / (depth as f64).sqrt());
        let mut found = Found {
            output: vec![0.0; self.rows * tokens * width],
            gradient: vec![0.0; self.qkv.len()],
        };
        for (row, head) in (0..self.rows).flat_map(|row| (0..heads).map(move |head| (row, head))) {
            let keys = if self.op.has_lengths { self.lengths[row] as usize } else { tokens };
            let sees = |i: usize, j: usize| j < keys && (!self.op.causal || j <= i);
            let input = |token, third| -> Vec<f64> {
                let values = (0..depth).map(|d| self.qkv[self.place([row, token, third, head, d])]);
                let values = values.collect::<Vec<f64>>();
                if third < 2 { self.rotated(token as f64, &values) } else { values }
            };
            let of_tokens = |third| (0..tokens).map(|token| input(token, third)).collect();
            let [q, k, v]: [Vec<Vec<f64>>; 3] = [of_tokens(0), of_tokens(1), of_tokens(2)];
            let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
            let grad_output = |token: usize| {
                &self.grad_output[(row * tokens + token) * width + head * depth..][..depth]
            };
            let mut gradients =
                vec![[vec![0.0; depth], vec![0.0; depth], vec![0.0; depth]]; tokens];
            for i in 0..tokens {
                let visible: Vec<usize> = (0..tokens).filter(|&j| sees(i, j)).collect();
                let s: Vec<f64> = visible.iter().map(|&j| scale * dot(&q[i], &k[j])).collect();
                let largest = s.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
                let total: f64 = s.iter().map(|s| (s - largest).exp()).sum();
                let p: Vec<f64> = s.iter().map(|s| (s - largest).exp() / total).collect();
                let g = grad_output(i);
                let dp: Vec<f64> = visible.iter().map(|&j| dot(g, &v[j])).collect();
                let mean = dot(&p, &dp);
                for ((&j, &p), dp) in visible.iter().zip(&p).zip(dp) {
                    let ds = scale * p * (dp - mean);
                    for d in 0..depth {
                        found.output[(row * tokens + i) * width + head * depth + d] += p * v[j][d];
                        gradients[i][0][d] += ds * k[j][d];
                        gradients[j][1][d] += ds * q[i][d];
                        gradients[j][2][d] += p * g[d];
                    }
                }
            }
            for (token, of_token) in gradients.iter().enumerate() {
                for (third, values) in of_token.iter().enumerate() {
                    let time = -(token as f64);
                    let values =
                        if third < 2 { self.rotated(time, values) } else { values.clone() };
                    for (d, value) in values.into_iter().enumerate() {
                        found.gradient[self.place([row, token, third, head, d])] = value;
                    }
                }
            }
        }
        found
    }

    /// A vector of a head, its pairs rotated.
    fn rotated(&self, time: f64, values: &[f64]) -> Vec<f64> {
        let (mut found, depth) = (values.to_vec(), values.len());
        let Some(rotary) = self.op.rotary else { return found };
        for m in 0..depth / 2 {
            let angle = time / rotary.base.powf(2.0 * m as f64 / depth as f64);
            let [a, b] = match rotary.pairs {
                Pairs::Halves => [m, m + depth / 2],
                Pairs::Interleaved => [2 * m, 2 * m + 1],
            };
            found[a] = values[a] * angle.cos() - values[b] * angle.sin();
            found[b] = values[b] * angle.cos() + values[a] * angle.sin();
        }
        found
    }
}

/// Forward and backward of a case on a GPU.
struct Recorded {
    gpu: Gpu,
    forward: Vec<crate::runtime::kernel::Command>,
    backward: Vec<crate::runtime::kernel::Command>,
    output: wgpu::Buffer,
    gradient: wgpu::Buffer,
    of_lengths: wgpu::Buffer,
}

impl Recorded {
    fn new(case: &Case, gpu: &Gpu) -> Recorded {
        let upload = |values: &[f64]| {
            let single: Vec<f32> = values.iter().map(|&x| x as f32).collect();
            gpu.upload("numbers of a test", &single).unwrap()
        };
        let nan = |length: usize| upload(&vec![f64::NAN; length.max(1)]);
        let (op, rows) = (&case.op, case.rows);
        let (qkv, lengths) = (upload(&case.qkv), upload(&[&*case.lengths, &[0.0]].concat()));
        let (output, saved) = (nan(case.grad_output.len()), nan(rows * op.tokens * op.heads));
        let (gradient, of_lengths) = (nan(case.qkv.len()), nan(rows));
        let (grad_output, dummy, noise) = (upload(&case.grad_output), nan(4), nan(4));
        let width = op.tokens * op.width;
        let inputs =
            [Operand { buffer: &qkv, width: 3 * width }, Operand { buffer: &lengths, width: 1 }];
        let inputs = &inputs[..1 + usize::from(op.has_lengths)];
        let parameters = GpuParameters { all: &dummy, gradients: &dummy, ranges: &[], table: None };
        let mode =
            GpuMode { training: true, noise: &noise, node: 0, place: None, loss_scale: None };
        let forward = Recorder::commands_of(gpu, |recorder| {
            op.forward_gpu(
                recorder,
                &GpuForward {
                    rows,
                    first_row: 0,
                    inputs,
                    parameters,
                    output: Operand { buffer: &output, width },
                    saved: &saved,
                    statistics: GpuStatistics { all: &dummy, ranges: &[] },
                    mode,
                },
            )
        });
        let backward = Recorder::commands_of(gpu, |recorder| {
            op.backward_gpu(
                recorder,
                &GpuBackward {
                    rows,
                    first_row: 0,
                    inputs,
                    output: Operand { buffer: &output, width },
                    saved: &saved,
                    saved_of_input: &dummy,
                    parameters,
                    grad_output: &grad_output,
                    grad_inputs: &[Some(&gradient), Some(&of_lengths)][..inputs.len()],
                    accumulate: false,
                    mode,
                },
            )
        });
        let (forward, backward) = (forward.unwrap(), backward.unwrap());
        Recorded { gpu: gpu.clone(), forward, backward, output, gradient, of_lengths }
    }

    fn run(&self) {
        self.gpu.submit(self.forward.iter().chain(&self.backward)).unwrap();
    }
}

/// The adapter with the kernels of each device class.
fn gpus() -> [Gpu; 2] {
    [false, true].map(|hardware_variants| {
        let options = GpuOptions { hardware_variants, ..GpuOptions::default() };
        Gpu::open_with(options.checked(true)).expect("these tests need an adapter")
    })
}

/// The largest difference, relative to the size of the expected values; NaN if there is one.
fn difference(found: &Found, expected: &Found) -> f64 {
    assert_eq!(found.output.len(), expected.output.len());
    let pairs = found.output.iter().zip(&expected.output);
    let pairs = pairs.chain(found.gradient.iter().zip(&expected.gradient));
    pairs
        .map(|(f, e)| (f - e).abs() / e.abs().max(1.0))
        .fold(0.0, |most, d| if d.is_nan() || d > most { d } else { most })
}

/// Tokens off the blocks and tiles, each option, depths of one block, of several and of none.
fn cases() -> Vec<Case> {
    let rotary = |pairs| Some(Rotary { base: 50.0, pairs });
    let lengths = |tokens: usize| [0.0, tokens as f64, 1.0, 20.7, f64::NAN];
    let mut cases = Vec::new();
    for (tokens, causal) in [(33, false), (65, true)] {
        let op = Attention { causal, ..Attention::new(tokens, 64, 2) };
        cases.push(Case::new(op.clone(), 1, &[]));
        let op = Attention { has_lengths: true, ..op };
        cases.push(Case::new(op.clone(), 3, &lengths(tokens)[..3]));
        let op = Attention { causal: !causal, rotary: rotary(Pairs::Halves), ..op };
        cases.push(Case::new(op, 3, &lengths(tokens)[2..]));
    }
    let op = Attention { causal: true, scale: Some(0.5), ..Attention::new(130, 20, 1) };
    cases.push(Case::new(Attention { rotary: rotary(Pairs::Interleaved), ..op }, 1, &[]));
    cases.push(Case::new(Attention::new(9, 3, 3), 2, &[]));
    // More keys than a block of the CPU.
    cases.push(Case::new(Attention::new(300, 7, 1), 1, &[]));
    cases.push(Case::new(Attention { causal: true, ..Attention::new(17, 144, 1) }, 1, &[]));
    cases
}

#[test]
fn every_device_gives_what_the_definition_gives() {
    needs_gpu!();
    let gpus = gpus();
    for case in cases() {
        let expected = case.naive();
        // Sums of some hundred terms, in another order.
        let reference = difference(&case.on_cpu::<f64>(), &expected);
        assert!(reference <= 1e-13, "{:?}: {reference}", case.op);
        // A score of order one has an error of 1e-7, and so has each p, relative.
        let single = difference(&case.on_cpu::<f32>(), &expected);
        assert!(single <= 3e-6, "{:?}: {single}", case.op);
        // Shorter vectors are those of the examples.
        for gpu in gpus.iter().filter(|_| case.op.depth() >= 20) {
            let found = difference(&case.on_gpu(gpu), &expected);
            assert!(found <= 5e-6, "{:?} on {}: {found}", case.op, gpu.is_software());
        }
    }
}

#[test]
fn large_scores_give_no_nan() {
    needs_gpu!();
    let mut case = Case::new(Attention { causal: true, ..Attention::new(40, 64, 2) }, 2, &[]);
    for (row, token, third) in [0, 1]
        .into_iter()
        .flat_map(|row| (0..40).flat_map(move |token| [0, 1].map(|third| (row, token, third))))
    {
        for head in [0, 1] {
            for number in 0..32 {
                let place = case.place([row, token, third, head, number]);
                case.qkv[place] *= 150.0;
            }
        }
    }
    let expected = case.naive();
    let largest = |found: &Found| {
        let all = found.output.iter().chain(&found.gradient);
        all.fold(0.0, |most: f64, x| if x.is_nan() { f64::NAN } else { most.max(x.abs()) })
    };
    let [gpu, hardware] = gpus();
    let single = [case.on_cpu::<f32>(), case.on_gpu(&gpu), case.on_gpu(&hardware)];
    assert!(difference(&case.on_cpu::<f64>(), &expected) <= 1e-9);
    for found in single {
        assert!(largest(&found) <= 1.1 * largest(&expected), "{}", largest(&found));
    }
}

#[test]
fn nan_reaches_only_the_outputs_that_see_it() {
    needs_gpu!();
    let [gpu, hardware] = gpus();
    let op = Attention { causal: true, has_lengths: true, ..Attention::new(40, 64, 2) };
    let clean = Case::new(op, 2, &[35.0, 40.0]);
    // A query; a value in the middle; a key behind the length.
    let places = [[1, 3, 0, 1, 5], [1, 30, 2, 0, 7], [0, 36, 1, 1, 2]];
    for place in places {
        let mut case = clean.clone();
        case.qkv[clean.place(place)] = f64::NAN;
        let [row, token, third, head, number] = place;
        let sees_it = |index: usize| {
            let (of_row, t, h) = (index / (40 * 64), index / 64 % 40, index % 64 / 32);
            of_row == row
                && h == head
                && match third {
                    0 => t == token,
                    1 => false,
                    _ => t >= token && index % 32 == number,
                }
        };
        let all =
            [case.on_cpu::<f64>(), case.on_cpu::<f32>(), case.on_gpu(&gpu), case.on_gpu(&hardware)];
        for (device, found) in all.iter().enumerate() {
            for (index, y) in found.output.iter().enumerate() {
                assert_eq!(y.is_nan(), sees_it(index), "{place:?} on {device}: {index}");
            }
            // The gradient of another row is untouched, and NaN goes back where it came from.
            let of_row = found.gradient.len() / 2;
            let other = &found.gradient[(1 - row) * of_row..][..of_row];
            assert!(other.iter().all(|g| g.is_finite()), "{place:?} on {device}");
            if third == 0 {
                assert!(found.gradient[clean.place(place)].is_nan(), "{place:?} on {device}");
            }
        }
    }
}

#[test]
fn two_runs_and_any_number_of_threads_give_the_same_bits() {
    let op = Attention { causal: true, has_lengths: true, ..Attention::new(65, 64, 2) };
    let case = Case::new(op, 4, &[65.0, 12.0, 0.0, 40.0]);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| case.on_cpu::<f32>())
    };
    let one = with(1);
    assert!([1, 2, 3].into_iter().all(|threads| with(threads) == one));
    needs_gpu!();
    for gpu in gpus() {
        assert_eq!(case.on_gpu(&gpu), case.on_gpu(&gpu));
    }
}

#[test]
fn wrong_options_and_shapes_are_refused_by_name() {
    let new = Attention::new;
    let rotary = |base| Some(Rotary { base, pairs: Pairs::Halves });
    for (op, named) in [
        (new(0, 8, 2), "tokens"),
        (new(5, 8, 0), "heads"),
        (new(5, 8, 3), "divisor"),
        (Attention { scale: Some(f64::NAN), ..new(5, 8, 2) }, "scale"),
        (Attention { rotary: rotary(0.0), ..new(5, 8, 2) }, "base"),
        (Attention { rotary: rotary(10.0), ..new(5, 3, 1) }, "even"),
    ] {
        let error = op.output(&[&vec![5, 24]]).unwrap_err().to_string();
        assert!(error.contains("attention") && error.contains(named), "{error}");
    }
    let op = Attention { has_lengths: true, ..new(5, 8, 2) };
    let error = op.output(&[&vec![5, 24]]).unwrap_err().to_string();
    assert!(error.contains("lengths of shape [1]") && error.contains("[5, 24]"), "{error}");
    assert_eq!(op.output(&[&vec![5, 24], &vec![1]]).unwrap(), [5, 8]);
    assert!(op.output(&[&vec![5, 24], &vec![2]]).is_err());
    assert!(new(5, 8, 2).output(&[&vec![5, 24], &vec![1]]).is_err());
}

#[test]
fn too_many_tokens_for_a_software_adapter_are_refused() {
    needs_gpu!();
    let [gpu, _] = gpus();
    let case = Case::new(Attention::new(60_000, 1, 1), 1, &[]);
    let recorded =
        Recorder::commands_of(&gpu, |recorder| case.op.record(recorder, Pass::GradKey, 1, &[]));
    assert!(matches!(recorded, Err(Error::Shape { .. })), "{recorded:?}");
}

/// Checks a shader's members and their offsets.
fn check_layout(program: &crate::runtime::kernel::Program, expected: &[(&str, usize)]) {
    let module = wgsl::parse(&program.label, &program.header, &program.files).unwrap();
    let (_, members) = wgsl::struct_layout(&module.ir, "Params").expect("the shader has it");
    let expected: Vec<_> =
        expected.iter().map(|&(name, offset)| (name.to_string(), offset as u32)).collect();
    assert_eq!(members, expected, "fields of {}", program.label);
}

#[test]
fn the_uniforms_are_those_of_the_shaders() {
    let variant = Variant { depth: 32, lanes: 64, is_tiled: true, parts: 1 };
    check_layout(
        &variant.program(Pass::Forward),
        &[
            ("rows", offset_of!(Params, rows)),
            ("tokens", offset_of!(Params, tokens)),
            ("heads", offset_of!(Params, heads)),
            ("width", offset_of!(Params, width)),
            ("causal", offset_of!(Params, causal)),
            ("has_lengths", offset_of!(Params, has_lengths)),
            ("scale", offset_of!(Params, scale)),
        ],
    );
    check_layout(
        &super::gpu::rotate_program(64),
        &[
            ("pairs", offset_of!(RotateParams, pairs)),
            ("tokens", offset_of!(RotateParams, tokens)),
            ("width", offset_of!(RotateParams, width)),
            ("depth", offset_of!(RotateParams, depth)),
            ("distance", offset_of!(RotateParams, distance)),
            ("stride", offset_of!(RotateParams, stride)),
            ("sign", offset_of!(RotateParams, sign)),
        ],
    );
}

/// PyTorch 2.15 on two cores: forward 4.8 ms, forward and backward 16.6 ms.
#[test]
#[ignore = "measures: cargo test --release --lib attention::tests::speed -- --ignored --nocapture"]
fn speed() {
    let op = Attention { causal: true, ..Attention::new(256, 128, 4) };
    let case = Case::new(op, 16, &[]);
    let single = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let (qkv, mut grad_output) = (single(&case.qkv), single(&case.grad_output));
    let (mut output, mut saved) =
        (vec![0.0; grad_output.len()], vec![0.0; 16 * 256 * case.op.heads]);
    let mut gradient = vec![0.0; qkv.len()];
    let parameters = || Parameters { all: &[][..], ranges: &[], table: &[] };
    let (mut best_forward, mut best_both) = (f64::INFINITY, f64::INFINITY);
    rayon::scope(|_| {
        let op = f32::of(&case.op);
        for _ in 0..50 {
            let start = Instant::now();
            op.forward(Forward {
                rows: 16,
                inputs: &[&qkv],
                ids: &[],
                parameters: parameters(),
                output: &mut output,
                saved: &mut saved,
                statistics: Segments { all: &mut [], ranges: &[] },
                mode: Mode::default(),
            })
            .unwrap();
            let forward = start.elapsed().as_secs_f64();
            op.backward(Backward {
                rows: 16,
                inputs: &[&qkv],
                output: &output,
                saved: &saved,
                saved_of_input: &[],
                parameters: parameters(),
                grad_output: &mut grad_output,
                grad_inputs: &mut [Some(&mut gradient)],
                adds: false,
                grad_parameters: Segments { all: &mut [], ranges: &[] },
                accumulate: false,
                ids: &[],
                mode: Mode::default(),
            })
            .unwrap();
            best_forward = best_forward.min(forward);
            best_both = best_both.min(start.elapsed().as_secs_f64());
        }
    });
    println!("cpu: forward {:.2} ms, with backward {:.2} ms", 1e3 * best_forward, 1e3 * best_both);
    needs_gpu!();
    let gpu = Gpu::open().unwrap();
    let recorded = Recorded::new(&case, &gpu);
    let time = |commands: &[&crate::runtime::kernel::Command]| {
        let run = |_| {
            let start = Instant::now();
            gpu.submit(commands.iter().copied()).unwrap();
            let _: Vec<f32> = pollster::block_on(gpu.download(&recorded.output, 0, 4)).unwrap();
            1e3 * start.elapsed().as_secs_f64()
        };
        (0..8).map(run).fold(f64::INFINITY, f64::min)
    };
    let forward = time(&recorded.forward.iter().collect::<Vec<_>>());
    let both = time(&recorded.forward.iter().chain(&recorded.backward).collect::<Vec<_>>());
    println!("gpu: forward {forward:.2} ms, with backward {both:.2} ms");
}
