//! Training on lists: batches of items grouped by query, on the host and on the device.

use crate::support::each_device;
use gradus::activations::Tanh;
use gradus::losses::{self, LambdaRank, ListNet, Loss, LossDefinition, Mse, PairwiseLogistic};
use gradus::optimizers::{Adam, GradientDescent, Sgd};
use gradus::random::Random;
use gradus::{
    Criterion, Dense, Device, Fit, Inputs, Member, Model, Population, Sequential, Targets, metrics,
};
use ndarray::{Array1, Array2, s};
use serde_json::Value;

const FEATURES: usize = 4;

/// Queries of 1 to 9 documents whose grade is determined by two of their features.
struct Queries {
    features: Array2<f32>,
    relevance: Array1<f32>,
    groups: Vec<usize>,
}

impl Queries {
    fn new(queries: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let groups: Vec<usize> =
            (0..queries).map(|_| 1 + (random.next_u32() % 9) as usize).collect();
        let features =
            Array2::from_shape_fn((groups.iter().sum(), FEATURES), |_| random.normal() as f32);
        let grade = |row: ndarray::ArrayView1<f32>| (row[0] - row[1] + 1.5).clamp(0.0, 4.0).round();
        let mut relevance: Array1<f32> = features.rows().into_iter().map(grade).collect();
        // A masked item: alone in its list, and among others.
        relevance[groups[0]] = -1.0;
        Queries { features, relevance, groups }
    }

    fn targets(&self) -> Targets<'_> {
        Targets::grouped(&self.relevance, &self.groups)
    }

    /// The queries with the given numbers, in that order.
    fn choose(&self, queries: &[usize]) -> Self {
        let start = |query: usize| self.groups[..query].iter().sum::<usize>();
        let rows: Vec<usize> =
            queries.iter().flat_map(|&q| start(q)..start(q) + self.groups[q]).collect();
        Queries {
            features: self.features.select(ndarray::Axis(0), &rows),
            relevance: self.relevance.select(ndarray::Axis(0), &rows),
            groups: queries.iter().map(|&q| self.groups[q]).collect(),
        }
    }

    /// Numbers per item as [queries, longest], `padding` behind the shorter lists.
    fn padded(&self, of: &[f32], padding: f32) -> Array2<f32> {
        let longest = self.groups.iter().max().copied().unwrap_or(0);
        let mut padded = Array2::from_elem((self.groups.len(), longest), padding);
        let mut start = 0;
        for (mut row, &size) in padded.rows_mut().into_iter().zip(&self.groups) {
            (0..size).for_each(|item| row[item] = of[start + item]);
            start += size;
        }
        padded
    }

    /// Value and gradient for each item's score, from the criterion over the padded array in f64.
    fn value_and_gradient(&self, loss: &str, scores: &[f32]) -> (f64, Vec<f64>) {
        let criterion = Criterion::from_boxed(
            losses::from_name(loss, &Value::Null).unwrap(),
            &Device::reference(),
        )
        .unwrap();
        let (scores, truths) =
            (self.padded(scores, 0.0), self.padded(&self.relevance.to_vec(), -1.0));
        let found = criterion.evaluate_f64(&Inputs::new(&scores, &truths)).unwrap();
        let rows = found.gradient.outer_iter().zip(&self.groups);
        (
            found.value(),
            rows.flat_map(|(row, &size)| row.iter().take(size).copied().collect::<Vec<_>>())
                .collect(),
        )
    }
}

fn lists() -> Vec<&'static str> {
    let all = losses::CATALOGUE.iter().map(|entry| (entry.make)(&Value::Null).unwrap());
    all.filter(|loss| loss.targets().pads()).map(|loss| loss.name()).collect()
}

fn ranker(device: &Device, loss: &str) -> Model {
    let description =
        Sequential::new(FEATURES).then(Dense::new(6).activation(Tanh)).then(Dense::new(1));
    let loss = losses::from_name(loss, &Value::Null).unwrap();
    description
        .on(device)
        .unwrap()
        .compile_boxed(loss, Box::new(Adam::new().learning_rate(0.01)))
        .unwrap()
}

