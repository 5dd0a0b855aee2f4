//! Copies of a model, on its device and on others.

use gradus::activations::Relu;
use gradus::layers::{BatchNorm, Dropout};
use gradus::losses::CrossEntropy;
use gradus::optimizers::Adam;
use gradus::{Average, Dense, Device, Fit, Model, ParameterGroups, Sequential};
use ndarray::{Array1, Array2};

use crate::support::each_device;

fn rows() -> (Array2<f32>, Array1<i64>) {
    let x = Array2::from_shape_fn((60, 5), |(row, column)| ((row * 7 + column * 5) % 13) as f32);
    (x, (0..60).map(|row| row * row % 3).collect())
}

fn model(device: &Device) -> Model {
    let mut model = Sequential::new(5)
        .then(Dense::new(8).activation(Relu))
        .then(BatchNorm::new())
        .then(Dropout::new(0.2))
        .then(Dense::new(3))
        .seed(7)
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new().learning_rate(0.01))
        .unwrap();
    model.set_input_scaling(vec![6.0; 5], vec![4.0; 5]).unwrap();
    let groups = ParameterGroups::new().learning_rate("layers.3.bias", 0.5);
    model.set_parameter_groups(groups).unwrap();
    model
}

fn fit(epochs: usize) -> Fit {
    Fit::new().epochs(epochs).batch_size(16).average(Average::new(0.9))
}

#[test]
fn a_copy_goes_on_as_the_model_does() {
    let (x, y) = rows();
    for device in each_device() {
        let mut model = model(&device);
        model.fit(&x, &y, fit(3)).unwrap();
        let mut copy = model.copy_on(&device).unwrap();
        assert_eq!(copy.steps(), model.steps());
        let one = model.fit(&x, &y, fit(2)).unwrap();
        let other = copy.fit(&x, &y, fit(2)).unwrap();
        let losses = |history: &gradus::History| -> Vec<u64> {
            history.epochs.iter().map(|epoch| epoch.loss.to_bits()).collect()
        };
        assert_eq!(losses(&one), losses(&other), "on {}", device.describe());
        assert!(model.named_parameters().unwrap() == copy.named_parameters().unwrap());
        assert!(model.named_statistics().unwrap() == copy.named_statistics().unwrap());
        let averaged = |model: &Model| model.averaged().unwrap().named_parameters().unwrap();
        assert!(averaged(&model) == averaged(&copy), "averages on {}", device.describe());
        // They are two models.
        copy.fit(&x, &y, fit(1)).unwrap();
        assert!(model.named_parameters().unwrap() != copy.named_parameters().unwrap());
    }
}

#[test]
fn a_copy_on_another_device_predicts_the_same() {
    let (x, y) = rows();
    let mut exact = model(&Device::reference());
    exact.fit(&x, &y, fit(3)).unwrap();
    let expected = exact.predict_f64(&x).unwrap();
    for device in each_device() {
        let mut copy = exact.copy_on(&device).unwrap();
        let found = copy.predict_f64(&x).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            // 24 roundings of numbers up to 10, of 6e-8 each.
            assert!(
                (found - expected).abs() < 1.5e-5,
                "{found} {expected} on {}",
                device.describe()
            );
        }
        copy.fit(&x, &y, fit(1)).unwrap();
    }
    // Without a loss it is copied too.
    let plain = Sequential::new(2).then(Dense::new(1)).on(&Device::cpu()).unwrap();
    let copy = plain.copy_on(&Device::cpu()).unwrap();
    assert!(copy.named_parameters().unwrap() == plain.named_parameters().unwrap());
}
