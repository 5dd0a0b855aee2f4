use std::time::Instant;

use crate::losses::CrossEntropy;
use crate::runtime::device::GpuOptions;
use crate::templates::linear::cpu::LinearTemplate;
use crate::templates::linear::gpu::*;
use crate::templates::multi_input::cpu::{Array, MultiInput, Units};
use crate::templates::multi_input::job::Bound;

const ROWS: usize = 512;
const FEATURES: usize = 256;
const CLASSES: usize = 32_768;

fn numbers(length: usize, seed: u64) -> Vec<f32> {
    let mut random = crate::cpu::random::Random::new(seed, 0);
    (0..length).map(|_| random.normal() as f32 / 8.0).collect()
}

fn labels() -> Vec<i32> {
    (0..ROWS).map(|row| (row * 7919 % CLASSES) as i32).collect()
}

/// Median over several runs of the time of the fused loss divided by that of the unfused loss. Both
/// are measured in each run.
fn ratio(mut seconds: impl FnMut(usize) -> f64, chunk: usize) -> f64 {
    seconds(chunk);
    seconds(ROWS);
    let mut ratios: Vec<(f64, f64, f64)> = (0..9)
        .map(|_| {
            let (fused, whole) = (seconds(chunk), seconds(ROWS));
            (fused / whole, fused, whole)
        })
        .collect();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (median, fused, whole) = ratios[ratios.len() / 2];
    println!(
        "chunks of {chunk}: {:.1} ms, three steps: {:.1} ms, {median:.2} times",
        1e3 * fused,
        1e3 * whole
    );
    median
}

#[test]
#[ignore = "a measurement: it wants the machine for itself"]
fn chunks_take_little_longer_than_products_and_loss_of_all_rows_at_once_on_the_gpu() {
    let gpu = Gpu::open_with(GpuOptions::default()).expect("a software adapter will do");
    let bound = |name, shape: &[usize], seed| Bound {
        name,
        shape: shape.to_vec(),
        buffer: gpu.upload(name, &numbers(shape.iter().product(), seed)).unwrap(),
    };
    let targets = Bound {
        name: "targets",
        shape: vec![ROWS],
        buffer: gpu.upload("labels", &labels()).unwrap(),
    };
    let job = MultiInputJob {
        arguments: vec![
            bound("predictions", &[ROWS, FEATURES], 1),
            bound("linear_weight", &[CLASSES, FEATURES], 2),
            targets,
        ],
        units: Units { shape: vec![ROWS], rows: ROWS },
        weights: None,
        upstreams: None,
        each: false,
        factor: 1.0 / ROWS as f32,
        upstream: 1.0,
    };
    let loss = CrossEntropy::new();
    let mut made: Vec<(usize, Vec<Command>)> = Vec::new();
    let mut seconds = |chunk: usize| {
        if !made.iter().any(|(rows, _)| *rows == chunk) {
            made.push((chunk, commands_in_chunks(&gpu, &loss, &job, chunk).unwrap().0));
        }
        let commands = &made.iter().find(|(rows, _)| *rows == chunk).expect("it was made").1;
        gpu.wait().unwrap();
        let start = Instant::now();
        gpu.submit(commands).unwrap();
        gpu.wait().unwrap();
        start.elapsed().as_secs_f64()
    };
    let chosen =
        chunk_rows(ROWS, CLASSES, MOST_BYTES.min(gpu.limits().max_storage_buffer_binding_size));
    for chunk in [64, 128] {
        ratio(&mut seconds, chunk);
    }
    assert!(ratio(&mut seconds, chosen) <= 1.3);
}

#[test]
#[ignore = "a measurement: it wants the machine for itself"]
fn chunks_take_little_longer_than_products_and_loss_of_all_rows_at_once_on_the_cpu() {
    let array = |name, shape: &[usize], seed| Array {
        name,
        shape: shape.to_vec(),
        values: numbers(shape.iter().product(), seed).into(),
    };
    let call = MultiInput {
        arrays: vec![
            array("predictions", &[ROWS, FEATURES], 1),
            array("linear_weight", &[CLASSES, FEATURES], 2),
        ],
        integers: vec![Array { name: "targets", shape: vec![ROWS], values: labels().into() }],
        units: ROWS,
        weight: Vec::new().into(),
        mask: Vec::new().into(),
        factor: 1.0 / ROWS as f32,
        upstream: 1.0,
        upstreams: Vec::new().into(),
    };
    let inner = CrossEntropy::new();
    let template = LinearTemplate { name: "linear_cross_entropy", inner: &inner };
    let mut gradients = vec![vec![0.0; ROWS * FEATURES], vec![0.0; CLASSES * FEATURES]];
    let mut values = vec![0.0; ROWS];
    let mut seconds = |chunk: usize| {
        let start = Instant::now();
        template.run_in_chunks(&call, chunk, &mut gradients, &mut values).unwrap();
        start.elapsed().as_secs_f64()
    };
    for chunk in [32, 128, 256] {
        ratio(&mut seconds, chunk);
    }
    assert!(
        ratio(
            &mut seconds,
            chunk_rows(ROWS, CLASSES, crate::templates::linear::cpu::MOST_BYTES_ON_CPU)
        ) <= 1.3
    );
}
