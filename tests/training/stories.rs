//! Integration tests of training: the same on every device, reproducible, the same after a pause,
//! and with correct failure reports.

use crate::support::each_device;
use gradus::activations::{Gelu, LeakyRelu, Relu, Sigmoid, Silu, Softmax, Tanh};
use gradus::losses::{CrossEntropy, Hinge, Labels, Loss, Mse};
use gradus::optimizers::{Adam, GradientDescent, Sgd};
use gradus::random::Random;
use gradus::{Dense, Device, EarlyStopping, Fit, Model, Sequential, Stop};
use ndarray::{Array1, Array2, s};

/// Points in three clouds: features [rows, 5], labels, and a regression target.
fn clouds(rows: usize, seed: u64) -> (Array2<f32>, Array1<i64>, Array2<f32>) {
    let mut random = Random::new(seed, 0);
    let labels = Array1::from_shape_fn(rows, |row| (row % 3) as i64);
    let features = Array2::from_shape_fn((rows, 5), |(row, k)| {
        let centre = if k == labels[row] as usize { 2.0 } else { 0.0 };
        (centre + 0.5 * random.normal()) as f32
    });
    let numbers = Array2::from_shape_fn((rows, 1), |(row, _)| features.row(row).sum() - 1.0);
    (features, labels, numbers)
}

fn classifier(device: &Device) -> Model {
    let description = Sequential::new(5).then(Dense::new(16).activation(Relu)).then(Dense::new(3));
    let optimizer = Adam::new().learning_rate(0.01);
    description.on(device).unwrap().compile(CrossEntropy::new(), optimizer).unwrap()
}

