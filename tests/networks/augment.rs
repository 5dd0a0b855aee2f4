//! Augmentation: what a network sees of each image, found from its loss.
//!
//! The network is linear with the weight i + 1 for number i of its input, and an image has a single
//! number that is not 0: the loss (i + 1)² of a batch of one says where it has gone.

use std::collections::HashMap;

use gradus::activations::Relu;
use gradus::data::{Blocks, Dataset, Target};
use gradus::layers::{BatchNorm, Conv2d, Flatten, GlobalAvgPool2d};
use gradus::losses::{CrossEntropy, ListNet, Mse};
use gradus::optimizers::{Adam, Sgd};
use gradus::random::philox;
use gradus::{Augment, Dense, Device, EarlyStopping, Error, Fit, Model, Population, Sequential};
use ndarray::{Array1, Array2, Array4, s};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::devices;

const SHAPE: [usize; 3] = [4, 5, 2];
const NUMBERS: usize = 4 * 5 * 2;
const SEED: u64 = 11;

fn all() -> Augment {
    Augment::new().crop(2).flip(true).cutout(2)
}

/// Image r has a 1 at its number r modulo their count.
fn images(rows: usize) -> (Array4<f32>, Array2<f32>) {
    let x = Array2::from_shape_fn((rows, NUMBERS), |(row, number)| {
        f32::from(u8::from(row % NUMBERS == number))
    });
    let [height, width, channels] = SHAPE;
    (x.into_shape_with_order((rows, height, width, channels)).unwrap(), Array2::zeros((rows, 1)))
}

/// The linear network, whose weights stay as they are.
fn linear(device: &Device, folder: &tempfile::TempDir) -> Model {
    let mut model = Sequential::images(SHAPE)
        .then(Flatten::new())
        .then(Dense::new(1).bias(false))
        .seed(SEED)
        .on(device)
        .unwrap()
        .compile(Mse::new(), Sgd::new().learning_rate(0.0))
        .unwrap();
    let path = folder.path().join("weights.safetensors");
    model.save_weights(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (name, tensor) = file.iter().next().unwrap();
    assert_eq!(tensor.shape(), [1, NUMBERS]);
    // A file of weights has a flattened image in PyTorch's order, channels first.
    let [height, width, channels] = SHAPE;
    let pixels = height * width;
    let number = |at: usize| at % pixels * channels + at / pixels;
    let weights: Vec<u8> =
        (0..NUMBERS).flat_map(|at| (number(at) as f32 + 1.0).to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![1, NUMBERS], &weights).unwrap();
    let metadata: Option<HashMap<String, String>> = None;
    let bytes = safetensors::serialize([(name, view)], metadata).unwrap();
    std::fs::write(&path, bytes).unwrap();
    model.load_weights(&path).unwrap();
    model
}

/// For each row the number of the input, counted from 1, where its 1 has gone; 0 if it is lost.
fn places(model: &mut Model, rows: usize, fit: Fit) -> Vec<usize> {
    let (x, y) = images(rows);
    let history = model.fit(&x, &y, fit.batch_size(1).progress(false)).unwrap();
    let place = |loss: &f64| {
        let place = loss.sqrt().round();
        assert_eq!(place * place, *loss);
        place as usize
    };
    history.steps.iter().map(place).collect()
}

/// As [`places`], from the definition.
fn expected(rows: usize, epoch: u32) -> Vec<usize> {
    let [height, width, channels] = SHAPE.map(|size| size as i64);
    let below = |word: u32, count: i64| ((u64::from(word) * count as u64) >> 32) as i64;
    let place = |row: usize| {
        let draw = |number| philox([row as u32, 0x6175_676d, epoch, number], [SEED as u32, 0]);
        let ([down, right, mirror, _], [y, x, ..]) = (draw(0), draw(1));
        let (down, right) = (below(down, 5) - 2, below(right, 5) - 2);
        let (top, left) = (below(y, height) - 1, below(x, width) - 1);
        let number = (row % NUMBERS) as i64;
        let (pixel, channel) = (number / channels, number % channels);
        // The reverse of what the network's input takes from the image.
        let (y, mut x) = (pixel / width - down, pixel % width - right);
        if !(0..height).contains(&y) || !(0..width).contains(&x) {
            return 0;
        }
        if mirror >= 1 << 31 {
            x = width - 1 - x;
        }
        if (top..top + 2).contains(&y) && (left..left + 2).contains(&x) {
            return 0;
        }
        ((y * width + x) * channels + channel + 1) as usize
    };
    (0..rows).map(place).collect()
}

#[test]
fn every_device_trains_on_the_images_that_the_definition_gives() {
    let folder = tempfile::tempdir().unwrap();
    for (name, device) in devices() {
        let mut model = linear(&device, &folder);
        let fit = Fit::new().epochs(2).shuffle(false).augment(all());
        let found = places(&mut model, 120, fit);
        let expected = [expected(120, 0), expected(120, 1)];
        assert_eq!(found, expected.concat(), "{name}");
        assert_ne!(expected[0], expected[1]);
        assert!(expected[0].iter().filter(|&&place| place == 0).count() > 20);
    }
}

#[test]
fn an_image_changes_alike_in_any_order_and_any_batch() {
    let folder = tempfile::tempdir().unwrap();
    let expected = expected(90, 0);
    for (name, device) in devices() {
        let mut model = linear(&device, &folder);
        let mut found = places(&mut model, 90, Fit::new().augment(all()));
        assert_ne!(found, expected, "{name}: they are shuffled");
        let mut sorted = expected.clone();
        found.sort_unstable();
        sorted.sort_unstable();
        assert_eq!(found, sorted, "{name}");
        for size in [7, 90] {
            let mut model = linear(&device, &folder);
            let (x, y) = images(90);
            let fit = Fit::new().batch_size(size).shuffle(false).augment(all()).progress(false);
            let steps = model.fit(&x, &y, fit).unwrap().steps;
            let squares = |part: &[usize]| {
                part.iter().map(|place| (place * place) as f64).sum::<f64>() / part.len() as f64
            };
            let means: Vec<f64> = expected.chunks(size).map(squares).collect();
            assert_eq!(steps.len(), means.len());
            for (found, expected) in steps.iter().zip(&means) {
                let off = (found - expected).abs();
                assert!(off <= 1e-5 * expected, "{name}, batches of {size}: {found}, {expected}");
            }
        }
    }
}

/// The rows of [`images`] in blocks of 15.
struct InBlocks(usize);

impl Blocks for InBlocks {
    fn rows(&self) -> usize {
        self.0
    }

    fn epoch(
        &mut self,
        _epoch: u32,
    ) -> gradus::Result<Box<dyn Iterator<Item = gradus::Result<Dataset>> + '_>> {
        let (x, y) = images(self.0);
        let x = x.into_shape_with_order((self.0, NUMBERS)).unwrap();
        Ok(Box::new((0..self.0).step_by(15).map(move |first| {
            let rows = first..first + 15;
            let values = y.slice(s![rows.clone(), ..]).to_owned();
            Dataset::new(x.slice(s![rows, ..]).to_owned(), Target::Values(values))
        })))
    }
}

