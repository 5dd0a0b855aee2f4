//! Each launch config of the kernel, hardware's too, against the f64 engine.

use ndarray::Array2;

use crate::cpu::random::{Permutation, Random};
use crate::losses::{CrossEntropy, Mse};
use crate::nn::activations::{Relu, Softmax};
use crate::nn::optimizers::{Adam, Clip};
use crate::nn::train::engine::{Engine, Metric, SampleTargets, Samples, StepOptions};
use crate::nn::train::features::FlatView;
use crate::nn::train::gpu::whole::*;
use crate::nn::train::host::CpuEngine;
use crate::nn::train::weights::Weights;
use crate::{Dense, Sequential};

const ROWS: usize = 90;

/// Losses of the steps and the final parameters, by the kernel's launch config and by the f64
/// engine.
fn train(
    launch_config: LaunchConfig,
    piece_rows: usize,
    by_label: bool,
) -> [(Vec<Outcome>, Vec<f64>); 2] {
    let gpu = Gpu::open_with(crate::GpuOptions::default())
        .expect("these tests need an adapter, a software one will do");
    let last = if by_label { Dense::new(6) } else { Dense::new(6).activation(Softmax) };
    let description = Sequential::new(21).l2(1e-3).then(Dense::new(18).activation(Relu)).then(last);
    let graph = description.graph().unwrap();
    let start = graph.initial_parameters(3);
    let mut random = Random::new(9, 0);
    let features = Array2::from_shape_fn((ROWS, 21), |_| random.normal() as f32);
    let labels: Vec<i32> =
        (0..ROWS).map(|row| (features[[row, 0]] > 0.0) as i32 + 2 * (row as i32 % 3)).collect();
    let dense: Vec<f32> = labels
        .iter()
        .flat_map(|&label| (0..6).map(move |k| f32::from(u8::from(k == label))))
        .collect();
    let training_spec = TrainingSpec {
        chunked_head: false,
        loss: if by_label { Arc::new(CrossEntropy::new()) } else { Arc::new(Mse::new()) },
        optimizer: Arc::new(Adam::new().learning_rate(0.01)),
        metric: Some(Metric { threshold: 0.5, truth_threshold: 0.5 }),
        step_options: StepOptions {
            clip: Some(Clip::GlobalNorm { limit: 0.3, epsilon: 1e-6 }),
            ..StepOptions::default()
        },
    };
    let order = Some(Permutation::new(ROWS as u32, 5, 0));
    let batches: Vec<Batch> = (0..40)
        .map(|step| Batch {
            start: step % 3 * 33,
            noise: [0; 4],
            rows: if step % 3 == 2 { 24 } else { 33 },
            order,
            divisor_rows: None,
            accumulate: false,
            update: Some(training_spec.optimizer.step(step as u64 + 1, 0.01)),
        })
        .collect();

    let mut host = CpuEngine::<f64>::new(graph.clone());
    host.set_parameters(&start).unwrap();
    host.set_states(&training_spec.optimizer.first_states(graph.length)).unwrap();
    let targets =
        if by_label { SampleTargets::Labels(&labels) } else { SampleTargets::Dense(&dense) };
    let flat = features.as_slice().unwrap();
    let weights = Weights::default();
    let data = host
        .load(&Samples {
            rows: ROWS,
            features: FlatView::Numbers(flat),
            targets,
            has_ignored: false,
            lists: None,
            weights,
        })
        .unwrap();
    let expected = host.train(data, &training_spec, &batches).unwrap();

    let upload = |values: &[f64]| {
        let values: Vec<f32> = values.iter().map(|&x| x as f32).chain([0.0; MARGIN]).collect();
        gpu.upload("parameters", &values).unwrap()
    };
    let states = vec![0.0; 2 * crate::nn::optimizers::update::job::state_stride(graph.length)];
    let (parameters, states) = (upload(&start), upload(&states));
    let features = gpu.upload("features", flat).unwrap();
    let targets = if by_label {
        gpu.upload("labels", &labels).unwrap()
    } else {
        gpu.upload("targets", &dense).unwrap()
    };
    let mut whole =
        SmallModels::with_launch_config(&gpu, &graph.as_dense_chain().unwrap(), launch_config);
    whole.piece_rows = whole.piece_rows.min(piece_rows);
    let held = Held { parameters: &parameters, states: &states };
    let rows =
        RowsOnDevice { features: &features, targets: &targets, labels: by_label, ignored: &[] };
    let found = whole
        .train(held, rows, &[training_spec], &[MemberBatches { member: 0, batches }])
        .unwrap()
        .remove(0);
    let behind: Vec<f32> = pollster::block_on(gpu.download(&parameters, 0, graph.length)).unwrap();
    [(expected, host.parameters().unwrap()), (found, behind.into_iter().map(f64::from).collect())]
}

#[test]
fn every_form_of_the_kernel_trains_as_the_reference_does() {
    crate::runtime::device::test_adapter::needs_gpu!();
    for launch_config in [
        LaunchConfig { lanes: 8, rows_per_thread: 4 },
        LaunchConfig { lanes: 64, rows_per_thread: 1 },
        LaunchConfig { lanes: 256, rows_per_thread: 1 },
    ] {
        for (piece_rows, by_label) in [(1024, true), (1024, false), (16, true)] {
            let [(expected, parameters), (found, behind)] =
                train(launch_config, piece_rows, by_label);
            let name = format!("{launch_config:?}, pieces of {piece_rows}");
            assert_eq!(expected.len(), found.len(), "{name}");
            for (step, (e, f)) in expected.iter().zip(&found).enumerate() {
                // As in tests/training/stories.rs: f32 rounds to 6e-8, and forty steps of Adam amplify
                // that some hundredfold.
                assert!(
                    (e.loss - f.loss).abs() <= 1e-4 * e.loss,
                    "{name}, step {step}: {f:?}, not {e:?}"
                );
                assert!(
                    (e.correct - f.correct).abs() <= 1.0,
                    "{name}, step {step}: {f:?}, not {e:?}"
                );
            }
            for (i, (e, f)) in parameters.iter().zip(&behind).enumerate() {
                // A step of Adam has the length of the rate for any gradient: one that is all
                // rounding may go either way, 0.01 each time. Here no parameter deviates by more
                // than a hundredth of the length of forty steps.
                assert!((e - f).abs() <= 0.004, "{name}, parameter {i}: {f}, not {e}");
            }
        }
    }
}

#[test]
fn no_dispatch_on_a_software_adapter_takes_more_turns_of_loops_than_it_may() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let description = Sequential::new(30).then(Dense::new(64)).then(Dense::new(16));
    let chain = description
        .then(Dense::new(10).activation(Softmax))
        .graph()
        .unwrap()
        .as_dense_chain()
        .unwrap();
    let launch_config = LaunchConfig { lanes: 8, rows_per_thread: 4 };
    assert!(launch_config.loop_iterations(&chain, 4) < MAX_LOOP_ITERATIONS);
    assert!(
        launch_config.loop_iterations(&chain, 1024) > launch_config.loop_iterations(&chain, 512)
    );
    let gpu = Gpu::open_with(crate::GpuOptions::default())
        .expect("these tests need an adapter, a software one will do");
    let whole = SmallModels::with_launch_config(&gpu, &chain, launch_config);
    if gpu.is_software() {
        assert!(launch_config.loop_iterations(&chain, whole.piece_rows) <= MAX_LOOP_ITERATIONS);
    }
}