fn bits(model: &Model) -> Vec<u64> {
    let layers = model.weights().unwrap();
    layers
        .iter()
        .flat_map(|(w, b)| w.iter().chain(b).map(|x| x.to_bits()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn the_devices_agree_on_the_first_hundred_steps() {
    let (x, y, _) = clouds(640, 1);
    let steps = |device: &Device| {
        classifier(device).fit(&x, &y, Fit::new().epochs(5).batch_size(32)).unwrap().steps
    };
    let expected = steps(&Device::reference());
    assert_eq!(expected.len(), 100);
    for device in each_device() {
        for (step, (e, f)) in expected.iter().zip(steps(&device)).enumerate() {
            // f32 rounds to 6e-8; a hundred steps of Adam, which divides by the gradient's own
            // size, amplify a difference by at most some hundred: 1e-4 leaves an order of
            // magnitude.
            assert!(
                (e - f).abs() <= 1e-4 * e.abs(),
                "{}: step {step}: {f} instead of {e}",
                device.describe()
            );
        }
    }
}

#[test]
fn every_activation_learns_alike_on_every_device() {
    let (x, y, _) = clouds(96, 2);
    let train = |device: &Device| {
        Sequential::new(5)
            .then(Dense::new(8).activation(Gelu::default()))
            .then(Dense::new(7).activation(Silu))
            .then(Dense::new(6).activation(Tanh))
            .then(Dense::new(5).activation(Softmax))
            .then(Dense::new(9).activation(LeakyRelu::default()).bias(false))
            .then(Dense::new(3).activation(Sigmoid))
            .on(device)
            .unwrap()
            .compile(Mse::new(), Sgd::new().learning_rate(0.5).momentum(0.9))
            .unwrap()
            .fit(&x, &y, Fit::new().epochs(4).batch_size(20))
            .unwrap()
            .steps
    };
    let expected = train(&Device::reference());
    for device in each_device() {
        for (e, f) in expected.iter().zip(train(&device)) {
            assert!((e - f).abs() <= 1e-4 * e.abs(), "{}: {f} instead of {e}", device.describe());
        }
    }
}

#[test]
fn two_runs_give_equal_bits() {
    let (x, y, _) = clouds(200, 3);
    for device in each_device() {
        let run = || {
            let mut model = classifier(&device);
            model.fit(&x, &y, Fit::new().epochs(3).batch_size(24)).unwrap();
            bits(&model)
        };
        assert_eq!(run(), run(), "{}", device.describe());
    }
}

#[test]
fn a_resumed_run_gives_the_bits_of_an_unbroken_one() {
    let (x, y, _) = clouds(150, 4);
    let folder = tempfile::tempdir().unwrap();
    for device in each_device() {
        let mut whole = classifier(&device);
        whole.fit(&x, &y, Fit::new().epochs(5).batch_size(32)).unwrap();
        let path = folder.path().join(device.name());
        classifier(&device)
            .fit(&x, &y, Fit::new().epochs(2).batch_size(32).checkpoint(&path))
            .unwrap();
        let mut resumed = Model::load(&path, &device).unwrap();
        resumed.fit(&x, &y, Fit::new().epochs(3).batch_size(32)).unwrap();
        assert_eq!(bits(&whole), bits(&resumed), "{}", device.describe());
        assert_eq!(whole.steps(), resumed.steps());
    }
}

#[test]
fn gradient_descent_moves_once_per_epoch_whatever_the_pieces() {
    let (x, _, numbers) = clouds(100, 5);
    let train = |device: &Device, batch_size: usize| {
        let mut model = Sequential::new(5)
            .then(Dense::new(1))
            .on(device)
            .unwrap()
            .compile(Mse::new(), GradientDescent::new().learning_rate(0.05))
            .unwrap();
        let history =
            model.fit(&x, &numbers, Fit::new().epochs(40).batch_size(batch_size)).unwrap();
        assert_eq!(model.steps(), 40);
        assert_eq!(history.steps.len(), 40);
        history.epochs[39].loss
    };
    let expected = train(&Device::reference(), 100);
    for device in each_device() {
        for batch_size in [100, 33, 7] {
            let found = train(&device, batch_size);
            // The mean is the same sum in another order: f32 rounding over forty steps that reduce
            // errors.
            assert!(
                (found - expected).abs() <= 1e-4 * expected,
                "{}: {found} instead of {expected}",
                device.describe()
            );
        }
    }
}

#[test]
fn one_step_of_gradient_descent_is_the_rule_of_the_book() {
    // One weight, two rows: L = mean (wx - y)², dL/dw = mean 2x(wx - y); w ← w − α dL/dw.
    let x = ndarray::array![[1.0], [2.0]];
    let y = ndarray::array![[3.0], [5.0]];
    for device in each_device() {
        let layer = Dense::new(1).bias(false).l1(0.01).l2(0.001);
        let optimizer = GradientDescent::new().learning_rate(0.1);
        let mut model = Sequential::new(1)
            .then(layer)
            .on(&device)
            .unwrap()
            .compile(Mse::new(), optimizer)
            .unwrap();
        let w = model.weights().unwrap()[0].0[[0, 0]];
        model.fit(&x, &y, Fit::new().epochs(1)).unwrap();
        let derivative =
            (2.0 * (w - 3.0) + 4.0 * (2.0 * w - 5.0)) / 2.0 + 0.01 * w.signum() + 2.0 * 0.001 * w;
        let found = model.weights().unwrap()[0].0[[0, 0]];
        assert!(
            (found - (w - 0.1 * derivative)).abs() <= 4.0 * f64::from(f32::EPSILON),
            "{}: {found}",
            device.describe()
        );
    }
}

#[test]
fn a_clipped_step_is_the_rule_of_the_book() {
    // One row (3, 4), target 0, prediction p = w·x: dL/dw = 2p (3, 4) + 2 l2 w, and the step is lr
    // · c · g/‖g‖ where ‖g‖ > c.
    let x = ndarray::array![[3.0, 4.0]];
    let y = ndarray::array![[20.0]];
    for device in each_device() {
        for limit in [0.25, 1e6] {
            let layer = Dense::new(1).bias(false).l2(0.5);
            let optimizer = Sgd::new().learning_rate(0.1);
            let mut model = Sequential::new(2)
                .then(layer)
                .on(&device)
                .unwrap()
                .compile(Mse::new(), optimizer)
                .unwrap();
            let w = model.weights().unwrap()[0].0.clone();
            model.fit(&x, &y, Fit::new().clip_norm(limit)).unwrap();
            let error = 3.0 * w[[0, 0]] + 4.0 * w[[1, 0]] - 20.0;
            let g = [2.0 * error * 3.0 + w[[0, 0]], 2.0 * error * 4.0 + w[[1, 0]]];
            let factor = (limit / (g[0].hypot(g[1]) + 1e-6)).min(1.0);
            assert_eq!(factor < 1.0, limit < 1.0);
            let found = model.weights().unwrap()[0].0.clone();
            for k in 0..2 {
                let expected = w[[k, 0]] - 0.1 * factor * g[k];
                // Some ten f32 roundings in a step of length 0.1 · factor · |g|.
                let room =
                    20.0 * f64::from(f32::EPSILON) * (expected.abs() + 0.1 * factor * g[k].abs());
                assert!(
                    (found[[k, 0]] - expected).abs() <= room,
                    "{}: {found}, not {expected}",
                    device.describe()
                );
            }
        }
    }
}

#[test]
fn clipped_training_agrees_on_every_device_and_gives_equal_bits_twice() {
    let (x, y, _) = clouds(320, 21);
    // Less than half of the norm in the first steps: it clips, as the different losses show.
    let fit = |limit: Option<f64>| {
        let fit = Fit::new().epochs(3).batch_size(32);
        limit.map_or(fit.clone(), |limit| fit.clip_norm(limit))
    };
    let train = |device: &Device, limit| {
        let description =
            Sequential::new(5).l2(0.01).then(Dense::new(16).activation(Relu)).then(Dense::new(3));
        let optimizer = Sgd::new().learning_rate(0.5).momentum(0.5);
        let mut model =
            description.on(device).unwrap().compile(CrossEntropy::new(), optimizer).unwrap();
        (model.fit(&x, &y, fit(limit)).unwrap().steps, bits(&model))
    };
    let expected = train(&Device::reference(), Some(0.2)).0;
    assert!((train(&Device::reference(), None).0[9] / expected[9] - 1.0).abs() > 0.01);
    for device in each_device() {
        let (steps, first) = train(&device, Some(0.2));
        for (e, f) in expected.iter().zip(&steps) {
            assert!((e - f).abs() <= 1e-4 * e.abs(), "{}: {f} instead of {e}", device.describe());
        }
        assert_eq!(first, train(&device, Some(0.2)).1, "{}", device.describe());
    }
    let mut model = classifier(&Device::cpu());
    let refused = model.fit(&x, &y, Fit::new().clip_norm(0.0)).unwrap_err().to_string();
    assert!(refused.contains("clip_norm is 0"), "{refused}");
}

#[test]
fn three_runs_of_a_thousand_steps_give_equal_weights() {
    let (x, y, _) = clouds(320, 22);
    let Some(device) = crate::support::gpu().into_iter().next() else { return };
    let run = || {
        let mut model = classifier(&device);
        let history =
            model.fit(&x, &y, Fit::new().epochs(100).batch_size(32).clip_norm(0.5)).unwrap();
        assert_eq!(history.steps.len(), 1000);
        bits(&model)
    };
    let first = run();
    assert!((0..2).all(|_| run() == first));
}

#[test]
fn a_penalty_draws_the_weights_to_zero_and_spares_the_bias() {
    let (x, y, _) = clouds(96, 6);
    let size = |device: &Device, l2: f64| {
        let mut model = Sequential::new(5)
            .l2(l2)
            .then(Dense::new(3))
            .on(device)
            .unwrap()
            .compile(CrossEntropy::new(), Adam::new().learning_rate(0.05))
            .unwrap();
        model.fit(&x, &y, Fit::new().epochs(40)).unwrap();
        model.weights().unwrap()[0].0.iter().map(|w| w * w).sum::<f64>()
    };
    for device in each_device() {
        let (free, drawn) = (size(&device, 0.0), size(&device, 0.3));
        assert!(drawn < 0.1 * free, "{}: {drawn} against {free}", device.describe());
    }
}

#[test]
fn hinge_takes_labels_as_signs() {
    let (x, y, _) = clouds(120, 7);
    for device in each_device() {
        for labels in [Labels::Sign, Labels::ZeroOne] {
            let mut model = Sequential::new(5)
                .then(Dense::new(3))
                .on(&device)
                .unwrap()
                .compile(Hinge::new().labels(labels), Adam::new().learning_rate(0.05))
                .unwrap();
            model.fit(&x, &y, Fit::new().epochs(30)).unwrap();
            assert!(
                model.evaluate(&x, &y).unwrap().accuracy.unwrap() > 0.95,
                "{}",
                device.describe()
            );
        }
    }
}

#[test]
fn an_ignored_label_leaves_its_row_out() {
    let (x, y, _) = clouds(90, 8);
    let mut with_ignored = y.clone();
    with_ignored.iter_mut().step_by(3).for_each(|label| *label = -100);
    let kept: Vec<usize> = (0..90).filter(|row| row % 3 != 0).collect();
    for device in each_device() {
        let mut model = classifier(&device);
        let score = model.evaluate(&x, &with_ignored).unwrap();
        let expected = model
            .evaluate(&x.select(ndarray::Axis(0), &kept), &y.select(ndarray::Axis(0), &kept))
            .unwrap();
        assert!(
            (score.loss - expected.loss).abs() <= 1e-6 * expected.loss,
            "{}",
            device.describe()
        );
        assert_eq!(score.accuracy, expected.accuracy, "{}", device.describe());
        let history = model.fit(&x, &with_ignored, Fit::new().epochs(2)).unwrap();
        assert!(history.epochs.iter().all(|epoch| epoch.loss.is_finite()));
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_the_training_with_the_last_good_weights() {
    let (x, _, numbers) = clouds(64, 9);
    for device in each_device() {
        let mut model = Sequential::new(5)
            .then(Dense::new(8))
            .then(Dense::new(1))
            .on(&device)
            .unwrap()
            .compile(Mse::new(), Sgd::new().learning_rate(1e9))
            .unwrap();
        let before = bits(&model);
        let history = model.fit(&x, &numbers, Fit::new().epochs(20)).unwrap();
        assert!(
            matches!(history.stopped, Some(Stop::NotFinite { .. })),
            "{}: {:?}",
            device.describe(),
            history.stopped
        );
        assert!(model.weights().unwrap().iter().all(|(w, _)| w.iter().all(|x| x.is_finite())));
        if history.epochs.is_empty() {
            assert_eq!(bits(&model), before, "{}", device.describe());
        }
    }
}

#[test]
fn early_stopping_goes_back_to_the_best_epoch() {
    let (x, y, _) = clouds(120, 10);
    // The held-out labels are wrong: the better the fit, the worse the validation.
    let wrong: Array1<i64> = y.slice(s![90..]).mapv(|label| (label + 1) % 3);
    for device in each_device() {
        let mut model = classifier(&device);
        let fit = Fit::new().epochs(50).early_stopping(EarlyStopping::new().patience(2));
        let fit = fit.validation_data(&x.slice(s![90.., ..]).to_owned(), &wrong);
        let history = model.fit(&x.slice(s![..90, ..]), &y.slice(s![..90]), fit).unwrap();
        let Some(Stop::Early { best_epoch, best }) = history.stopped else {
            panic!("{:?}", history.stopped)
        };
        assert!(history.epochs.len() == best_epoch + 2, "{best_epoch} of {}", history.epochs.len());
        let score = model.evaluate(&x.slice(s![90.., ..]), &wrong).unwrap();
        assert!(
            (score.loss - best).abs() <= 1e-6 * best,
            "{}: {} against {best}",
            device.describe(),
            score.loss
        );
        assert_eq!(history.restored, Some(best_epoch), "{}", device.describe());
    }
}

#[test]
fn the_best_epoch_is_named_also_where_all_epochs_were_trained() {
    let (x, y, _) = clouds(120, 10);
    let wrong: Array1<i64> = y.slice(s![90..]).mapv(|label| (label + 1) % 3);
    let fit = |held_out: &Array1<i64>| {
        let early = EarlyStopping::new().patience(50);
        Fit::new()
            .epochs(6)
            .early_stopping(early)
            .validation_data(&x.slice(s![90.., ..]).to_owned(), held_out)
    };
    for device in each_device() {
        let train = |held_out: &Array1<i64>| {
            let (x, y) = (x.slice(s![..90, ..]), y.slice(s![..90]));
            classifier(&device).fit(&x, &y, fit(held_out)).unwrap()
        };
        let history = train(&wrong);
        let losses: Vec<f64> = history.epochs.iter().filter_map(|epoch| epoch.val_loss).collect();
        let best = (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        assert!(history.stopped.is_none() && losses.len() == 6, "{history:?}");
        assert_eq!(history.restored, best.map(|epoch| epoch + 1), "{}", device.describe());
        // The last epoch is the best: nothing is restored.
        let right = y.slice(s![90..]).to_owned();
        assert_eq!(train(&right).restored, None, "{}", device.describe());
    }
}

#[test]
fn predictions_are_the_rows_own_whatever_the_batch() {
    let (x, _, _) = clouds(2500, 11);
    for device in each_device() {
        let mut model = classifier(&device);
        let all = model.predict(&x).unwrap();
        let one = model.predict(&x.slice(s![2040..2041, ..])).unwrap();
        for (a, b) in all.row(2040).iter().zip(one.row(0)) {
            // Another batch size may use another tile, which sums in another order: five products
            // and a bias, then sixteen, each rounded to 6e-8 of numbers below ten.
            assert!((a - b).abs() <= 1e-5, "{}: {a} against {b}", device.describe());
        }
    }
}

#[test]
fn invalid_rows_labels_and_options_are_refused_by_name() {
    let (x, y, _) = clouds(12, 12);
    let mut model = classifier(&Device::cpu());
    let mut message =
        |x: &Array2<f32>, y: &Array1<i64>, fit: Fit| model.fit(x, y, fit).unwrap_err().to_string();
    let narrow = x.slice(s![.., ..4]).to_owned();
    assert!(message(&narrow, &y, Fit::new()).contains("[12, 4]"));
    assert!(
        message(&x, &y.slice(s![..7]).to_owned(), Fit::new()).contains("12 rows but targets 7")
    );
    let mut wrong = y.clone();
    wrong[5] = 3;
    let found = message(&x, &wrong, Fit::new());
    assert!(found.contains("row 5 has label 3") && found.contains("0 to 2"), "{found}");
    let mut broken = x.clone();
    broken[[4, 2]] = f32::NAN;
    let found = message(&broken, &y, Fit::new());
    assert!(found.contains("NaN at row 4, column 2"), "{found}");
    assert!(
        message(&x.slice(s![..0, ..]).to_owned(), &y.slice(s![..0]).to_owned(), Fit::new())
            .contains("no rows")
    );
    assert!(message(&x, &y, Fit::new().batch_size(0)).contains("batch_size is 0"));
    assert!(message(&x, &y, Fit::new().validation_split(1.5)).contains("validation_split is 1.5"));
    let error =
        CrossEntropy::new().label_smoothing(2.0).on(&Device::cpu()).unwrap_err().to_string();
    assert!(error.contains("label_smoothing is 2"), "{error}");
}

#[test]
fn a_damaged_model_file_is_refused_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = classifier(&Device::cpu());
    model.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for length in (0..bytes.len()).step_by(37) {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = Model::load(&path, &Device::cpu()).unwrap_err().to_string();
        assert!(error.contains("model.safetensors"), "{error}");
    }
}

#[test]
fn a_flipped_bit_of_a_model_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (x, y) = (Array2::<f32>::ones((4, 2)), Array2::<f32>::zeros((4, 3)));
    for device in [Device::cpu(), Device::reference()] {
        let model = Sequential::new(2).then(Dense::new(3)).on(&device).unwrap();
        let mut model = model.compile(Mse::new(), Sgd::new()).unwrap();
        model.fit(&x, &y, Fit::new()).unwrap();
        model.save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        // Every bit of the numbers, and one of each byte of the header but the blanks at its end.
        let blanks = bytes[..header].iter().rev().take_while(|&&byte| byte == b' ').count();
        let of_header = (0..header - blanks).map(|byte| 8 * byte + byte % 7);
        for bit in of_header.chain(8 * header..8 * bytes.len()) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &damaged).unwrap();
            let error = match Model::load(&path, &device) {
                Err(error) => error.to_string(),
                Ok(_) => panic!("bit {bit} of {}", String::from_utf8_lossy(&bytes[..header])),
            };
            if bit >= 8 * header {
                assert!(error.contains("model.safetensors"), "{error}");
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        Model::load(&path, &device).unwrap();
    }
}

/// A saved model with one word of its header replaced.
fn with_header(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (length, rest) = bytes.split_at(8);
    let (header, tensors) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
    let header = std::str::from_utf8(header).unwrap();
    assert_eq!(header.matches(from).count(), 1, "{header}");
    let mut header = header.replace(from, to);
    // A file of an earlier version has no checksum.
    let checksum = header.find(r#",\"checksum\":\""#).unwrap();
    header.replace_range(checksum..checksum + 34, "");
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), tensors].concat()
}

#[test]
fn what_a_model_file_claims_is_asked_of_its_tensors_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut model = Sequential::new(2).then(Dense::new(3)).on(&Device::cpu()).unwrap();
    model.set_input_scaling(vec![0.5, 1.0], vec![1.0, 2.0]).unwrap();
    model.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for (from, to, expected) in [
        // Incomplete scaling is not silently dropped.
        ("input.scale", "input.scald", "`input.scale`"),
        ("input.mean", "input.meam", "`input.mean`"),
        // 400 MB of weights would be allocated before the tensor is checked.
        (r#"\"inputs\":2"#, r#"\"inputs\":16777215"#, "`layers.0.weight`"),
    ] {
        std::fs::write(&path, with_header(&bytes, from, to)).unwrap();
        let error = Model::load(&path, &Device::cpu()).unwrap_err().to_string();
        assert!(error.contains("model.safetensors") && error.contains(expected), "{error}");
    }
    let last = with_header(&bytes, r#"\"epochs\":0"#, r#"\"epochs\":4294967294"#);
    std::fs::write(&path, last).unwrap();
    let mut model =
        Model::load(&path, &Device::cpu()).unwrap().compile(Mse::new(), Sgd::new()).unwrap();
    let error = model
        .fit(&Array2::<f32>::zeros((4, 2)), &Array2::<f32>::zeros((4, 3)), Fit::new().epochs(2))
        .unwrap_err();
    assert!(
        error.to_string().contains("epochs is 2") && error.to_string().contains("up to 1"),
        "{error}"
    );
}

#[test]
#[cfg(feature = "data")]
fn the_documents_network_learns_fashion() {
    let split = gradus::data::read_idx_folder("data/fashion-mnist-12k").unwrap();
    let (train, test) = (split.train, split.test.unwrap());
    let (y, held_back) = (train.labels().unwrap(), test.labels().unwrap());
    for device in [Device::cpu()].into_iter().chain(crate::support::gpu()) {
        let mut accuracies = Vec::new();
        for seed in [1, 2, 3] {
            let mut model = Sequential::new(784)
                .seed(seed)
                .then(Dense::new(10).activation(Relu))
                .then(Dense::new(10).activation(Softmax))
                .on(&device)
                .unwrap()
                .compile(Mse::new(), Adam::new())
                .unwrap();
            let history =
                model.fit(&train.features, &y, Fit::new().epochs(5).batch_size(32)).unwrap();
            assert!(
                history.epochs[4].loss < 0.027,
                "{}: {}",
                device.describe(),
                history.epochs[4].loss
            );
            accuracies.push(model.evaluate(&test.features, &held_back).unwrap().accuracy.unwrap());
        }
        let mean = accuracies.iter().sum::<f64>() / 3.0;
        println!("{}: {accuracies:?}", device.describe());
        assert!(mean >= 0.80, "{}: {accuracies:?}", device.describe());
    }
}

#[test]
fn a_mean_over_many_batches_does_not_depend_on_a_batch_being_as_long_as_what_is_kept() {
    // 1100 rows, 76 of them ignored: the rest is exactly one batch of `evaluate`.
    let (x, y, _) = clouds(1100, 13);
    let mut with_ignored = y.clone();
    with_ignored.iter_mut().step_by(14).take(76).for_each(|label| *label = -100);
    let kept: Vec<usize> = (0..1100).filter(|&row| with_ignored[row] != -100).collect();
    assert_eq!(kept.len(), 1024);
    for device in each_device() {
        let mut model = classifier(&device);
        let found = model.evaluate(&x, &with_ignored).unwrap();
        let expected = model
            .evaluate(&x.select(ndarray::Axis(0), &kept), &y.select(ndarray::Axis(0), &kept))
            .unwrap();
        // The same thousand values summed in two orders.
        assert!(
            (found.loss - expected.loss).abs() <= 2e-6 * expected.loss,
            "{}: {found:?}",
            device.describe()
        );
    }
}

#[test]
fn an_ignored_class_counts_neither_as_right_nor_as_wrong() {
    let (x, y, _) = clouds(90, 14);
    for device in each_device() {
        let mut model = Sequential::new(5)
            .then(Dense::new(3))
            .on(&device)
            .unwrap()
            .compile(CrossEntropy::new().ignore_index(0), Adam::new().learning_rate(0.05))
            .unwrap();
        model.fit(&x, &y, Fit::new().epochs(30)).unwrap();
        let all_ignored = Array1::from_elem(90, 0_i64);
        assert_eq!(
            model.evaluate(&x, &all_ignored).unwrap().accuracy,
            Some(0.0),
            "{}",
            device.describe()
        );
        let accuracy = model.evaluate(&x, &y).unwrap().accuracy.unwrap();
        assert!((0.9..=1.0).contains(&accuracy), "{}: {accuracy}", device.describe());
    }
}

#[test]
#[cfg(feature = "data")]
fn the_devices_agree_on_the_first_hundred_steps_of_fashion() {
    let train = gradus::data::read_idx_folder("data/fashion-mnist-12k").unwrap().train;
    let (x, y) = (
        train.features.slice(s![..6400, ..]),
        train.labels().unwrap().slice(s![..6400]).to_owned(),
    );
    let steps = |device: &Device| {
        let layers =
            Sequential::new(784).then(Dense::new(128).activation(Relu)).then(Dense::new(10));
        let mut model =
            layers.on(device).unwrap().compile(CrossEntropy::new(), Adam::new()).unwrap();
        model.fit(&x, &y, Fit::new().batch_size(64)).unwrap().steps
    };
    let expected = steps(&Device::reference());
    assert_eq!(expected.len(), 100);
    for device in each_device() {
        for (step, (e, f)) in expected.iter().zip(steps(&device)).enumerate() {
            // The tolerance is 1e-4; 3.3e-7 was measured.
            assert!(
                (e - f).abs() <= 1e-4 * e.abs(),
                "{}: step {step}: {f} instead of {e}",
                device.describe()
            );
        }
    }
}

#[test]
fn a_softmax_under_a_loss_that_takes_one_itself_is_refused_with_what_to_do() {
    let layers = || {
        Sequential::new(5)
            .then(Dense::new(8).activation(Tanh))
            .then(Dense::new(3).activation(Softmax))
    };
    let error = layers()
        .on(&Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), Sgd::new())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(
            "cross_entropy: the last layer has the activation softmax, but the loss takes logits"
        ),
        "{error}"
    );
    assert!(error.contains("leave the activation of the last layer out"), "{error}");
    let members = [gradus::Member::new()];
    let several = gradus::Population::new(layers(), members, &Device::cpu()).unwrap();
    assert_eq!(several.compile(CrossEntropy::new(), Sgd::new()).unwrap_err().to_string(), error);
    assert!(layers().on(&Device::cpu()).unwrap().compile(Mse::new(), Sgd::new()).is_ok());
}

#[test]
fn arrays_of_f64_and_labels_of_any_type_train_the_same_model() {
    let (x, labels, _) = clouds(60, 3);
    let train = |wide: bool| {
        let model = Sequential::new(5).then(Dense::new(3)).on(&Device::cpu()).unwrap();
        let mut model = model.compile(CrossEntropy::new(), Sgd::new()).unwrap();
        model.set_input_scaling(vec![0.25; 5], vec![2.0; 5]).unwrap();
        let (x64, labels64) = (x.mapv(f64::from), labels.mapv(|label| label as usize));
        let fit = Fit::new().epochs(3);
        if wide {
            let fit = fit.validation_data(&x64, &labels64);
            model.fit(&x64, &labels64, fit).unwrap();
            (
                model.predict(&x64).unwrap(),
                model.evaluate(&x64, &labels.mapv(|label| label as u8)).unwrap(),
            )
        } else {
            let fit = fit.validation_data(&x, &labels);
            model.fit(&x, &labels, fit).unwrap();
            (model.predict(&x).unwrap(), model.evaluate(&x, &labels).unwrap())
        }
    };
    assert_eq!(train(true), train(false));
    // Numbers that f32 cannot distinguish are scaled first: seconds since 1970.
    let times = Array2::from_shape_fn((40, 1), |(row, _)| 1.7e9 + 0.01 * row as f64);
    let mut model = Sequential::new(1).then(Dense::new(1)).on(&Device::cpu()).unwrap();
    model.set_input_scaling(vec![1.7e9 + 0.2], vec![0.1]).unwrap();
    let found = model.predict(&times).unwrap();
    assert!((found[[39, 0]] - found[[0, 0]]).abs() > 1e-3, "{found}");
    let error = model.predict(&Array2::from_elem((2, 1), 1e300)).unwrap_err().to_string();
    assert!(error.starts_with("predict: features hold 1e300 at row 0, column 0"), "{error}");
}

#[test]
fn an_error_of_main_prints_its_message() {
    let error = Device::named("cuda").unwrap_err();
    assert_eq!(format!("{error:?}"), error.to_string());
    let error = Device::named("a\u{1b}[31m\nb").unwrap_err().to_string();
    assert!(error.starts_with(r"unknown device `a\u{1b}[31m\nb`; known: auto"), "{error}");
}
