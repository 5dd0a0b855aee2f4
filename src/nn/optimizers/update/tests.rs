//! Uniform layouts match the shaders, and clipping on the device matches the CPU.

use std::mem::offset_of;

use crate::Gpu;
use crate::nn::optimizers;
use crate::nn::optimizers::clip::Clip;
use crate::nn::optimizers::span::ParameterSpan;
use crate::nn::optimizers::step::GradientTransform;
use crate::nn::optimizers::update::job::{OptimizerParams, SPAN_WORDS, Update};
use crate::nn::optimizers::update::maker::{
    AverageParams, ClipParams, GlobalNorm, NormParams, clip,
};
use crate::nn::optimizers::update::per_tensor::CombineParams;
use crate::nn::optimizers::update::programs::{
    average_program, clip_program, combine_program, norm_program, optimizer_program,
};
use crate::nn::optimizers::update::*;
use crate::runtime::device::GpuOptions;
use crate::runtime::kernel::Program;
use crate::runtime::wgsl;

/// Compares the shader's members and their offsets; the size is that of the Rust struct, which may
/// end in padding.
fn asks(program: &Program, own: usize, expected: &[(&str, usize)]) {
    let module = wgsl::parse(&program.label, &program.header, &program.files).unwrap();
    let (size, members) = wgsl::struct_layout(&module.ir, "Params").expect("the shader has it");
    assert_eq!((size as usize).next_multiple_of(16), own, "size of {}", program.label);
    let expected: Vec<_> =
        expected.iter().map(|&(name, offset)| (name.to_string(), offset as u32)).collect();
    assert_eq!(members, expected, "fields of {}", program.label);
}

#[test]
fn the_optimizers_uniform_is_the_shaders() {
    let adam = optimizers::from_name("adam", &serde_json::Value::Null).unwrap();
    asks(
        &optimizer_program(&*adam, &GradientTransform::default()),
        size_of::<OptimizerParams>(),
        &[
            ("length", offset_of!(OptimizerParams, length)),
            ("spans", offset_of!(OptimizerParams, spans)),
            ("limit", offset_of!(OptimizerParams, limit)),
            ("reserved", offset_of!(OptimizerParams, reserved)),
            ("step", offset_of!(OptimizerParams, step)),
        ],
    );
}

#[test]
fn the_clips_uniforms_are_the_shaders() {
    asks(
        &norm_program(8),
        size_of::<NormParams>(),
        &[
            ("length", offset_of!(NormParams, length)),
            ("spans", offset_of!(NormParams, spans)),
            ("block", offset_of!(NormParams, block)),
            ("reserved", offset_of!(NormParams, reserved)),
        ],
    );
    asks(
        &clip_program(8),
        size_of::<ClipParams>(),
        &[
            ("length", offset_of!(ClipParams, length)),
            ("limit", offset_of!(ClipParams, limit)),
            ("epsilon", offset_of!(ClipParams, epsilon)),
            ("reserved", offset_of!(ClipParams, reserved)),
        ],
    );
    asks(
        &combine_program(false),
        size_of::<CombineParams>(),
        &[
            ("length", offset_of!(CombineParams, length)),
            ("offset", offset_of!(CombineParams, offset)),
            ("a", offset_of!(CombineParams, factors)),
            ("b", offset_of!(CombineParams, factors) + 4),
        ],
    );
    asks(
        &average_program(&GradientTransform::default()),
        size_of::<AverageParams>(),
        &[
            ("length", offset_of!(AverageParams, length)),
            ("weight", offset_of!(AverageParams, weight)),
        ],
    );
}

/// The clipping factor computed on the device.
fn factor_on(
    gpu: &Gpu,
    limit: f64,
    spans: &[ParameterSpan],
    parameters: &[f32],
    gradients: &[f32],
) -> f32 {
    counted_factor_on(
        gpu,
        limit,
        spans,
        [parameters, gradients],
        &gpu.buffer("counted", 4).unwrap(),
    )
}

