//! State beside the weights: the results of a training that stops, skips, restores or accumulates
//! micro-batches, computed by hand and compared with models that never did.

use crate::support::each_device;
use gradus::activations::Relu;
use gradus::losses::{BceWithLogits, CrossEntropy, LambdaRank, Mse};
use gradus::optimizers::{Adam, GradientDescent, Optimizer, Sgd};
use gradus::random::Random;
use gradus::{
    Average, Dense, Device, EarlyStopping, Fit, Initializer, Model, Sequential, Stop, Targets,
};
use ndarray::{Array1, Array2, array};

/// Rows of five numbers and their sum, which a linear model fits.
fn sums(rows: usize) -> (Array2<f32>, Array2<f32>) {
    let mut random = Random::new(31, 0);
    let x = Array2::from_shape_simple_fn((rows, 5), || random.normal() as f32);
    let y = Array2::from_shape_fn((rows, 1), |(row, _)| x.row(row).sum());
    (x, y)
}

fn bits(model: &Model) -> Vec<u64> {
    let layers = model.weights().unwrap();
    layers
        .iter()
        .flat_map(|(w, b)| w.iter().chain(b).map(|x| x.to_bits()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn an_epoch_that_was_not_finite_is_as_if_it_had_never_been() {
    let (x, y) = sums(64);
    let fit = || Fit::new().epochs(2).batch_size(4);
    for device in each_device() {
        let new = || {
            let description =
                Sequential::new(5).then(Dense::new(8).activation(Relu)).then(Dense::new(1));
            description
                .on(&device)
                .unwrap()
                .compile(Mse::new(), Adam::new().learning_rate(0.01))
                .unwrap()
        };
        let (mut stopped, mut expected) = (new(), new());
        stopped.fit(&x, &y, fit()).unwrap();
        expected.fit(&x, &y, fit()).unwrap();
        // Overflows f64 within the epoch, for any normalization of the update rule.
        let wild = stopped.fit(&x, &y, fit().learning_rate(1e300)).unwrap();
        assert!(
            matches!(wild.stopped, Some(Stop::NotFinite { epoch: 1, .. })),
            "{}: {wild:?}",
            device.describe()
        );
        assert!(wild.epochs.is_empty());
        assert_eq!((stopped.steps(), expected.steps()), (32, 32), "{}", device.describe());
        // The next epoch depends on the epoch number (the order of the rows) and the step number
        // (Adam's correction).
        let [one, other] =
            [&mut stopped, &mut expected].map(|model| model.fit(&x, &y, fit()).unwrap().steps);
        assert_eq!(one, other, "{}", device.describe());
        assert_eq!(bits(&stopped), bits(&expected), "{}", device.describe());
    }
}

/// The last step leaves weights that are finite and a loss that is not, which no further step meets.
#[test]
fn what_the_last_step_has_done_is_noticed() {
    let (x, y) = sums(64);
    for device in each_device() {
        let rate = if matches!(device, Device::Reference) { 1e200 } else { 1e25 };
        // A small dense network, whose steps a GPU may run in one kernel, and a wider one.
        for (units, rows) in [(8, 64), (300, 32)] {
            let layers = Sequential::new(5).then(Dense::new(units)).then(Dense::new(1));
            let mut model = layers.on(&device).unwrap().compile(Mse::new(), Sgd::new()).unwrap();
            let before = bits(&model);
            let fit = || Fit::new().batch_size(rows).learning_rate(1e-9).steps(1);
            let few =
                (x.slice(ndarray::s![..rows, ..]), y.slice(ndarray::s![..rows, ..]).to_owned());
            let history = model.fit(&few.0, &few.1, fit().learning_rate(rate)).unwrap();
            let batch = matches!(history.stopped, Some(Stop::NotFinite { epoch: 1, batch: 1, .. }));
            assert!(batch, "{}: {:?}", device.describe(), history.stopped);
            let stop = history.stopped.unwrap().to_string();
            assert!(stop.contains("update made it so"), "{stop}");
            assert_eq!((bits(&model), model.steps()), (before, 0), "{}", device.describe());
            // An ordinary step is none of it, and one that is watched by validation shows it.
            assert_eq!(model.fit(&few.0, &few.1, fit()).unwrap().stopped, None);
            let watched = fit().learning_rate(rate).validation_split(0.5);
            let history = model.fit(&few.0, &few.1, watched).unwrap();
            let loss = history.epochs.last().and_then(|epoch| epoch.val_loss);
            assert!(history.stopped.is_some() || loss.is_some_and(|loss| !loss.is_finite()));
        }
    }
}

#[test]
fn a_model_that_went_back_to_its_best_epoch_goes_on_from_there() {
    let (x, y) = sums(60);
    // The better the fit, the worse the validation.
    let wrong = y.mapv(|y| -y);
    for device in each_device() {
        let new = || {
            let model = Sequential::new(5).then(Dense::new(1)).on(&device).unwrap();
            model.compile(Mse::new(), Adam::new().learning_rate(0.01)).unwrap()
        };
        let mut back = new();
        let early = EarlyStopping::new().patience(3);
        let fit = |epochs| Fit::new().epochs(epochs).batch_size(7);
        let history =
            back.fit(&x, &y, fit(50).validation_data(&x, &wrong).early_stopping(early)).unwrap();
        let Some(Stop::Early { best_epoch, .. }) = history.stopped else {
            panic!("{:?}", history.stopped)
        };
        let mut expected = new();
        expected.fit(&x, &y, fit(best_epoch)).unwrap();
        assert_eq!(
            (back.steps(), bits(&back)),
            (9 * best_epoch as u64, bits(&expected)),
            "{}",
            device.describe()
        );
        for model in [&mut back, &mut expected] {
            model.fit(&x, &y, fit(2)).unwrap();
        }
        assert_eq!(bits(&back), bits(&expected), "{}", device.describe());
    }
}

#[test]
fn each_step_over_a_whole_batch_has_a_gradient_of_its_own_added_up_from_all_pieces() {
    // p = w x + b over two rows; dL/dw = mean 2x(p − y), dL/db = mean 2(p − y).
    let (x, y) = (array![[1.0], [2.0]], array![[3.0], [5.5]]);
    for device in each_device() {
        for batch_size in [1, 2] {
            let model = Sequential::new(1).then(Dense::new(1)).on(&device).unwrap();
            let mut model =
                model.compile(Mse::new(), GradientDescent::new().learning_rate(0.1)).unwrap();
            let (mut w, mut b) = (model.weights().unwrap()[0].0[[0, 0]], 0.0);
            model.fit(&x, &y, Fit::new().epochs(3).batch_size(batch_size)).unwrap();
            for _ in 0..3 {
                let errors = [w + b - 3.0, 2.0 * w + b - 5.5];
                (w, b) =
                    (w - 0.1 * (errors[0] + 2.0 * errors[1]), b - 0.1 * (errors[0] + errors[1]));
            }
            let (weights, biases) = model.weights().unwrap().remove(0);
            // Three steps of a dozen roundings each, of numbers below 8.
            let close = |found: f64, expected: f64| {
                (found - expected).abs() <= 36.0 * 8.0 * f64::from(f32::EPSILON)
            };
            let found = (weights[[0, 0]], biases[0]);
            assert!(
                close(found.0, w) && close(found.1, b),
                "{} {batch_size}: {found:?} {w} {b}",
                device.describe()
            );
        }
    }
}

#[test]
fn amsgrad_keeps_the_largest_square_when_gradients_fall() {
    let [beta1, beta2, rate, epsilon] = [0.5, 0.5, 0.1, 1e-3];
    let adam = |amsgrad| {
        Adam::new().beta1(beta1).beta2(beta2).learning_rate(rate).epsilon(epsilon).amsgrad(amsgrad)
    };
    for amsgrad in [false, true] {
        let optimizer: Box<dyn Optimizer> = Box::new(adam(amsgrad));
        let (mut found, mut states) = (vec![1.0_f64], optimizer.first_states::<f64>(1));
        let [mut w, mut m, mut v, mut largest] = [1.0, 0.0, 0.0, 0.0_f64];
        for (t, g) in (1..).zip([4.0, 0.25, 0.125, 8.0]) {
            optimizer.update(&optimizer.step(t, rate), &[], &mut found, &[g], &mut states).unwrap();
            m = beta1 * m + (1.0 - beta1) * g;
            v = beta2 * v + (1.0 - beta2) * g * g;
            largest = largest.max(v);
            let [first, second] = [beta1, beta2].map(|beta| 1.0 - beta.powi(t as i32));
            w -= rate * (m / first)
                / (((if amsgrad { largest } else { v }) / second).sqrt() + epsilon);
            assert!(
                (found[0] - w).abs() <= 1e-12,
                "{amsgrad}, step {t}: {} instead of {w}",
                found[0]
            );
        }
    }
}

#[test]
fn a_skipped_step_moves_no_average_and_does_not_count_in_its_correction() {
    // The second and the fourth row have an infinite loss in f32: two of four steps are skipped in
    // each epoch.
    let (x, y) = (array![[1.0], [3e38], [1.0], [3e38]], array![[0.0], [-3e38], [0.0], [-3e38]]);
    // A wide next layer, with all outputs equal, selects the path of larger models on a GPU.
    for (device, units) in
        each_device().into_iter().flat_map(|device| [(device.clone(), 1), (device, 20_000)])
    {
        if device.name() == "reference" {
            continue; // f64 holds the squares of f32.
        }
        for debias in [false, true] {
            let layer = Dense::new(units).bias(false);
            let model = Sequential::new(1).then(layer).on(&device).unwrap();
            let mut model =
                model.compile(Mse::new(), Sgd::new().learning_rate(0.1 * units as f64)).unwrap();
            let first: Vec<f64> = model.weights().unwrap()[0].0.iter().copied().collect();
            let broad =
                |of: &Array2<f32>| Array2::from_shape_fn((4, units), |(row, _)| of[[row, 0]]);
            let fit = Fit::new().epochs(2).batch_size(1).shuffle(false).skip_non_finite(true);
            let history =
                model.fit(&x, &broad(&y), fit.average(Average::new(0.75).debias(debias))).unwrap();
            let skipped: Vec<usize> = history.epochs.iter().map(|epoch| epoch.skipped).collect();
            assert_eq!(skipped, [2, 2], "{} {units}", device.describe());
            let found = model.averaged().unwrap().weights().unwrap().remove(0).0;
            for (mut w, found) in first.into_iter().zip(found.iter()) {
                // x = 1, y = 0: w ← w (1 − 2 lr / units), each time by 0.8; four such steps.
                let mut average = if debias { 0.0 } else { w };
                for _ in 0..4 {
                    w *= 0.8;
                    average = 0.75 * average + 0.25 * w;
                }
                if debias {
                    average /= 1.0 - 0.75_f64.powi(4);
                }
                let room = 2e-6 * average.abs() + 1e-12;
                assert!(
                    (found - average).abs() <= room,
                    "{} {units}: {found}, not {average}",
                    device.describe()
                );
            }
        }
    }
}

#[test]
fn a_share_held_back_is_rounded_down_and_never_takes_all() {
    let (x, y) = sums(10);
    // (validation fraction, rows left for training)
    for (share, left) in [(0.0, 10), (0.05, 10), (0.25, 8), (0.28, 8), (0.39, 7), (0.99, 1)] {
        let model = Sequential::new(5).then(Dense::new(1)).on(&Device::cpu()).unwrap();
        let mut model = model.compile(Mse::new(), Sgd::new()).unwrap();
        let history = model.fit(&x, &y, Fit::new().batch_size(1).validation_split(share)).unwrap();
        assert_eq!(history.steps.len(), left, "{share}");
        assert_eq!(history.epochs[0].val_loss.is_some(), left < 10, "{share}");
    }
}

#[test]
fn of_equal_outputs_the_first_is_the_prediction_and_a_threshold_is_no_yes() {
    let x = array![[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]];
    let labels = array![0_i64, 1, 2];
    let one_hot = array![[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let level = array![[0.0_f32], [1.0], [0.0]];
    for device in each_device() {
        // All weights are 0, and so are all outputs.
        let zeros = |units| {
            let layer = Dense::new(units).initializer(Initializer::Zeros);
            Sequential::new(2).then(layer).on(&device).unwrap()
        };
        let mut model = zeros(3).compile(CrossEntropy::new(), Sgd::new()).unwrap();
        let third = Some(1.0 / 3.0);
        assert_eq!(model.evaluate(&x, &labels).unwrap().accuracy, third, "{}", device.describe());
        let first = Array1::from_elem(3, 0_i64);
        assert_eq!(
            model.evaluate(&x, &first).unwrap().accuracy,
            Some(1.0),
            "{}",
            device.describe()
        );
        let mut model = zeros(3).compile(Mse::new(), Sgd::new()).unwrap();
        assert_eq!(model.evaluate(&x, &one_hot).unwrap().accuracy, third, "{}", device.describe());
        // Rows with several labels have no single class: accuracy is per label, not by the argmax.
        let several = array![[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]];
        let mut model = zeros(3).compile(BceWithLogits::new(), Sgd::new()).unwrap();
        assert_eq!(model.evaluate(&x, &several).unwrap().accuracy, None, "{}", device.describe());
        // A logit of 0 is a probability of ½: not above it, so the class is 0.
        let mut model = zeros(1).compile(BceWithLogits::new(), Sgd::new()).unwrap();
        let accuracy = model.evaluate(&x, &level).unwrap().accuracy;
        assert!(
            accuracy.is_none_or(|accuracy| (accuracy - 2.0 / 3.0).abs() < 1e-12),
            "{accuracy:?}"
        );
        let binary = array![0_i64, 1, 0];
        let accuracy = model.evaluate(&x, &binary).unwrap().accuracy.unwrap();
        assert!((accuracy - 2.0 / 3.0).abs() < 1e-12, "{}: {accuracy}", device.describe());
    }
}

#[test]
fn a_relevance_of_minus_zero_is_a_relevance_and_no_padding() {
    let (x, _) = sums(12);
    let groups = [4, 3, 5];
    let relevance =
        |zero: f32| Array2::from_shape_fn((12, 1), |(row, _)| [2.0, zero, 1.0][row % 3]);
    for device in each_device() {
        let steps = |relevance: Array2<f32>| {
            let model = Sequential::new(5).then(Dense::new(1)).on(&device).unwrap();
            let mut model =
                model.compile(LambdaRank::new(), Sgd::new().learning_rate(0.1)).unwrap();
            let fit = Fit::new().epochs(3).batch_size(2);
            model.fit(&x, Targets::grouped(&relevance, &groups), fit).unwrap().steps
        };
        assert_eq!(steps(relevance(-0.0)), steps(relevance(0.0)), "{}", device.describe());
    }
}

#[test]
fn a_save_replaces_the_file_in_one_move_and_a_newer_form_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [path, other] = ["model.safetensors", "other"].map(|name| folder.path().join(name));
    let model = |units| Sequential::new(2).then(Dense::new(units)).on(&Device::cpu()).unwrap();
    model(3).save(&path).unwrap();
    // A second hard link to the old file shows whether its bytes were overwritten.
    std::fs::hard_link(&path, &other).unwrap();
    let before = std::fs::read(&other).unwrap();
    model(4).save(&path).unwrap();
    assert_eq!(std::fs::read(&other).unwrap(), before);
    assert_eq!(Model::load(&path, &Device::cpu()).unwrap().outputs(), 4);
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["model.safetensors", "other"], "nothing unfinished is left");

    let key = br#"\"version\":"#;
    let start = before.windows(key.len()).position(|bytes| bytes == key).unwrap() + key.len();
    assert!(before[start].is_ascii_digit() && before[start + 1] == b',');
    let newer = [&before[..start], b"9", &before[start + 1..]].concat();
    // In a newer format version other fields may have other names.
    let mut renamed = newer.clone();
    let part = br#"\"inputs\":"#;
    let start = renamed.windows(part.len()).position(|bytes| bytes == part).unwrap() + 2;
    renamed[start..start + 6].copy_from_slice(b"widths");
    for newer in [newer, renamed] {
        std::fs::write(&path, newer).unwrap();
        let error = Model::load(&path, &Device::cpu()).unwrap_err().to_string();
        for word in ["model.safetensors", "version 9", "newer gradus"] {
            assert!(error.contains(word), "{error}");
        }
    }
}