#[test]
fn images_in_blocks_change_as_those_that_are_loaded_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let expected: Vec<f64> =
        expected(60, 0).into_iter().map(|place| (place * place) as f64).collect();
    for (name, device) in devices() {
        let mut model = linear(&device, &folder);
        let fit = Fit::new().batch_size(1).shuffle(false).augment(all()).progress(false);
        let history = model.fit_blocks(&mut InBlocks(60), None, fit).unwrap();
        assert_eq!(history.steps, expected, "{name}");
    }
}

#[test]
fn validation_evaluation_and_prediction_see_the_images_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (x, y) = images(NUMBERS);
    let plain = (1..=NUMBERS).map(|place| (place * place) as f64).sum::<f64>() / NUMBERS as f64;
    for (name, device) in devices() {
        let mut model = linear(&device, &folder);
        let fit = Fit::new().augment(all()).validation_data(&x, &y).progress(false);
        let history = model.fit(&x, &y, fit).unwrap();
        assert!((history.epochs[0].loss - plain).abs() > 0.1 * plain, "{name}");
        let score = model.evaluate(&x, &y).unwrap().loss;
        for loss in [history.epochs[0].val_loss.unwrap(), score] {
            assert!((loss - plain).abs() < 1e-5 * plain, "{name}: {loss}, {plain}");
        }
        let predictions = model.predict(&x).unwrap();
        let expected: Vec<f32> = (1..=NUMBERS).map(|place| place as f32).collect();
        assert_eq!(predictions.into_raw_vec_and_offset().0, expected, "{name}");
        // The next training without it sees them as they are, too.
        let plain = places(&mut model, NUMBERS, Fit::new().shuffle(false));
        assert_eq!(plain, (1..=NUMBERS).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn flips_and_crops_occur_as_often_as_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = linear(&Device::cpu(), &folder);
    let rows = 40 * NUMBERS;
    let fit = |augment: Augment| Fit::new().shuffle(false).augment(augment);
    let position = |number: usize| (number / 2 / 5, number / 2 % 5);
    let found = places(&mut model, rows, fit(Augment::new().flip(true)));
    // The middle column of five stays.
    let moved =
        found.iter().enumerate().filter(|&(row, place)| row % NUMBERS + 1 != *place).count();
    let expected = 0.5 * 0.8 * rows as f64;
    assert!((moved as f64 - expected).abs() < 5.0 * (0.24 * rows as f64).sqrt(), "{moved}");
    for (row, place) in found.iter().enumerate() {
        let ((y, x), (to_y, to_x)) = (position(row % NUMBERS), position(place - 1));
        assert!(to_y == y && (to_x == x || to_x == 4 - x), "row {row}: {place}");
    }
    let found = places(&mut model, rows, fit(Augment::new().crop(1)));
    let mut counts = HashMap::new();
    for (row, place) in found.iter().enumerate() {
        let (y, x) = position(row % NUMBERS);
        // Those in the middle cannot leave.
        if (1..3).contains(&y) && (1..4).contains(&x) {
            let (to_y, to_x) = position(place - 1);
            let offset = [to_y as i64 - y as i64, to_x as i64 - x as i64];
            *counts.entry(offset).or_insert(0) += 1;
        }
    }
    // 480 rows and nine offsets of the same probability.
    assert_eq!(counts.len(), 9);
    assert!(counts.values().all(|&count| (20..=90).contains(&count)), "{counts:?}");
}

/// A small convolutional classifier.
fn classifier(device: &Device) -> Model {
    Sequential::images(SHAPE)
        .then(Conv2d::new(4, 3).padding(1))
        .then(BatchNorm::new().activation(Relu))
        .then(GlobalAvgPool2d::new())
        .then(Dense::new(3))
        .seed(5)
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new().learning_rate(0.02))
        .unwrap()
}