fn counted_factor_on(
    gpu: &Gpu,
    limit: f64,
    spans: &[ParameterSpan],
    values: [&[f32]; 2],
    not_finite: &wgpu::Buffer,
) -> f32 {
    let words = span_words(spans);
    let table =
        gpu.upload("spans", if words.is_empty() { &[0; SPAN_WORDS] } else { &words[..] }).unwrap();
    let [w, g] = values.map(|values| gpu.upload("values", values).unwrap());
    let factor = gpu.buffer("factor", 4).unwrap();
    let norm = GlobalNorm {
        limit,
        epsilon: 1e-6,
        length: values[1].len(),
        spans: spans.len(),
        table: &table,
        parameters: &w,
        gradients: &g,
        factor: &factor,
        not_finite,
    };
    let commands = clip(gpu, &norm).unwrap();
    gpu.submit(&commands).unwrap();
    pollster::block_on(gpu.download(&factor, 0, 1)).unwrap()[0]
}

#[test]
fn the_devices_clip_is_the_hosts() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open_with(GpuOptions::default())
        .expect("these tests need an adapter, a software one will do");
    let penalized = [
        ParameterSpan { end: 3, l1: 0.3, l2: 0.2, ..ParameterSpan::default() },
        ParameterSpan { end: 30_000, ..ParameterSpan::default() },
    ];
    for length in [1, 7, 4096, 4097, 30_000] {
        let gradients: Vec<f32> =
            (0..length).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
        let parameters: Vec<f32> = (0..length).map(|i| ((i * 13 % 7) as f32 - 3.0) / 3.0).collect();
        let spans = if length == 30_000 { &penalized[..] } else { &[] };
        let expected = optimizers::clip_factor(0.5, spans, &parameters, &gradients);
        let found = f64::from(factor_on(&gpu, 0.5, spans, &parameters, &gradients));
        // A thread sums up to 512 squares, followed by two tree reductions: each sum rounds by half
        // an ulp of a growing total, so the square is off by at most 540/2 ulps and its root by
        // half of that.
        assert!(
            (found - expected).abs() <= 135.0 * 1.2e-7 * expected,
            "{length}: {found} instead of {expected}"
        );
    }
}

#[test]
fn a_norm_beyond_the_squares_of_f32_still_clips_and_one_that_is_not_finite_gives_nan() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open_with(GpuOptions::default())
        .expect("these tests need an adapter, a software one will do");
    let found = factor_on(&gpu, 1.0, &[], &[0.0; 2], &[3e30, 4e30]);
    assert!((found * 5e30 - 1.0).abs() <= 1e-6, "{found}");
    assert_eq!(factor_on(&gpu, 1.0, &[], &[0.0; 2], &[1e-30, 0.0]), 1.0);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let found = factor_on(&gpu, 1.0, &[], &[0.0; 3], &[1.0, bad, 2.0]);
        assert!(found.is_nan(), "{bad}: {found}");
    }
}

#[test]
fn each_norm_that_is_not_finite_is_counted_and_no_other() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open_with(GpuOptions::default()).unwrap();
    let counter = gpu.buffer("counted", 4).unwrap();
    for (gradient, expected) in
        [(f32::NAN, 1), (2.0, 1), (f32::INFINITY, 2), (0.0, 2), (f32::NAN, 3), (1e30, 3)]
    {
        counted_factor_on(&gpu, 1.0, &[], [&[0.5; 2], &[1.0, gradient]], &counter);
        let counted: Vec<u32> = pollster::block_on(gpu.download(&counter, 0, 1)).unwrap();
        assert_eq!(counted[0], expected, "{gradient}");
    }
}

