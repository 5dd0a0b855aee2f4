//! Attention token by token against attention over the whole sequence.

use std::mem::offset_of;
use std::slice;

use crate::GpuOptions;
use crate::cpu::random::Random;
use crate::nn::graph::op::{
    Forward, GpuForward, GpuMode, GpuParameters, GpuStatistics, Mode, Op, Operand, Parameters,
    Precision, Segments,
};
use crate::nn::ops::attention::decode::{
    AttentionDecoder, DecodeParams, THREADED_PRODUCTS, decode_program,
};
use crate::nn::ops::attention::{Attention, Pairs, Rotary};
use crate::runtime::device::Gpu;
use crate::runtime::device::test_adapter::needs_gpu;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl;

/// An op, the numbers of a sequence, and how many tokens are its prompt.
struct Case {
    op: Attention,
    qkv: Vec<f64>,
    prompt: usize,
}

fn real<R: Precision>(values: &[f64]) -> Vec<R> {
    values.iter().map(|&x| R::new(x)).collect()
}

impl Case {
    fn new(op: Attention, prompt: usize) -> Case {
        let mut random = Random::new(5, 3);
        let drawn = |_| f64::from((2.0 * random.uniform() - 1.0) as f32);
        let qkv = (0..op.tokens * 3 * op.width).map(drawn).collect();
        Case { op: Attention { causal: true, ..op }, qkv, prompt }
    }

    /// The passes: first tokens, and how many.
    fn passes(&self) -> impl Iterator<Item = [usize; 2]> {
        let others = (self.prompt..self.op.tokens).map(|place| [place, 1]);
        std::iter::once([0, self.prompt]).chain(others)
    }

    fn decoder(&self, tokens: usize) -> AttentionDecoder {
        AttentionDecoder::of(&self.op, tokens).unwrap()
    }

    fn forward<R: Precision>(
        op: &dyn Op,
        place: usize,
        qkv: &[R],
        cache: &mut [R],
        output: &mut [R],
    ) -> crate::Result<()> {
        let range = 0..cache.len();
        let mut saved = vec![R::NAN; op.saves(&[]).own];
        R::of(op).forward(Forward {
            rows: 1,
            inputs: &[qkv],
            ids: &[],
            parameters: Parameters { all: &[], ranges: &[], table: &[] },
            output,
            saved: &mut saved,
            statistics: Segments { all: cache, ranges: slice::from_ref(&range) },
            mode: Mode { place, ..Mode::default() },
        })
    }

    /// From a pass over all tokens.
    fn whole<R: Precision>(&self) -> Vec<f64> {
        let mut output = vec![R::NAN; self.op.tokens * self.op.width];
        Self::forward(&self.op, 0, &real::<R>(&self.qkv), &mut [], &mut output).unwrap();
        output.iter().map(|y| y.to_f64()).collect()
    }

    /// Token by token, with a cache that is NaN where nothing was kept.
    fn on_cpu<R: Precision>(&self) -> Vec<f64> {
        let (width, qkv) = (self.op.width, real::<R>(&self.qkv));
        let mut cache = vec![R::NAN; 2 * self.op.tokens * width];
        let mut output = vec![R::NAN; self.op.tokens * width];
        for [place, tokens] in self.passes() {
            let qkv = &qkv[place * 3 * width..][..tokens * 3 * width];
            let output = &mut output[place * width..][..tokens * width];
            Self::forward(&self.decoder(tokens), place, qkv, &mut cache, output).unwrap();
        }
        output.iter().map(|y| y.to_f64()).collect()
    }

