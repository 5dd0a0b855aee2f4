//! Integration tests of optimizers: each trains on every device, alone and in populations;
//! schedules, clips, skips, averages and penalties follow their documentation.

use crate::support::each_device;
use gradus::activations::Relu;
use gradus::losses::{CrossEntropy, Mse};
use gradus::optimizers::{self, Adam, GradientTransform, Lamb, ParameterSpan, Sgd};
use gradus::random::Random;
use gradus::schedules::{Constant, Cosine, Exponential, Join, ReduceOnPlateau, Step, Warmup};
use gradus::{Average, Dense, Device, Fit, Member, Model, Population, Sequential, Stop};
use ndarray::{Array1, Array2, array};
use serde_json::{Value, json};

/// Points in three clouds: features [rows, 5] and labels.
fn clouds(rows: usize, seed: u64) -> (Array2<f32>, Array1<i64>) {
    let mut random = Random::new(seed, 0);
    let labels = Array1::from_shape_fn(rows, |row| (row % 3) as i64);
    let features = Array2::from_shape_fn((rows, 5), |(row, k)| {
        let centre = if k == labels[row] as usize { 2.0 } else { 0.0 };
        (centre + 0.5 * random.normal()) as f32
    });
    (features, labels)
}

fn described() -> Sequential {
    Sequential::new(5).then(Dense::new(16).activation(Relu)).then(Dense::new(3))
}

fn bits(model: &Model) -> Vec<u64> {
    let layers = model.weights().unwrap();
    layers
        .iter()
        .flat_map(|(w, b)| w.iter().chain(b).map(|x| x.to_bits()).collect::<Vec<_>>())
        .collect()
}

/// A learning rate with which the optimizer makes progress in some fifty steps.
fn rate(name: &str) -> f64 {
    match name {
        "adadelta" => 20.0,
        "gradient_descent" | "sgd" | "schedule_free_sgd" | "adagrad" | "muon" => 0.1,
        "adafactor" => 0.3,
        "lion" => 0.01,
        _ => 0.03,
    }
}

#[test]
fn every_optimizer_trains_alike_on_every_device_alone_and_in_a_population() {
    let (x, y) = clouds(192, 1);
    for entry in optimizers::CATALOGUE {
        let options = json!({ "learning_rate": rate(entry.name) });
        let epochs = if entry.name == "gradient_descent" { 60 } else { 10 };
        let fit = || Fit::new().epochs(epochs).batch_size(32);
        let train = |device: &Device| {
            let optimizer = optimizers::from_name(entry.name, &options).unwrap();
            let mut model = described()
                .on(device)
                .unwrap()
                .compile_boxed(Box::new(CrossEntropy::new()), optimizer)
                .unwrap();
            (model.fit(&x, &y, fit()).unwrap().steps, model.evaluate(&x, &y).unwrap())
        };
        let (expected, score) = train(&Device::reference());
        assert!(
            score.loss < 0.6 * expected[0],
            "{}: {} behind {}",
            entry.name,
            score.loss,
            expected[0]
        );
        for device in each_device() {
            let (steps, score) = train(&device);
            for (step, (e, f)) in expected.iter().zip(&steps).enumerate() {
                // As in the first hundred steps of training: at least an order of magnitude below
                // the error of a wrong rule. Lion steps by signs, and a number that rounds to the
                // other side of 0 changes a step by 2 lr.
                let room = if entry.name == "lion" { 1e-2 } else { 1e-3 };
                assert!(
                    (e - f).abs() <= room * e.abs(),
                    "{}: {}: step {step}: {f}, not {e}",
                    device.describe(),
                    entry.name
                );
            }
            let members = [Member::new(), Member::new().seed(3)];
            let mut population = Population::new(described(), members, &device)
                .unwrap()
                .compile_boxed(
                    Box::new(CrossEntropy::new()),
                    optimizers::from_name(entry.name, &options).unwrap(),
                )
                .unwrap();
            population.fit(&x, &y, fit()).unwrap();
            let found = population.evaluate(&x, &y).unwrap()[0];
            assert!(
                (found.loss - score.loss).abs() <= 1e-2 * score.loss,
                "{}: {}: {found:?} {score:?}",
                device.describe(),
                entry.name
            );
        }
    }
}