/// Parameters after one step of gradient descent at rate 1, on the device and on the CPU.
fn moved(
    gpu: &Gpu,
    gradient_transform: GradientTransform,
    parameters: &[f32],
    gradients: &[f32],
) -> [Vec<f32>; 2] {
    let optimizer = optimizers::from_name("sgd", &serde_json::Value::Null).unwrap();
    let (optimizer, length) = (&*optimizer, parameters.len());
    let [w, g] = [parameters, gradients].map(|values| gpu.upload("values", values).unwrap());
    let step = optimizer.step(1, 1.0);
    let update = Update { optimizer, length, gradient_transform, average: None };
    Runner::new(gpu, &update, &w, &g).unwrap().run(&step).unwrap();
    let mut on_host = parameters.to_vec();
    optimizer
        .update_transformed(&step, &gradient_transform, &mut on_host, gradients, &mut [])
        .unwrap();
    [pollster::block_on(gpu.download(&w, 0, length)).unwrap(), on_host]
}

#[test]
fn neither_a_clip_nor_a_proximal_step_hides_a_gradient_that_is_nan() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open_with(GpuOptions::default()).unwrap();
    let drawn = |proximal| [ParameterSpan { end: 4, proximal, ..ParameterSpan::default() }];
    let (plain, proximal) = (drawn(0.0), drawn(0.25));
    let parameters = [0.5, -0.5, 3.0, 0.0];
    for clip in [None, Some(Clip::Value(0.125))] {
        for spans in [&[][..], &plain, &proximal] {
            let gradient_transform = GradientTransform { spans, clip, skip_non_finite: false };
            for nan in [f32::NAN, -f32::NAN] {
                for found in moved(&gpu, gradient_transform, &parameters, &[nan, 0.0625, 1.0, nan])
                {
                    let is_nan: Vec<bool> = found.iter().map(|w| w.is_nan()).collect();
                    assert_eq!(
                        is_nan,
                        [true, false, false, true],
                        "{gradient_transform:?}: {found:?}"
                    );
                }
            }
            let [found, expected] =
                moved(&gpu, gradient_transform, &parameters, &[1.0, 0.0625, -1.0, f32::INFINITY]);
            assert_eq!(found, expected, "{gradient_transform:?}");
        }
    }
}

/// A matrix at twice the rate, a frozen vector, and a vector and padding without weight decay.
fn grouped() -> [ParameterSpan; 3] {
    [
        ParameterSpan { end: 12, columns: 4, rate: 2.0, ..ParameterSpan::default() },
        ParameterSpan { end: 17, rate: 0.0, l2: 0.1, ..ParameterSpan::default() },
        ParameterSpan { end: 24, padding: 2, decays: false, ..ParameterSpan::default() },
    ]
}

/// Numbers without a pattern in [-1, 1].
fn scattered(length: usize, seed: usize) -> Vec<f32> {
    (0..length).map(|i| ((i * 37 + seed * 11) % 41) as f32 / 20.0 - 1.0).collect()
}