    fn on_gpu(&self, gpu: &Gpu) -> Vec<f64> {
        let (width, qkv) = (self.op.width, real::<f32>(&self.qkv));
        let nan = |length: usize| gpu.upload("NaN", &vec![f32::NAN; length]).unwrap();
        let (cache, dummy) = (nan(2 * self.op.tokens * width), nan(4));
        let place = gpu.upload("a place", &[0_u32; 4]).unwrap();
        let (mut found, range) = (Vec::new(), 0..2 * self.op.tokens * width);
        for [first, tokens] in self.passes() {
            let [inputs, outputs] = [tokens * 3 * width, tokens * width];
            let input = gpu.upload("q, k and v", &qkv[first * 3 * width..][..inputs]).unwrap();
            let (output, saved) = (nan(outputs), nan(tokens * self.op.heads));
            let commands = Recorder::commands_of(gpu, |recorder| {
                let io = GpuForward {
                    rows: 1,
                    first_row: 0,
                    inputs: &[Operand { buffer: &input, width: inputs }],
                    parameters: GpuParameters {
                        all: &dummy,
                        gradients: &dummy,
                        ranges: &[],
                        table: None,
                    },
                    output: Operand { buffer: &output, width: outputs },
                    saved: &saved,
                    statistics: GpuStatistics { all: &cache, ranges: slice::from_ref(&range) },
                    mode: GpuMode {
                        training: false,
                        noise: &dummy,
                        node: 0,
                        place: Some(&place),
                        loss_scale: None,
                    },
                };
                self.decoder(tokens).forward_gpu(recorder, &io)
            });
            gpu.queue().write_buffer(&place, 0, bytemuck::bytes_of(&(first as u32)));
            gpu.submit(&commands.unwrap()).unwrap();
            let read: Vec<f32> = pollster::block_on(gpu.download(&output, 0, outputs)).unwrap();
            found.extend(read.into_iter().map(f64::from));
        }
        found
    }
}

/// The adapter with the kernels of each device class.
fn gpus() -> [Gpu; 2] {
    [false, true].map(|hardware_variants| {
        let options = GpuOptions { hardware_variants, ..GpuOptions::default() };
        Gpu::open_with(options.checked(true)).expect("these tests need an adapter")
    })
}

/// The largest difference; NaN if there is one.
fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected).map(|(f, e)| (f - e).abs());
    pairs.fold(0.0, |most, d| if d.is_nan() || d > most { d } else { most })
}

/// Tokens off the tiles of both device classes, vectors off the fours, every rotation.
fn cases() -> Vec<Case> {
    let rotary = |pairs| Some(Rotary { base: 50.0, pairs });
    vec![
        Case::new(Attention::new(70, 64, 2), 1),
        Case::new(Attention { rotary: rotary(Pairs::Halves), ..Attention::new(67, 40, 2) }, 5),
        Case::new(Attention { rotary: rotary(Pairs::Interleaved), ..Attention::new(9, 6, 1) }, 1),
        Case::new(Attention { scale: Some(-0.6), ..Attention::new(12, 9, 3) }, 12),
        Case::new(Attention::new(10, 144, 1), 9),
        Case::new(Attention::new(1, 2, 2), 1),
    ]
}

#[test]
fn token_by_token_is_what_the_whole_sequence_is() {
    for case in cases() {
        let expected = case.whole::<f64>();
        // Both are from the definition, in one order.
        assert_eq!(case.on_cpu::<f64>(), expected, "{:?}", case.op);
        // A score of order one has an error of 1e-7, and so has each p, relative.
        let single = difference(&case.on_cpu::<f32>(), &expected);
        assert!(single <= 3e-6, "{:?}: {single}", case.op);
    }
    needs_gpu!();
    let gpus = gpus();
    for case in cases() {
        let expected = case.whole::<f64>();
        for gpu in &gpus {
            let found = difference(&case.on_gpu(gpu), &expected);
            assert!(found <= 5e-6, "{:?} on {}: {found}", case.op, gpu.is_software());
        }
    }
}

