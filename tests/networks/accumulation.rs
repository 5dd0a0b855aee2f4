//! Gradients added up over several batches before an update.

use std::ops::ControlFlow;

use gradus::activations::Tanh;
use gradus::losses::CrossEntropy;
use gradus::optimizers::{Adam, GradientDescent};
use gradus::schedules::Exponential;
use gradus::{Dense, Device, Fit, Member, Model, Population, Sequential};
use ndarray::{Array1, Array2};

use crate::devices;

fn rows(count: usize) -> (Array2<f32>, Array1<i64>) {
    let x =
        Array2::from_shape_fn((count, 4), |(row, at)| ((row * 7 + at * 5) % 13) as f32 / 6.0 - 1.0);
    (x, (0..count).map(|row| (row % 3) as i64).collect())
}

fn network() -> Sequential {
    Sequential::new(4).then(Dense::new(6).activation(Tanh)).then(Dense::new(3)).seed(2)
}

fn ready(device: &Device) -> Model {
    let adam = Adam::new().learning_rate(0.02);
    network().on(device).unwrap().compile(CrossEntropy::new(), adam).unwrap()
}

fn flat(model: &Model) -> Vec<f64> {
    let named = model.named_parameters().unwrap();
    named.iter().flat_map(|(_, values)| values.iter().copied()).collect()
}

#[test]
fn two_batches_of_eight_are_one_of_sixteen() {
    // 40 rows: the last update of an epoch is of one batch of 8.
    let (x, y) = rows(40);
    let trained = |device: &Device, fit: Fit| {
        let mut model = ready(device);
        let fit = fit.epochs(3).schedule(Exponential::new().learning_rate(0.02).factor(0.9));
        let history = model.fit(&x, &y, fit).unwrap();
        let rates: Vec<Option<f64>> =
            history.epochs.iter().map(|epoch| epoch.learning_rate).collect();
        let losses: Vec<f64> = history.epochs.iter().map(|epoch| epoch.loss).collect();
        (flat(&model), losses, history.steps, rates, model.steps())
    };
    let expected = trained(&Device::reference(), Fit::new().batch_size(16));
    assert_eq!((expected.4, expected.2.len()), (9, 9));
    for (name, device) in devices() {
        let found = trained(&device, Fit::new().batch_size(8).accumulate(2));
        // Sums in another order, nine steps of 0.02; f32 has 2^29 times the roundings of f64.
        let tolerance = if name == "reference" { 1e-12 } else { 1e-4 };
        for (found, expected) in
            [(&found.0, &expected.0), (&found.1, &expected.1), (&found.2, &expected.2)]
        {
            assert_eq!(found.len(), expected.len(), "{name}");
            for (found, expected) in found.iter().zip(expected) {
                let off = (found - expected).abs();
                assert!(off < tolerance, "{name}: {found} instead of {expected}");
            }
        }
        assert_eq!((found.3, found.4), (expected.3.clone(), expected.4), "{name}");
    }
}

#[test]
fn an_accumulated_training_resumes_with_the_same_bits() {
    let (x, y) = rows(40);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let fit = || Fit::new().batch_size(8).accumulate(2);
    for (name, device) in devices() {
        let mut through = ready(&device);
        through.fit(&x, &y, fit().epochs(3)).unwrap();
        // It is cut after the first update of the second epoch, and goes on from the file.
        let mut model = ready(&device);
        let cut = |epoch: usize, report: &gradus::StepReport| {
            assert_eq!(report.batches, 5);
            assert!([2, 4, 5].contains(&report.batch));
            if epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        model.fit(&x, &y, fit().epochs(3).on_step(cut).checkpoint(&path)).unwrap();
        let mut loaded = Model::load(&path, &device).unwrap();
        assert!((4..=6).contains(&loaded.steps()), "{name}: {}", loaded.steps());
        let fit = loaded.fit_to_resume().unwrap();
        loaded.fit(&x, &y, fit).unwrap();
        assert_eq!(flat(&loaded), flat(&through), "{name}");
        assert_eq!(loaded.steps(), 9, "{name}");
    }
}

#[test]
fn an_accumulation_without_a_known_divisor_is_refused() {
    let (x, mut y) = rows(24);
    let mut model = ready(&Device::cpu());
    let error = model.fit(&x, &y, Fit::new().accumulate(0)).unwrap_err();
    assert!(error.to_string().contains("at least 1"), "{error}");
    y[3] = -100;
    let error = model.fit(&x, &y, Fit::new().accumulate(2)).unwrap_err();
    assert!(error.to_string().contains("ignored"), "{error}");
    y[3] = 0;
    let mut model = network()
        .on(&Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), GradientDescent::new())
        .unwrap();
    let error = model.fit(&x, &y, Fit::new().accumulate(2)).unwrap_err();
    assert!(error.to_string().contains("adds up"), "{error}");
    let mut several = Population::new(network(), [Member::new(), Member::new()], &Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap();
    let error = several.fit(&x, &y, Fit::new().accumulate(2)).unwrap_err();
    assert!(error.to_string().contains("accumulate"), "{error}");
}
