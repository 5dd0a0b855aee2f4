//! Features of one byte: the same bits as numbers, whatever is done with them.

use gradus::activations::Relu;
use gradus::data::{Dataset, Target};
use gradus::layers::{Conv2d, Flatten, TokenEmbedding};
use gradus::losses::CrossEntropy;
use gradus::optimizers::Adam;
use gradus::{Augment, Dense, Device, FeatureElement, Fit, History, Model, Sequential};
use ndarray::{Array1, Array2, Array4, ArrayBase, Axis, Data, Ix4, s};

use crate::support::each_device;

const ROWS: usize = 30;

/// Images of an odd number of bytes, of all values.
fn pixels() -> (Array4<u8>, Array1<i64>) {
    let x = Array4::from_shape_fn((ROWS, 5, 3, 3), |(row, y, x, channel)| {
        (row * 89 + y * 31 + x * 7 + channel * 101) as u8
    });
    (x, Array1::from_shape_fn(ROWS, |row| (row % 3) as i64))
}

fn numbers(pixels: &Array4<u8>) -> Array4<f32> {
    pixels.mapv(|pixel| f32::from(pixel) / 255.0)
}

fn convolutional(device: &Device) -> Model {
    Sequential::images([5, 3, 3])
        .then(Conv2d::new(4, 3).padding(1).activation(Relu))
        .then(Flatten::new())
        .then(Dense::new(3))
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap()
}

/// A small network, which one kernel trains on a GPU.
fn dense(device: &Device) -> Model {
    Sequential::images([5, 3, 3])
        .then(Flatten::new())
        .then(Dense::new(6).activation(Relu))
        .then(Dense::new(3))
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap()
}

/// What a training is compared by: its losses, the predictions, and the weights.
#[derive(Debug, PartialEq)]
struct Outcome {
    steps: Vec<f64>,
    validated: Vec<Option<f64>>,
    predicted: Array2<f32>,
    weights: Vec<Vec<f64>>,
}

fn trained<S: Data<Elem: FeatureElement>>(
    mut model: Model,
    x: &ArrayBase<S, Ix4>,
    y: &Array1<i64>,
    fit: Fit,
) -> Outcome {
    let fit = fit
        .epochs(3)
        .batch_size(7)
        .validation_data(&x.slice(s![20.., .., .., ..]), &y.slice(s![20..]));
    let training = x.slice(s![..20, .., .., ..]);
    let History { steps, epochs, .. } = model.fit(&training, &y.slice(s![..20]), fit).unwrap();
    let validated = epochs.iter().map(|epoch| epoch.val_loss).collect();
    let named = model.named_parameters().unwrap();
    let weights = named.into_iter().map(|(_, values)| values.into_iter().collect()).collect();
    Outcome { steps, validated, predicted: model.predict(x).unwrap(), weights }
}

#[test]
fn pixels_are_the_numbers_of_idx_files_to_the_same_bits() {
    let (x, y) = pixels();
    let floats = numbers(&x);
    for device in each_device() {
        let name = device.name();
        for make in [convolutional, dense] {
            let augment = || Fit::new().augment(Augment::new().crop(1).flip(true).cutout(2));
            for fit in [Fit::new, augment] {
                let of_bytes = trained(make(&device), &x, &y, fit());
                assert_eq!(of_bytes, trained(make(&device), &floats, &y, fit()), "{name}");
            }
            // Scaled alike, and each by its own.
            let own: Vec<f64> = (0..45).map(|feature| 0.3 + 0.01 * f64::from(feature)).collect();
            for [mean, scale] in [[vec![0.4; 45], vec![0.3; 45]], [own.clone(), own]] {
                let scaled = || {
                    let mut model = make(&device);
                    model.set_input_scaling(mean.clone(), scale.clone()).unwrap();
                    model
                };
                let of_bytes = trained(scaled(), &x, &y, Fit::new());
                assert_eq!(of_bytes, trained(scaled(), &floats, &y, Fit::new()), "{name}");
            }
            let mut model = make(&device);
            let scores = [model.evaluate(&x, &y), model.evaluate(&floats, &y)].map(Result::unwrap);
            assert_eq!(scores[0], scores[1], "{name}");
            let [of_bytes, of_numbers] = [model.gradients(&x, &y), model.gradients(&floats, &y)];
            assert_eq!(of_bytes.unwrap(), of_numbers.unwrap(), "{name}");
        }
    }
}

#[test]
fn a_training_goes_on_with_pixels_as_numbers() {
    let (x, y) = pixels();
    let device = Device::cpu();
    let mut whole = convolutional(&device);
    whole.fit(&x, &y, Fit::new().epochs(4)).unwrap();
    let mut parts = convolutional(&device);
    parts.fit(&x, &y, Fit::new().epochs(2)).unwrap();
    let rest = parts.fit_to_resume().unwrap().epochs(2);
    let history = parts.fit(&numbers(&x), &y, rest).unwrap();
    assert_eq!(history.before, 2, "the rows are known again");
    assert_eq!(parts.named_parameters().unwrap(), whole.named_parameters().unwrap());
}

#[test]
fn pixels_of_a_view_ids_and_shapes() {
    let (x, y) = pixels();
    let device = Device::cpu();
    // Rows that are not contiguous.
    let mut turned = x.clone();
    turned.invert_axis(Axis(0));
    let copied = numbers(&turned.as_standard_layout().to_owned());
    let mut model = convolutional(&device);
    assert_eq!(model.predict(&turned).unwrap(), model.predict(&copied).unwrap());
    let message = model.predict(&x.slice(s![.., ..4, .., ..])).unwrap_err().to_string();
    assert!(message.contains("[30, 4, 3, 3]"), "{message}");
    // Bytes are ids to a model of ids.
    let mut of_ids = Sequential::tokens(2)
        .then(TokenEmbedding::new(4, 3))
        .then(Flatten::new())
        .on(&device)
        .unwrap();
    let ids = ndarray::array![[3_u8, 0], [1, 2]];
    assert_eq!(of_ids.predict(&ids).unwrap(), of_ids.predict(&ids.mapv(f32::from)).unwrap());
    assert!(of_ids.predict(&ndarray::array![[4_u8, 0]]).is_err());
    // A data set knows whether its numbers are pixels.
    let flat = numbers(&x).into_shape_with_order((ROWS, 45)).unwrap();
    let labels = Target::Labels { labels: y, classes: Vec::new() };
    let mut data = Dataset::new(flat, labels).unwrap();
    let found = data.pixels().unwrap();
    assert!(found.iter().eq(x.iter()));
    for other in [0.5, 1.1, -0.1] {
        data.features[[3, 4]] = other;
        assert!(data.pixels().is_none(), "{other}");
    }
}