#[test]
#[cfg(feature = "data")]
fn every_optimizer_learns_digits_on_every_device() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits/digits.csv.gz");
    let digits =
        gradus::data::read(path, &gradus::data::ReadOptions::default().target("64")).unwrap().train;
    let x = digits.features.slice(ndarray::s![..1024, ..]).mapv(|shade| shade / 16.0);
    let y = digits.labels().unwrap().slice(ndarray::s![..1024]).to_owned();
    for entry in optimizers::CATALOGUE {
        let options = json!({ "learning_rate": if entry.name == "lion" { 1e-3 } else { rate(entry.name).min(1.0) / 10.0 } });
        for device in each_device() {
            if device.name() == "reference" {
                continue;
            }
            let layers =
                Sequential::new(64).then(Dense::new(16).activation(Relu)).then(Dense::new(10));
            let optimizer = optimizers::from_name(entry.name, &options).unwrap();
            let mut model = layers
                .on(&device)
                .unwrap()
                .compile_boxed(Box::new(CrossEntropy::new()), optimizer)
                .unwrap();
            let history = model.fit(&x, &y, Fit::new().epochs(4).batch_size(64)).unwrap();
            let (first, last) = (history.steps[0], history.epochs[3].loss);
            assert!(last < first, "{}: {}: {last} behind {first}", device.describe(), entry.name);
        }
    }
}

#[test]
fn a_schedule_goes_through_a_saved_model_with_the_same_bits() {
    let (x, y) = clouds(96, 2);
    let folder = tempfile::tempdir().unwrap();
    let fit = |epochs| {
        let schedule = Join::new(Warmup::new().peak(0.05).warmup_steps(5_u64))
            .then(5, Cosine::new().learning_rate(0.05).steps(10_u64));
        Fit::new().epochs(epochs).batch_size(32).schedule(schedule).average(Average::new(0.9))
    };
    for device in each_device() {
        let new =
            || described().on(&device).unwrap().compile(CrossEntropy::new(), Adam::new()).unwrap();
        let mut whole = new();
        let history = whole.fit(&x, &y, fit(5)).unwrap();
        let rates: Vec<f64> =
            history.epochs.iter().map(|epoch| epoch.learning_rate.unwrap()).collect();
        // Steps 2, 5, 8, 11, 14: two fifths of the warm-up, then at positions 0, 3, 6, 9 of a
        // cosine from 0.05 to 0 in ten steps.
        let wave = |step: f64| 0.025 * (1.0 + (std::f64::consts::PI * step / 10.0).cos());
        for (found, expected) in
            rates.iter().zip([0.02, wave(0.0), wave(3.0), wave(6.0), wave(9.0)])
        {
            assert!((found - expected).abs() < 1e-15, "{rates:?}");
        }
        let path = folder.path().join(device.name());
        new().fit(&x, &y, fit(2).checkpoint(&path)).unwrap();
        let mut resumed = Model::load(&path, &device).unwrap();
        assert_eq!(resumed.schedule().unwrap().0.name(), "join");
        resumed.fit(&x, &y, fit(3)).unwrap();
        assert_eq!(bits(&whole), bits(&resumed), "{}", device.describe());
        assert_eq!(
            bits(&whole.averaged().unwrap()),
            bits(&resumed.averaged().unwrap()),
            "{}",
            device.describe()
        );
    }
}

