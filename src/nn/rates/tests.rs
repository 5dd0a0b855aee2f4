//! The range test against single trainings, and what it leaves as it was.

use ndarray::{Array1, Array2, Array4};

use super::*;
use crate::losses::{CrossEntropy, Mse};
use crate::nn::activations::Relu;
use crate::nn::layers::sequential::Sequential;
use crate::nn::layers::{Conv2d, Dense, Flatten};
use crate::nn::optimizers::{Adam, Sgd};
use crate::{Device, cpu::random::Random};

fn devices() -> Vec<Device> {
    let mut devices = vec![Device::reference(), Device::cpu()];
    match Device::gpu() {
        Ok(gpu) => devices.push(gpu),
        Err(error) => {
            assert!(std::env::var_os("GRADUS_REQUIRE_GPU").is_none(), "{error}");
            println!("IGNORED on gpu: {error}");
        }
    }
    devices
}

/// Three classes in five features, with noise.
fn rows(count: usize) -> (Array2<f32>, Array1<i64>) {
    let mut random = Random::new(3, 0);
    let labels = Array1::from_shape_fn(count, |row| (row % 3) as i64);
    let features = Array2::from_shape_fn((count, 5), |(row, column)| {
        let mean = if (row % 3) == column { 1.5 } else { 0.0 };
        (mean + random.normal()) as f32
    });
    (features, labels)
}

fn model(device: &Device) -> Model {
    Sequential::new(5)
        .then(Dense::new(8).activation(Relu))
        .then(Dense::new(3))
        .seed(11)
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Sgd::new())
        .unwrap()
}

#[test]
fn a_score_is_the_loss_of_a_training_at_that_rate() {
    let (x, y) = rows(300);
    let (held, truth) = rows(90);
    for device in devices() {
        let fit = Fit::new().batch_size(20).progress(false).validation_data(&held, &truth);
        let test = RangeTest::new().range(0.01, 1.0).per_decade(1).steps(25).seeds(1);
        let found = test.run(&model(&device), &x, &y, &fit).unwrap();
        for point in &found.points {
            let mut single = model(&device);
            let fit = fit.clone().learning_rate(point.rate).epochs(9).steps(25);
            single.fit(&x, &y, fit).unwrap();
            let loss = single.evaluate(&held, &truth).unwrap().loss;
            let close = (loss - point.losses[0].unwrap()).abs() <= 2e-5 * loss;
            assert!(
                close,
                "{device:?}: {} against {loss} at {}",
                point.losses[0].unwrap(),
                point.rate
            );
        }
        let untrained = model(&device).evaluate(&held, &truth).unwrap().loss;
        assert!((found.untrained - untrained).abs() < 1e-5);
        assert_eq!((found.held_out, found.steps), (90, 25));
    }
}

#[test]
fn the_model_stays_as_it_is_and_the_same_test_gives_the_same_bits() {
    let (x, y) = rows(240);
    for device in devices() {
        let mut model = model(&device);
        model.fit(&x, &y, Fit::new().learning_rate(0.1).progress(false)).unwrap();
        let before =
            (model.engine.parameters().unwrap(), model.engine.states().unwrap(), model.steps());
        let test = RangeTest::new().per_decade(2).steps(20);
        let fit = Fit::new().batch_size(16).clip_norm(1.0);
        let first = test.run(&model, &x, &y, &fit).unwrap();
        let after =
            (model.engine.parameters().unwrap(), model.engine.states().unwrap(), model.steps());
        assert_eq!(before, after);
        assert_eq!(first, test.run(&model, &x, &y, &fit).unwrap());
        // It goes on from the weights that the model has.
        assert!(first.untrained < 0.9 * 3_f64.ln(), "{}", first.untrained);
    }
}

#[test]
fn rates_that_diverge_are_found() {
    let (x, _) = rows(200);
    let y = x.map_axis(ndarray::Axis(1), |x| 3.0 * x[0] - x[1]).insert_axis(ndarray::Axis(1));
    for device in devices() {
        let model = Sequential::new(5)
            .then(Dense::new(1))
            .on(&device)
            .unwrap()
            .compile(Mse::new(), Sgd::new())
            .unwrap();
        let found = RangeTest::new().run(&model, &x, &y, &Fit::new().batch_size(160)).unwrap();
        // Gradient descent on a quadratic: it diverges where rate · λ > 2. λ is the largest
        // eigenvalue of the Hessian 2 XᵀX / n over all five features and the bias.
        let (mut v, mut largest) = ([1.0_f64; 6], 0.0);
        for _ in 0..200 {
            let mut w = [0.0; 6];
            for row in x.rows() {
                let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).chain([1.0]).collect();
                let dot: f64 = row.iter().zip(&v).map(|(a, b)| a * b).sum();
                w.iter_mut().zip(&row).for_each(|(w, x)| *w += 2.0 * dot * x / 200.0);
            }
            largest = w.iter().map(|w| w * w).sum::<f64>().sqrt();
            v = w.map(|w| w / largest);
        }
        let diverges = found.diverges.unwrap();
        assert!(diverges > 1.5 / largest && diverges < 4.0 / largest, "{diverges} for λ {largest}");
        assert!(found.suggestion < diverges && found.points.last().unwrap().steps < 100);
    }
}

#[test]
fn networks_of_images_are_tested_one_after_another() {
    let mut random = Random::new(5, 0);
    let y = Array1::from_shape_fn(60, |row| (row % 2) as i64);
    let x = Array4::from_shape_fn((60, 4, 4, 1), |(row, i, j, _)| {
        (if (i + j * (row % 2)) % 2 == 0 { 1.0 } else { 0.0 }) + 0.1 * random.normal() as f32
    });
    for device in devices() {
        let model = Sequential::images([4, 4, 1])
            .then(Conv2d::new(2, 3).activation(Relu))
            .then(Flatten::new())
            .then(Dense::new(2))
            .on(&device)
            .unwrap()
            .compile(CrossEntropy::new(), Adam::new())
            .unwrap();
        let test = RangeTest::new().range(1e-3, 0.1).per_decade(2).steps(15).seeds(1);
        let fit = Fit::new().batch_size(12);
        let found = test.run(&model, &x, &y, &fit).unwrap();
        assert_eq!(found.points.len(), 5);
        assert_eq!(found, test.run(&model, &x, &y, &fit).unwrap());
    }
}

#[test]
fn bad_input_is_refused() {
    let (x, y) = rows(60);
    let model = model(&Device::cpu());
    let fit = Fit::new();
    let error = |test: RangeTest| test.run(&model, &x, &y, &fit).unwrap_err().to_string();
    for (test, part) in [
        (RangeTest::new().range(1.0, 0.1), "range"),
        (RangeTest::new().range(0.1, 0.11), "at least three rates"),
        (RangeTest::new().range(f64::NAN, 1.0), "range"),
        (RangeTest::new().per_decade(0), "per_decade"),
        (RangeTest::new().seeds(0), "seeds"),
        (RangeTest::new().steps(0), "steps"),
        (RangeTest::new().range(1e-12, 1e-10), "is not lowered by any rate"),
    ] {
        let found = error(test);
        assert!(found.contains(part), "{found}");
    }
    let short = RangeTest::new().run(&model, &x, &y.slice(ndarray::s![..50]), &fit);
    assert!(matches!(short, Err(Error::Shape { .. })), "{short:?}");
}