#[test]
fn every_optimizer_leaves_frozen_spans_and_its_devices_agree_on_groups() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open_with(GpuOptions::default()).unwrap();
    let (spans, length) = (grouped(), 24);
    let mut parameters = scattered(length, 1);
    parameters[22..].fill(0.0);
    let clips = [None, Some(Clip::GlobalNorm { limit: 0.5, epsilon: 1e-6 }), Some(Clip::Norm(0.5))];
    for entry in optimizers::CATALOGUE {
        let options = serde_json::json!({"weight_decay": 0.1});
        let has_decay = entry.options.iter().any(|option| option.name == "weight_decay");
        let options = if has_decay { options } else { serde_json::Value::Null };
        let optimizer = optimizers::from_name(entry.name, &options).unwrap();
        for clip in clips {
            let gradient_transform =
                GradientTransform { spans: &spans, clip, skip_non_finite: false };
            let update =
                Update { optimizer: &*optimizer, length, gradient_transform, average: None };
            let gradients = gpu.upload("gradients", &vec![0.0_f32; length]).unwrap();
            let w = gpu.upload("values", &parameters).unwrap();
            let runner = Runner::new(&gpu, &update, &w, &gradients).unwrap();
            let mut host: Vec<f64> = parameters.iter().map(|&w| f64::from(w)).collect();
            let mut states = optimizer.first_states(length);
            for t in 1..=3 {
                let mut gradient = scattered(length, 2 + t);
                // A frozen gradient is not read.
                gradient[14] = f32::INFINITY;
                gradient[22..].fill(0.0);
                gpu.queue().write_buffer(&gradients, 0, bytemuck::cast_slice(&gradient));
                let step = optimizer.step(t as u64, 0.01);
                runner.run(&step).unwrap();
                let gradient: Vec<f64> = gradient.iter().map(|&g| f64::from(g)).collect();
                let found = optimizer.update_transformed(
                    &step,
                    &gradient_transform,
                    &mut host,
                    &gradient,
                    &mut states,
                );
                assert!(found.unwrap());
            }
            let found: Vec<f32> = pollster::block_on(gpu.download(&w, 0, length)).unwrap();
            let name = format!("{} {clip:?}", entry.name);
            assert_eq!(found[12..17], parameters[12..17], "{name}");
            assert_ne!(found[..12], parameters[..12], "{name}");
            assert_ne!(found[17..22], parameters[17..22], "{name}");
            for (place, state) in states.iter().enumerate() {
                let first = optimizer.initial_states()[place];
                assert!(state[12..17].iter().all(|&kept| kept == first), "{name}: {state:?}");
                let on_device = runner.state(place).unwrap();
                let is_first = |&kept: &f32| kept == first as f32;
                assert!(on_device[12..17].iter().all(is_first), "{name}: {on_device:?}");
            }
            // Three steps of some ten roundings each, of numbers below 2; Newton-Schulz multiplies
            // those of a matrix by up to 3.4 in each of its five iterations.
            let tolerance = if entry.name == "muon" { 1e-4 } else { 1e-5 };
            for (place, (&found, &expected)) in found.iter().zip(&host).enumerate() {
                let off = (f64::from(found) - expected).abs();
                assert!(off < tolerance, "{name}: {found} instead of {expected} at {place}");
            }
        }
    }
}

#[test]
fn a_group_without_decay_has_the_bits_of_a_rule_without_it() {
    let options = serde_json::json!({"weight_decay": 0.1});
    let adamw = optimizers::from_name("adamw", &options).unwrap();
    let without = adamw.without_decay().unwrap().unwrap();
    assert_eq!(without.options()["weight_decay"], 0.0);
    assert!(without.without_decay().unwrap().is_none());
    let spans = [
        ParameterSpan { end: 3, ..ParameterSpan::default() },
        ParameterSpan { end: 6, decays: false, ..ParameterSpan::default() },
    ];
    let run = |optimizer: &dyn optimizers::Optimizer, spans: &[ParameterSpan], gradient: f32| {
        let (mut parameters, gradients) = (scattered(6, 1), vec![gradient; 6]);
        let mut states = optimizer.first_states(6);
        let step = optimizer.step(1, 0.01);
        optimizer.update(&step, spans, &mut parameters, &gradients, &mut states).unwrap();
        (parameters, states)
    };
    let (mixed, states) = run(&*adamw, &spans, 0.25);
    let [all, none] = [&*adamw, &*without].map(|optimizer| run(optimizer, &[], 0.25));
    assert_eq!((&mixed[..3], &mixed[3..]), (&all.0[..3], &none.0[3..]));
    assert_eq!(states, all.1);
    // With a gradient of 0 only what decays moves.
    let (moved, start) = (run(&*adamw, &spans, 0.0).0, scattered(6, 1));
    assert_eq!(moved[3..], start[3..]);
    assert!(moved[..3].iter().zip(&start).all(|(moved, start)| moved.abs() < start.abs()));
}