#[test]
fn a_plateau_sees_the_validation_loss_of_each_epoch_and_members_each_their_own() {
    let (x, y) = clouds(60, 3);
    let wrong = y.mapv(|label| (label + 1) % 3);
    // The validation loss rises with each epoch: the rate drops after the second epoch without
    // improvement.
    let schedule = ReduceOnPlateau::new().learning_rate(0.01).factor(0.5).patience(1_u32);
    let fit = || Fit::new().epochs(6).validation_data(&x, &wrong).schedule(schedule.clone());
    for device in each_device() {
        let mut model =
            described().on(&device).unwrap().compile(CrossEntropy::new(), Adam::new()).unwrap();
        let history = model.fit(&x, &y, fit()).unwrap();
        let rates: Vec<f64> =
            history.epochs.iter().map(|epoch| epoch.learning_rate.unwrap()).collect();
        assert_eq!(
            rates,
            [0.01, 0.01, 0.01, 0.005, 0.005, 0.0025],
            "{}: {history:?}",
            device.describe()
        );
        let mut population =
            Population::new(described(), [Member::new(), Member::new().seed(9)], &device)
                .unwrap()
                .compile(CrossEntropy::new(), Adam::new())
                .unwrap();
        let histories = population.fit(&x, &y, fit()).unwrap();
        assert_eq!(histories[0].epochs[5].learning_rate, Some(0.0025), "{}", device.describe());
    }
}

#[test]
fn a_schedule_by_epoch_counts_epochs() {
    let (x, y) = clouds(60, 4);
    let mut model =
        described().on(&Device::cpu()).unwrap().compile(CrossEntropy::new(), Sgd::new()).unwrap();
    let schedule = Step::new().learning_rate(0.5).every(2_u64).factor(0.5);
    let history =
        model.fit(&x, &y, Fit::new().epochs(4).batch_size(7).schedule_by_epoch(schedule)).unwrap();
    let rates: Vec<f64> = history.epochs.iter().map(|epoch| epoch.learning_rate.unwrap()).collect();
    assert_eq!(rates, [0.5, 0.5, 0.25, 0.25]);
    let refused = model
        .fit(&x, &y, Fit::new().learning_rate(0.1).schedule(Exponential::new()))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("left out beside a schedule"), "{refused}");
}

/// Rows of one feature with w·x near 1e38 have an infinite loss: their gradient is not finite.
fn with_a_bad_row() -> (Array2<f32>, Array2<f32>) {
    let x = array![[1.0], [2.0], [3.0], [3e38]];
    let y = array![[2.0], [4.0], [6.0], [-3e38]];
    (x, y)
}

#[test]
fn a_step_that_is_not_finite_is_skipped_and_counted_or_ends_the_training() {
    let (x, y) = with_a_bad_row();
    for device in each_device() {
        if device.name() == "reference" {
            continue; // f64 holds the squares of f32.
        }
        let new = || {
            Sequential::new(1)
                .then(Dense::new(1))
                .on(&device)
                .unwrap()
                .compile(Mse::new(), Adam::new().learning_rate(0.1))
                .unwrap()
        };
        let fit = || Fit::new().epochs(3).batch_size(1);
        let mut model = new();
        let history = model.fit(&x, &y, fit().skip_non_finite(true)).unwrap();
        let skipped: Vec<usize> = history.epochs.iter().map(|epoch| epoch.skipped).collect();
        assert_eq!(skipped, [1, 1, 1], "{}: {:?}", device.describe(), history.stopped);
        assert!(history.epochs.iter().all(|epoch| epoch.loss.is_finite()), "{}", device.describe());
        assert!(model.weights().unwrap()[0].0[[0, 0]].is_finite());
        let stopped = new().fit(&x, &y, fit()).unwrap().stopped;
        assert!(
            matches!(stopped, Some(Stop::NotFinite { .. })),
            "{}: {stopped:?}",
            device.describe()
        );
        let mut population = Population::new(
            Sequential::new(1).then(Dense::new(1)),
            [Member::new(), Member::new()],
            &device,
        )
        .unwrap()
        .compile(Mse::new(), Adam::new().learning_rate(0.1))
        .unwrap();
        for history in population.fit(&x, &y, fit().skip_non_finite(true)).unwrap() {
            assert_eq!(history.epochs[2].skipped, 1, "{}", device.describe());
        }
    }
}