fn classes(rows: usize) -> Array1<i64> {
    (0..rows).map(|row| (row % 3) as i64).collect()
}

#[test]
fn a_training_that_is_resumed_goes_on_with_the_same_images() {
    let (x, y) = (images(30).0, classes(30));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let stopping = || EarlyStopping::new().patience(9);
    for (name, device) in devices() {
        let fit = || {
            let fit = Fit::new().batch_size(8).augment(all()).early_stopping(stopping());
            fit.progress(false)
        };
        let mut through = classifier(&device);
        through.fit(&x, &y, fit().epochs(3)).unwrap();
        let mut begun = classifier(&device);
        // Ended by a callback after the second batch of the second epoch.
        let ends = |epoch: usize, step: &gradus::StepReport| match (epoch, step.batch) {
            (2, 2..) => std::ops::ControlFlow::Break(()),
            _ => std::ops::ControlFlow::Continue(()),
        };
        begun.fit(&x, &y, fit().epochs(3).on_step(ends)).unwrap();
        begun.save(&path).unwrap();
        let mut loaded = Model::load(&path, &device).unwrap();
        let again = loaded.fit_to_resume().unwrap();
        loaded.fit(&x, &y, again.progress(false)).unwrap();
        let [found, expected] = [&loaded, &through].map(|model| model.named_parameters().unwrap());
        assert_eq!(found, expected, "{name}");
        let mut plain = classifier(&device);
        plain.fit(&x, &y, fit().augment(Augment::new()).epochs(3)).unwrap();
        assert_ne!(plain.named_parameters().unwrap(), expected, "{name}");
    }
}

#[test]
fn devices_agree_on_an_augmented_training() {
    let (x, y) = (images(32).0, classes(32));
    let steps = |device: &Device| {
        let fit = Fit::new().epochs(3).batch_size(8).augment(all()).progress(false);
        classifier(device).fit(&x, &y, fit).unwrap().steps
    };
    let expected = steps(&Device::reference());
    for (name, device) in devices() {
        for (step, (found, expected)) in steps(&device).iter().zip(&expected).enumerate() {
            let off = (found - expected).abs();
            assert!(off <= 1e-3 * expected, "{name}, step {step}: {found}, {expected}");
        }
    }
}

#[test]
fn what_cannot_be_augmented_is_refused() {
    let device = Device::cpu();
    let text =
        |result: Result<_, Error>| result.map(|_: gradus::History| ()).unwrap_err().to_string();
    let (x, y) = images(4);
    let mut dense = Sequential::new(NUMBERS)
        .then(Dense::new(1))
        .on(&device)
        .unwrap()
        .compile(Mse::new(), Adam::new())
        .unwrap();
    let rows = x.view().into_shape_with_order((4, NUMBERS)).unwrap();
    let found = text(dense.fit(&rows, &y, Fit::new().augment(all())));
    assert!(found.contains("augment") && found.contains("[40]"), "{found}");
    assert!(dense.fit(&rows, &y, Fit::new().augment(Augment::new()).progress(false)).is_ok());
    let mut model = classifier(&device);
    let found = text(model.fit(&x, &classes(4), Fit::new().augment(Augment::new().crop(4))));
    assert!(found.contains("crop") && found.contains("0 to 3"), "{found}");
    let found = text(model.fit(&x, &classes(4), Fit::new().augment(Augment::new().cutout(5))));
    assert!(found.contains("cutout") && found.contains("0 to 4"), "{found}");
    let mut lists = Sequential::images(SHAPE)
        .then(Flatten::new())
        .then(Dense::new(1))
        .on(&device)
        .unwrap()
        .compile(ListNet::new(), Adam::new())
        .unwrap();
    let relevance = ndarray::array![1.0_f32, 0.0, 2.0, 0.0];
    let grouped = gradus::Targets::grouped(&relevance, &[2, 2]);
    let found = text(lists.fit(&x, grouped, Fit::new().augment(all())));
    assert!(found.contains("augment") && found.contains("lists"), "{found}");
    let network = Sequential::new(NUMBERS).then(Dense::new(1));
    let members = [gradus::Member::new(), gradus::Member::new().seed(9)];
    let mut population = Population::new(network, members, &device)
        .unwrap()
        .compile(Mse::new(), Adam::new())
        .unwrap();
    let error = population.fit(&rows, &y, Fit::new().augment(all())).unwrap_err().to_string();
    assert!(error.contains("augment"), "{error}");
}