#[test]
fn nan_reaches_only_the_outputs_that_see_it() {
    let (tokens, width, depth) = (20, 8, 4);
    // Of token 6 in head 1: number 5 of its query, its key, its value.
    let check = |third: usize, device: &str, run: &dyn Fn(&Case) -> Vec<f64>| {
        let mut case = Case::new(Attention::new(tokens, width, 2), 3);
        case.qkv[(3 * 6 + third) * width + 5] = f64::NAN;
        let sees_it = |token: usize, number: usize| match third {
            0 => token == 6 && number / depth == 1,
            1 => token >= 6 && number / depth == 1,
            _ => token >= 6 && number == 5,
        };
        for (index, y) in run(&case).into_iter().enumerate() {
            let (token, number) = (index / width, index % width);
            assert_eq!(y.is_nan(), sees_it(token, number), "{third} on {device}: {index}");
        }
    };
    for third in 0..3 {
        check(third, "reference", &Case::on_cpu::<f64>);
        check(third, "cpu", &Case::on_cpu::<f32>);
    }
    needs_gpu!();
    for gpu in gpus() {
        (0..3).for_each(|third| check(third, "gpu", &|case| case.on_gpu(&gpu)));
    }
}

#[test]
fn two_runs_and_any_number_of_threads_give_the_same_bits() {
    let case = Case::new(Attention::new(600, 256, 4), 590);
    // One thread would do for less.
    const { assert!(2 * 591 * 256 >= THREADED_PRODUCTS) };
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| case.on_cpu::<f32>())
    };
    let one = with(1);
    assert!([2, 3].into_iter().all(|threads| with(threads) == one));
    needs_gpu!();
    let case = Case::new(Attention::new(30, 32, 4), 7);
    for gpu in gpus() {
        assert_eq!(case.on_gpu(&gpu), case.on_gpu(&gpu));
    }
}

#[test]
fn what_cannot_be_decoded_and_places_out_of_order_are_refused() {
    let causal = Attention { causal: true, ..Attention::new(5, 8, 2) };
    assert!(AttentionDecoder::of(&Attention::new(5, 8, 2), 1).is_none());
    assert!(AttentionDecoder::of(&Attention { has_lengths: true, ..causal.clone() }, 1).is_none());
    assert!([0, 6].iter().all(|&tokens| AttentionDecoder::of(&causal, tokens).is_none()));
    for (tokens, place) in [(1, 5), (2, 1), (5, 1)] {
        let decoder = AttentionDecoder::of(&causal, tokens).unwrap();
        let (qkv, mut output) = (vec![0.0_f64; tokens * 24], vec![0.0; tokens * 8]);
        let found = Case::forward(&decoder, place, &qkv, &mut [0.0; 80], &mut output);
        let message = found.unwrap_err().to_string();
        assert!(message.contains(&format!("are {tokens} from place {place} on")), "{message}");
    }
    let decoder = AttentionDecoder::of(&causal, 1).unwrap();
    assert_eq!(decoder.output(&[&vec![1, 24]]).unwrap(), [1, 8]);
    assert!(decoder.output(&[&vec![5, 24]]).is_err());
}

#[test]
fn the_uniform_is_that_of_the_shader() {
    let program = decode_program(32, 64);
    let module = wgsl::parse(&program.label, &program.header, &program.files).unwrap();
    let expected = [
        ("tokens", offset_of!(DecodeParams, tokens)),
        ("heads", offset_of!(DecodeParams, heads)),
        ("width", offset_of!(DecodeParams, width)),
        ("context", offset_of!(DecodeParams, context)),
        ("keys", offset_of!(DecodeParams, keys)),
        ("values", offset_of!(DecodeParams, values)),
        ("rotates", offset_of!(DecodeParams, rotates)),
        ("distance", offset_of!(DecodeParams, distance)),
        ("stride", offset_of!(DecodeParams, stride)),
        ("scale", offset_of!(DecodeParams, scale)),
    ];
    let (_, members) = wgsl::struct_layout(&module.ir, "Params").expect("the shader has it");
    assert_eq!(members, expected.map(|(name, offset)| (name.to_string(), offset as u32)));
}