#[test]
fn a_rule_over_tensors_skips_too() {
    let (x, y) = with_a_bad_row();
    for device in each_device() {
        for name in ["lamb", "adafactor", "muon"] {
            if device.name() == "reference" {
                continue;
            }
            let optimizer = optimizers::from_name(name, &json!({ "learning_rate": 0.1 })).unwrap();
            let mut model = Sequential::new(1)
                .then(Dense::new(1))
                .on(&device)
                .unwrap()
                .compile_boxed(Box::new(Mse::new()), optimizer)
                .unwrap();
            let history = model
                .fit(&x, &y, Fit::new().epochs(2).batch_size(1).skip_non_finite(true))
                .unwrap();
            assert!(
                history.stopped.is_none() && history.epochs[1].skipped == 1,
                "{} {name}: {history:?}",
                device.describe()
            );
        }
    }
}

#[test]
fn clips_by_value_and_by_tensor_are_the_rules_of_the_book() {
    // One row (3, 4), target 20, prediction p = w·x + b: dL/dw = 2(p − 20)(3, 4), dL/db = 2(p −
    // 20).
    let (x, y) = (array![[3.0, 4.0]], array![[20.0]]);
    for device in each_device() {
        let step = |fit: Fit| {
            let mut model = Sequential::new(2)
                .then(Dense::new(1))
                .on(&device)
                .unwrap()
                .compile(Mse::new(), Sgd::new().learning_rate(0.1))
                .unwrap();
            let before = model.weights().unwrap().remove(0);
            model.fit(&x, &y, fit).unwrap();
            let after = model.weights().unwrap().remove(0);
            [
                before.0[[0, 0]] - after.0[[0, 0]],
                before.0[[1, 0]] - after.0[[1, 0]],
                before.1[0] - after.1[0],
            ]
        };
        let close = |found: [f64; 3], expected: [f64; 3]| {
            found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= 2e-7)
        };
        let by_value = step(Fit::new().clip_value(0.25));
        assert!(close(by_value, [-0.025, -0.025, -0.025]), "{}: {by_value:?}", device.describe());
        let by_tensor = step(Fit::new().clip_tensor_norm(0.5));
        assert!(close(by_tensor, [-0.03, -0.04, -0.05]), "{}: {by_tensor:?}", device.describe());
    }
    let mut model =
        described().on(&Device::cpu()).unwrap().compile(CrossEntropy::new(), Sgd::new()).unwrap();
    let (x, y) = clouds(9, 5);
    let refused =
        model.fit(&x, &y, Fit::new().clip_norm(1.0).clip_value(1.0)).unwrap_err().to_string();
    assert!(refused.contains("one clip at a time"), "{refused}");
}

#[test]
fn members_of_a_population_clip_by_tensor_as_alone() {
    let (x, y) = clouds(96, 6);
    let fit = || {
        Fit::new()
            .epochs(3)
            .batch_size(32)
            .clip_tensor_norm(0.1)
            .average(Average::new(0.5).debias(true))
    };
    for device in each_device() {
        let mut alone = described()
            .on(&device)
            .unwrap()
            .compile(CrossEntropy::new(), Sgd::new().learning_rate(0.5))
            .unwrap();
        alone.fit(&x, &y, fit()).unwrap();
        let mut population =
            Population::new(described(), [Member::new(), Member::new().seed(2)], &device)
                .unwrap()
                .compile(CrossEntropy::new(), Sgd::new().learning_rate(0.5))
                .unwrap();
        population.fit(&x, &y, fit()).unwrap();
        let member = population.member(0).unwrap();
        assert_eq!(bits(&alone), bits(&member), "{}", device.describe());
        assert_eq!(
            bits(&alone.averaged().unwrap()),
            bits(&member.averaged().unwrap()),
            "{}",
            device.describe()
        );
    }
}