fn bits(model: &Model) -> Vec<u64> {
    let layers = model.weights().unwrap();
    layers
        .iter()
        .flat_map(|(w, b)| w.iter().chain(b).map(|x| x.to_bits()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_step_is_the_features_times_the_gradient_of_the_padded_criterion() {
    let queries = Queries::new(7, 5);
    for device in each_device() {
        for name in lists() {
            let loss = losses::from_name(name, &Value::Null).unwrap();
            let description = Sequential::new(FEATURES).then(Dense::new(1).bias(false));
            let mut model = description.on(&device).unwrap();
            model = model.compile_boxed(loss, Box::new(Sgd::new().learning_rate(0.5))).unwrap();
            let before = model.weights().unwrap()[0].0.clone();
            let scores = model.predict(&queries.features).unwrap().into_raw_vec_and_offset().0;
            let (value, gradient) = queries.value_and_gradient(name, &scores);
            let fit = Fit::new().batch_size(7).shuffle(false);
            let history = model.fit(&queries.features, queries.targets(), fit).unwrap();
            // f32 scores and sums of some forty terms: 40 · 6e-8 of the largest, plus exp and log
            // of the device.
            let close = |e: f64, f: f64, scale: f64| (e - f).abs() <= 2e-5 * scale;
            assert!(
                close(value, history.steps[0], value.abs().max(1e-3)),
                "{name}: {} not {value}",
                history.steps[0]
            );
            let after = &model.weights().unwrap()[0].0;
            for k in 0..FEATURES {
                let terms: Vec<f64> = gradient
                    .iter()
                    .zip(queries.features.column(k))
                    .map(|(g, &x)| g * f64::from(x))
                    .collect();
                let (sum, scale) =
                    (terms.iter().sum::<f64>(), terms.iter().map(|term| term.abs()).sum::<f64>());
                let moved = (before[[k, 0]] - after[[k, 0]]) / 0.5;
                // The weights themselves are rounded at 6e-8 before and after: 2.4e-7 after the
                // division by 0.5.
                assert!(
                    close(sum, moved, scale.max(0.05)),
                    "{name} on {}: {moved} not {sum}",
                    device.name()
                );
            }
        }
    }
}

#[test]
fn every_loss_of_lists_trains_alike_on_every_device() {
    let queries = Queries::new(40, 1);
    for name in lists() {
        let steps = |device: &Device| {
            let fit = Fit::new().epochs(4).batch_size(8);
            ranker(device, name).fit(&queries.features, queries.targets(), fit).unwrap().steps
        };
        let expected = steps(&Device::reference());
        assert_eq!(expected.len(), 20, "{name}");
        for device in each_device() {
            for (step, (e, f)) in expected.iter().zip(steps(&device)).enumerate() {
                // As in tests/training/stories.rs: rounding at 6e-8, amplified by some hundred in
                // twenty steps of Adam.
                assert!(
                    (e - f).abs() <= 1e-4 * e.abs().max(0.1),
                    "{name} on {}, step {step}: {f} not {e}",
                    device.name()
                );
            }
        }
    }
}

#[test]
fn training_orders_the_items_and_gives_the_same_bits_twice_and_after_a_rest() {
    let (queries, fresh) = (Queries::new(60, 2), Queries::new(30, 3));
    for device in each_device() {
        let train = |epochs: &[usize]| {
            let mut model = ranker(&device, "lambda_rank");
            for &epochs in epochs {
                model
                    .fit(
                        &queries.features,
                        queries.targets(),
                        Fit::new().epochs(epochs).batch_size(8),
                    )
                    .unwrap();
            }
            model
        };
        let mut model = train(&[12]);
        assert_eq!(bits(&model), bits(&train(&[12])), "{}", device.name());
        assert_eq!(bits(&model), bits(&train(&[5, 7])), "{}", device.name());
        let ndcg = |model: &mut Model| {
            let scores = model.predict(&fresh.features).unwrap().into_raw_vec_and_offset().0;
            let relevance = fresh.relevance.to_vec();
            metrics::ndcg(&scores, &relevance, &fresh.groups, 5, metrics::NoneRelevant::One)
                .unwrap()
        };
        let (untrained, trained) = (ndcg(&mut ranker(&device, "lambda_rank")), ndcg(&mut model));
        assert!(
            trained > 0.97 && trained > untrained,
            "{}: {untrained} and then {trained}",
            device.name()
        );
    }
}

#[test]
fn evaluate_is_the_criterions_mean_over_all_lists_however_many_there_are() {
    // 2,048 items are scored at a time, in lists of up to nine: nine batches in total.
    let queries = Queries::new(2000, 4);
    for device in each_device() {
        for name in ["lambda_rank", "pairwise_logistic", "list_net"] {
            let mut model = ranker(&device, name);
            let scores = model.predict(&queries.features).unwrap().into_raw_vec_and_offset().0;
            let (expected, _) = queries.value_and_gradient(name, &scores);
            let found = model.evaluate(&queries.features, queries.targets()).unwrap();
            assert_eq!(found.accuracy, None);
            assert!(
                (found.loss - expected).abs() <= 2e-5 * expected,
                "{name}: {} not {expected}",
                found.loss
            );
        }
    }
}

#[test]
fn the_last_queries_are_held_back_and_whole_batches_are_one_mean() {
    let queries = Queries::new(20, 6);
    let (training, validation) =
        (queries.choose(&(0..15).collect::<Vec<_>>()), queries.choose(&[15, 16, 17, 18, 19]));
    for device in each_device() {
        for name in ["list_net", "pairwise_logistic"] {
            let split = Fit::new().epochs(3).batch_size(4).validation_split(0.25);
            let given = Fit::new().epochs(3).batch_size(4);
            let given = given.validation_data(&validation.features, validation.targets());
            let mut first = ranker(&device, name);
            let one = first.fit(&queries.features, queries.targets(), split).unwrap();
            let other =
                ranker(&device, name).fit(&training.features, training.targets(), given).unwrap();
            let losses = |history: &gradus::History| history.columns().remove(1).1;
            assert_eq!(losses(&one), losses(&other), "{name} on {}", device.name());
            let score = first.evaluate(&validation.features, validation.targets()).unwrap();
            assert_eq!(one.epochs[2].val_loss, Some(score.loss));

            // One update from micro-batches of four queries equals that from all at once.
            let whole = |batch_size: usize| {
                let loss = losses::from_name(name, &Value::Null).unwrap();
                let description = Sequential::new(FEATURES).then(Dense::new(1));
                let optimizer = Box::new(GradientDescent::new().learning_rate(0.1));
                let mut model =
                    description.on(&device).unwrap().compile_boxed(loss, optimizer).unwrap();
                let fit = Fit::new().epochs(2).batch_size(batch_size);
                model.fit(&queries.features, queries.targets(), fit).unwrap().steps
            };
            for (piecewise, at_once) in whole(4).into_iter().zip(whole(20)) {
                assert!(
                    (piecewise - at_once).abs() <= 1e-5 * at_once,
                    "{name}: {piecewise} not {at_once}"
                );
            }
        }
    }
}

#[test]
fn a_batch_without_a_pair_moves_nothing() {
    let features = Array2::from_shape_fn((5, FEATURES), |(i, j)| (i + j) as f32);
    let (relevance, groups) = (Array1::from(vec![1.0, 1.0, 0.0, -1.0, -1.0]), [2, 1, 2]);
    for device in each_device() {
        for loss in ["pairwise_logistic", "lambda_rank"] {
            let mut model = ranker(&device, loss);
            let before = bits(&model);
            let targets = Targets::grouped(&relevance, &groups);
            let history = model.fit(&features, targets, Fit::new().batch_size(3)).unwrap();
            assert_eq!((history.steps[0], history.stopped), (0.0, None), "{loss}");
            assert_eq!(bits(&model), before, "{loss} on {}", device.name());
        }
    }
}

#[test]
fn features_beyond_a_binding_come_in_parts() {
    let Some(device) = crate::support::gpu() else { return };
    let Device::Gpu(gpu) = &device else { return };
    // 150 MiB of features, above the 128 MiB of one binding on software Vulkan.
    let (queries, width) = (Queries::new(200, 8), 40_000);
    let rows = queries.features.nrows();
    if (4 * rows * width) as u64 <= gpu.limits().max_storage_buffer_binding_size {
        println!(
            "IGNORED: one binding takes {} bytes",
            gpu.limits().max_storage_buffer_binding_size
        );
        return;
    }
    let features =
        Array2::from_shape_fn((rows, width), |(row, k)| queries.features[[row, k % FEATURES]]);
    let score = |device: &Device| {
        let mut model = Sequential::new(width).then(Dense::new(1)).on(device).unwrap();
        model = model.compile(ListNet::new(), Sgd::new().learning_rate(1e-5)).unwrap();
        model.fit(&features, queries.targets(), Fit::new().batch_size(40)).unwrap().steps
    };
    for (e, f) in score(&Device::cpu()).into_iter().zip(score(&device)) {
        // Scores are sums of 40,000 terms, summed in another order: √40,000 · 6e-8 of their size.
        assert!((e - f).abs() <= 5e-5 * e, "{f} not {e}");
    }
}

#[test]
fn members_of_a_population_learn_to_rank_as_they_would_alone() {
    let queries = Queries::new(24, 9);
    for device in each_device() {
        let description = Sequential::new(FEATURES).then(Dense::new(1));
        let members = [3, 4].map(|seed| Member::new().seed(seed));
        let mut population = Population::new(description.clone(), members, &device)
            .unwrap()
            .compile(LambdaRank::new(), Adam::new())
            .unwrap();
        let fit = Fit::new().epochs(2).batch_size(8);
        let histories = population.fit(&queries.features, queries.targets(), fit.clone()).unwrap();
        for (seed, history) in [3, 4].into_iter().zip(histories) {
            let alone = description.clone().seed(seed).on(&device).unwrap();
            let mut alone = alone.compile(LambdaRank::new(), Adam::new()).unwrap();
            let expected = alone.fit(&queries.features, queries.targets(), fit.clone()).unwrap();
            assert_eq!(history.steps, expected.steps, "{}", device.name());
        }
    }
}

#[test]
fn targets_that_are_no_lists_of_the_rows_are_named() {
    let queries = Queries::new(3, 1);
    let device = Device::cpu();
    let rows = queries.features.nrows();
    let with = |loss: Box<dyn LossDefinition>, outputs: usize, targets: Targets| {
        let description = Sequential::new(FEATURES).then(Dense::new(outputs));
        let mut model =
            description.on(&device).unwrap().compile_boxed(loss, Box::new(Adam::new())).unwrap();
        model.fit(&queries.features, targets, Fit::new()).unwrap_err().to_string()
    };
    let says = |message: String, words: &str| assert!(message.contains(words), "{message}");
    let list = || Box::new(ListNet::new());
    says(
        with(list(), 1, Targets::from(&queries.relevance)),
        "list_net: targets are no lists; it takes the relevance",
    );
    says(
        with(Box::new(Mse::new()), 1, queries.targets()),
        "mse: targets are in lists; it is no loss of lists",
    );
    says(with(list(), 2, queries.targets()), "the model has 2 outputs; list_net takes one");
    let one_less = Targets::grouped(&queries.relevance, &queries.groups[1..]);
    says(
        with(list(), 1, one_less),
        &format!("but features have {rows} rows; the groups must be all rows"),
    );
    let with_empty = [&queries.groups[..], &[0]].concat();
    says(with(list(), 1, Targets::grouped(&queries.relevance, &with_empty)), "group 3 has 0 items");
    let short = queries.relevance.slice(s![1..]).to_owned();
    says(
        with(list(), 1, Targets::grouped(&short, &queries.groups)),
        &format!("relevance must be [{rows}]"),
    );
    let mut damaged = queries.relevance.clone();
    damaged[2] = f32::NAN;
    says(
        with(list(), 1, Targets::grouped(&damaged, &queries.groups)),
        "relevance holds NaN at row 2",
    );
    damaged[2] = 101.0;
    says(
        with(Box::new(LambdaRank::new()), 1, Targets::grouped(&damaged, &queries.groups)),
        "they must be up to 100",
    );
    let criterion = PairwiseLogistic::new().on(&device).unwrap();
    let message = criterion
        .value_and_gradient(&queries.relevance, queries.targets())
        .unwrap_err()
        .to_string();
    says(message, "pairwise_logistic: targets are in lists; a criterion takes an array");
}
