//! Numbers of the updates on each device, against gradients and weights that are read, and verdicts
//! on trainings of which the right rate is known.

use gradus::activations::Relu;
use gradus::losses::{CrossEntropy, Mse};
use gradus::optimizers::{Adam, Sgd};
use gradus::random::Random;
use gradus::rates::Verdict;
use gradus::{Dense, Device, Fit, Model, Sequential};
use ndarray::{Array1, Array2, Axis};

use crate::support::each_device;

fn rows(count: usize) -> (Array2<f32>, Array1<i64>) {
    let mut random = Random::new(21, 0);
    let labels = Array1::from_shape_fn(count, |row| (row % 3) as i64);
    let features = Array2::from_shape_fn((count, 40), |(row, column)| {
        let mean = if column % 3 == row % 3 { 0.5 } else { 0.0 };
        (mean + random.normal()) as f32
    });
    (features, labels)
}

/// Too large for the kernel that trains a whole network in one workgroup.
fn model(device: &Device) -> Model {
    Sequential::new(40)
        .then(Dense::new(64).activation(Relu))
        .then(Dense::new(3))
        .seed(5)
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Sgd::new())
        .unwrap()
}

fn flat(arrays: Vec<f64>) -> (f64, Vec<f64>) {
    (arrays.iter().map(|x| x * x).sum::<f64>().sqrt(), arrays)
}

fn weights(model: &Model) -> (f64, Vec<f64>) {
    let all = model.named_parameters().unwrap();
    flat(all.iter().flat_map(|(_, array)| array.iter().copied()).collect())
}

#[test]
fn the_numbers_of_an_update_are_those_of_its_gradient_and_weights() {
    let (x, y) = rows(48);
    for device in each_device() {
        let fit = || Fit::new().batch_size(48).shuffle(false).progress(false).learning_rate(0.25);
        let mut model = self::model(&device);
        let gradient = |model: &mut Model| {
            let (_, all) = model.gradients(&x, &y).unwrap();
            flat(all.iter().flat_map(|(_, array)| array.iter().copied()).collect())
        };
        let (first_norm, first) = gradient(&mut model);
        let (size, before) = weights(&model);
        let history = model.fit(&x, &y, fit()).unwrap();
        let (moved, _) = {
            let (_, after) = weights(&model);
            flat(after.iter().zip(&before).map(|(a, b)| a - b).collect())
        };
        let [one] = history.updates[..] else { panic!("{:?}", history.updates) };
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-4 * b.abs();
        assert!(close(one.gradient_norm, first_norm), "{device:?}: {one:?}, {first_norm}");
        assert!(close(one.update_ratio, moved / size), "{device:?}: {one:?}, {}", moved / size);
        // A step of gradient descent is the rate times the gradient.
        assert!(close(moved, 0.25 * first_norm));
        assert_eq!(one.cosine, None);
        let (second_norm, second) = gradient(&mut model);
        let dot: f64 = first.iter().zip(&second).map(|(a, b)| a * b).sum();
        let cosine = dot / (first_norm * second_norm);
        // The same two updates in one call.
        let mut both = self::model(&device);
        let history = both.fit(&x, &y, fit().epochs(2)).unwrap();
        assert_eq!(history.updates.len(), 2);
        let found = history.updates[1].cosine.unwrap();
        assert!((found - cosine).abs() < 1e-4, "{device:?}: {found}, {cosine}");
    }
}

#[test]
fn the_weights_have_the_same_bits_with_and_without() {
    let (x, y) = rows(100);
    for device in each_device() {
        let trained = |updates: Option<usize>| {
            let mut model = model(&device);
            // Batches of 16, the last one of 4; accumulated in pairs in the second training.
            let mut fit = Fit::new().batch_size(16).epochs(3).progress(false);
            if let Some(updates) = updates {
                fit = fit.watch_updates(updates);
            }
            let history = model.fit(&x, &y, fit.clone()).unwrap();
            let again = model.fit(&x, &y, fit.accumulate(2)).unwrap();
            let counts = (history.updates.len(), again.updates.len());
            (weights(&model), history.steps, again.steps, counts, history.updates)
        };
        let (watched, part, none) = (trained(None), trained(Some(5)), trained(Some(0)));
        assert_eq!((watched.3, part.3, none.3), ((21, 12), (5, 5), (0, 0)), "{device:?}");
        for other in [&part, &none] {
            assert_eq!(watched.0, other.0, "{device:?}");
            assert_eq!((&watched.1, &watched.2), (&other.1, &other.2), "{device:?}");
        }
        assert_eq!(watched.4[..5], part.4[..]);
        assert_eq!(trained(None).4, watched.4);
    }
}

#[test]
fn rates_that_are_wrong_are_named_so() {
    let (x, y) = rows(320);
    for device in each_device() {
        for (rate, verdict) in
            [(3e-3, Verdict::TooSmall), (0.2, Verdict::Right), (1e4, Verdict::TooLarge)]
        {
            let mut model = model(&device);
            let fit = Fit::new().batch_size(32).epochs(20).progress(false).learning_rate(rate);
            let history = model.fit(&x, &y, fit).unwrap();
            let found = history.diagnosis();
            assert_eq!(found.verdict, verdict, "{device:?} at {rate}: {found:?}");
        }
    }
}

#[test]
fn a_model_that_learns_its_rows_by_heart_over_fits() {
    let mut random = Random::new(4, 0);
    let x = Array2::from_shape_fn((80, 10), |_| random.normal() as f32);
    let y =
        x.index_axis(Axis(1), 0).mapv(|x| x + 2.0 * random.normal() as f32).insert_axis(Axis(1));
    let mut model = Sequential::new(10)
        .then(Dense::new(64).activation(Relu))
        .then(Dense::new(1))
        .on(&Device::cpu())
        .unwrap()
        .compile(Mse::new(), Adam::new().learning_rate(5e-3))
        .unwrap();
    let fit = Fit::new().epochs(60).validation_split(0.5).progress(false);
    let found = model.fit(&x, &y, fit).unwrap().diagnosis();
    assert!(found.overfitting.is_some(), "{found:?}");
    assert!(found.to_string().contains("over-fits"), "{found}");
}