#[test]
fn an_average_is_the_sum_of_the_book_with_and_without_debias() {
    // One weight, no bias, one row x = 1, y = 0: w ← w (1 − 2 lr), each time by 0.8.
    let (x, y) = (array![[1.0]], array![[0.0]]);
    for device in each_device() {
        for debias in [false, true] {
            let layer = Dense::new(1).bias(false);
            let mut model = Sequential::new(1)
                .then(layer)
                .on(&device)
                .unwrap()
                .compile(Mse::new(), Sgd::new().learning_rate(0.1))
                .unwrap();
            let mut w = model.weights().unwrap()[0].0[[0, 0]];
            let mut average = if debias { 0.0 } else { w };
            assert!(model.averaged().is_err());
            model
                .fit(&x, &y, Fit::new().epochs(4).average(Average::new(0.75).debias(debias)))
                .unwrap();
            for _ in 0..4 {
                w *= 0.8;
                average = 0.75 * average + 0.25 * w;
            }
            if debias {
                average /= 1.0 - 0.75_f64.powi(4);
            }
            let found = model.averaged().unwrap().weights().unwrap()[0].0[[0, 0]];
            assert!(
                (found - average).abs() <= 1e-6 * average.abs(),
                "{}: {found}, not {average}",
                device.describe()
            );
            assert!(model.keeps_average());
            model.fit(&x, &y, Fit::new()).unwrap();
            assert!(!model.keeps_average(), "a training without it lets it go");
        }
    }
}

#[test]
fn a_population_averages_side_by_side() {
    let (x, y) = clouds(96, 7);
    let fit = || Fit::new().epochs(3).batch_size(32).average(Average::new(0.8));
    for device in each_device() {
        let mut alone =
            described().on(&device).unwrap().compile(CrossEntropy::new(), Adam::new()).unwrap();
        alone.fit(&x, &y, fit()).unwrap();
        // Members whose options need different numbers of states.
        let members =
            [Member::new(), Member::new().optimizer("amsgrad", true), Member::new().seed(2)];
        let mut population = Population::new(described(), members, &device)
            .unwrap()
            .compile(CrossEntropy::new(), Adam::new())
            .unwrap();
        population.fit(&x, &y, fit()).unwrap();
        let found = population.member(0).unwrap().averaged().unwrap().evaluate(&x, &y).unwrap();
        let expected = alone.averaged().unwrap().evaluate(&x, &y).unwrap();
        assert!(
            (found.loss - expected.loss).abs() <= 1e-4 * expected.loss,
            "{}: {found:?} {expected:?}",
            device.describe()
        );
    }
}

#[test]
fn the_proximal_step_leaves_exact_zeros_and_spares_the_bias() {
    let (x, y) = clouds(96, 8);
    for device in each_device() {
        let zeros = |description: Sequential| {
            let mut model = description
                .then(Dense::new(3))
                .on(&device)
                .unwrap()
                .compile(CrossEntropy::new(), Sgd::new().learning_rate(0.1))
                .unwrap();
            model.fit(&x, &y, Fit::new().epochs(40).batch_size(32)).unwrap();
            let (w, b) = model.weights().unwrap().remove(0);
            assert!(b.iter().all(|b| *b != 0.0));
            w.iter().filter(|w| **w == 0.0).count()
        };
        assert_eq!(zeros(Sequential::new(5).l1(0.05)), 0, "{}", device.describe());
        assert!(zeros(Sequential::new(5).proximal_l1(0.05)) >= 3, "{}", device.describe());
    }
}

#[test]
fn an_elastic_net_is_both_penalties() {
    let (x, y) = clouds(48, 9);
    let train = |description: Sequential| {
        let mut model = description
            .then(Dense::new(3))
            .on(&Device::cpu())
            .unwrap()
            .compile(CrossEntropy::new(), Sgd::new())
            .unwrap();
        model.fit(&x, &y, Fit::new()).unwrap();
        bits(&model)
    };
    let both = train(Sequential::new(5).l1(0.025).l2(0.075));
    assert_eq!(train(Sequential::new(5).elastic_net(0.1, 0.25)), both);
    assert_ne!(train(Sequential::new(5)), both);
}

#[test]
fn a_schedule_free_model_predicts_with_its_mean() {
    let (x, y) = clouds(192, 10);
    for device in each_device() {
        let optimizer =
            optimizers::from_name("schedule_free_adamw", &json!({ "learning_rate": 0.02 }))
                .unwrap();
        let mut model = described()
            .on(&device)
            .unwrap()
            .compile_boxed(Box::new(CrossEntropy::new()), optimizer)
            .unwrap();
        model.fit(&x, &y, Fit::new().epochs(10)).unwrap();
        let score = model.averaged().unwrap().evaluate(&x, &y).unwrap();
        assert!(
            score.accuracy.unwrap() > 0.95 && score.loss < 0.3,
            "{}: {score:?}",
            device.describe()
        );
    }
}

/// Extreme numbers, by every rule on the host in f32.
#[test]
fn gradients_at_the_edges_of_f32_do_no_harm() {
    for entry in optimizers::CATALOGUE {
        let optimizer = optimizers::from_name(entry.name, &Value::Null).unwrap();
        for (what, gradient) in
            [("zero", 0.0_f32), ("denormal", 1e-40), ("large", 1e15), ("small", 1e-20)]
        {
            for length in [1, 4] {
                let mut states = optimizer.first_states::<f32>(length);
                let mut parameters = vec![0.5_f32; length];
                let spans = [ParameterSpan {
                    end: length,
                    columns: if length == 4 { 2 } else { 0 },
                    ..ParameterSpan::default()
                }];
                for t in 1..=3 {
                    let step = optimizer.step(t, 1e-3);
                    optimizer
                        .update(
                            &step,
                            &spans,
                            &mut parameters,
                            &vec![gradient; length],
                            &mut states,
                        )
                        .unwrap();
                }
                // Plain gradient descent takes the full step, and RAdam's first steps are plain.
                let is_plain =
                    ["sgd", "gradient_descent", "schedule_free_sgd", "radam"].contains(&entry.name);
                let bound = if is_plain && gradient > 1.0 { f32::INFINITY } else { 1.0 };
                assert!(
                    parameters.iter().all(|w| w.abs() < bound),
                    "{} {what}: {parameters:?}",
                    entry.name
                );
                if gradient == 0.0 && entry.name != "yogi" {
                    // Only decay changes it, and Yogi, whose mean does not start at 0.
                    assert!(
                        parameters.iter().all(|w| (w - 0.5).abs() < 1e-3),
                        "{}: {parameters:?}",
                        entry.name
                    );
                }
            }
        }
    }
}

#[test]
fn nan_spoils_the_parameter_or_is_skipped() {
    for entry in optimizers::CATALOGUE {
        let optimizer = optimizers::from_name(entry.name, &Value::Null).unwrap();
        let spans = [ParameterSpan { end: 4, columns: 2, ..ParameterSpan::default() }];
        for skip_non_finite in [false, true] {
            let gradient_transform =
                GradientTransform { spans: &spans, clip: None, skip_non_finite };
            let (mut parameters, mut states) = (vec![0.5_f32; 4], optimizer.first_states::<f32>(4));
            let gradients = [0.1, f32::NAN, 0.1, 0.1];
            let step = optimizer.step(1, 1e-3);
            let moved = optimizer
                .update_transformed(
                    &step,
                    &gradient_transform,
                    &mut parameters,
                    &gradients,
                    &mut states,
                )
                .unwrap();
            assert_eq!(moved, !skip_non_finite);
            assert_eq!(parameters[1].is_nan(), moved, "{}", entry.name);
            if !moved {
                assert_eq!(
                    (parameters, states),
                    (vec![0.5; 4], optimizer.first_states(4)),
                    "{}",
                    entry.name
                );
            }
        }
    }
}

#[test]
fn a_constant_schedule_gives_the_bits_of_its_rate() {
    let (x, y) = clouds(48, 11);
    for device in each_device() {
        let run = |fit: Fit| {
            let mut model =
                described().on(&device).unwrap().compile(CrossEntropy::new(), Lamb::new()).unwrap();
            model.fit(&x, &y, fit).unwrap();
            bits(&model)
        };
        assert_eq!(
            run(Fit::new().schedule(Constant::new().learning_rate(0.02))),
            run(Fit::new().learning_rate(0.02))
        );
    }
}
