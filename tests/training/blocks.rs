//! Training on rows that come in blocks: identical to training on rows in memory, also when
//! interrupted and resumed.

use std::ops::ControlFlow;

use gradus::data::{Blocks, Dataset, Target, WeighedBlock};
use gradus::losses::{CrossEntropy, ListNet, Mse};
use gradus::optimizers::{Adam, GradientDescent};
use gradus::{ClassWeight, Dense, Device, Fit, Model, Sequential, Stop, random};
use ndarray::{Array1, Array2, s};

use crate::support::each_device;

const ROWS: usize = 230;

fn rows() -> (Array2<f32>, Array1<i64>) {
    let mut random = random::Random::new(5, 0);
    let x = Array2::from_shape_fn((ROWS, 3), |_| random.uniform() as f32 - 0.5);
    let y = x.rows().into_iter().map(|row| i64::from(row.sum() > 0.0)).collect();
    (x, y)
}

/// Rows split into blocks of the given sizes, whose order may change from epoch to epoch.
struct Cut {
    sizes: Vec<usize>,
    says: usize,
    rotates: bool,
}

fn cut(sizes: &[usize]) -> Cut {
    Cut { sizes: sizes.to_vec(), says: ROWS, rotates: false }
}

impl Blocks for Cut {
    fn rows(&self) -> usize {
        self.says
    }

    fn epoch(
        &mut self,
        epoch: u32,
    ) -> gradus::Result<Box<dyn Iterator<Item = gradus::Result<Dataset>> + '_>> {
        let (x, y) = rows();
        let mut first = 0;
        let mut blocks: Vec<Dataset> = Vec::new();
        for &size in &self.sizes {
            let labels = y.slice(s![first..first + size]).to_owned();
            let target = Target::Labels { labels, classes: vec!["0".into(), "1".into()] };
            blocks.push(Dataset::new(x.slice(s![first..first + size, ..]).to_owned(), target)?);
            first += size;
        }
        if self.rotates {
            let by = epoch as usize % blocks.len();
            blocks.rotate_left(by);
        }
        Ok(Box::new(blocks.into_iter().map(Ok)))
    }
}

fn model(device: &Device) -> Model {
    let layers = Sequential::new(3).then(Dense::new(8)).then(Dense::new(2)).seed(11);
    layers
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new().learning_rate(0.03))
        .unwrap()
}

fn saved(model: &Model) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    model.save(&path).unwrap();
    std::fs::read(path).unwrap()
}

const CUTS: [&[usize]; 4] = [&[230], &[100, 130], &[7, 1, 2, 100, 33, 87], &[16; 14]];

#[test]
fn blocks_in_order_train_as_rows_at_hand_do() {
    for device in each_device() {
        let (x, y) = rows();
        let fit = || Fit::new().epochs(3).batch_size(16).shuffle(false);
        let mut whole = model(&device);
        let expected = whole.fit(&x, &y, fit()).unwrap();
        for sizes in CUTS {
            if sizes.iter().sum::<usize>() < ROWS {
                continue;
            }
            let mut found = model(&device);
            let history = found.fit_blocks(&mut cut(sizes), Some(&mut cut(sizes)), fit()).unwrap();
            assert_eq!(history.steps, expected.steps, "{device:?} {sizes:?}");
            assert_eq!(found.weights().unwrap(), whole.weights().unwrap(), "{device:?} {sizes:?}");
            let last = history.epochs.last().unwrap();
            assert_eq!(last.accuracy, expected.epochs.last().unwrap().accuracy);
            let score = whole.evaluate(&x, &y).unwrap();
            assert!((last.val_loss.unwrap() - score.loss).abs() < 1e-6);
            assert_eq!(
                (last.val_accuracy, Some(found.evaluate_blocks(&mut cut(sizes)).unwrap().accuracy)),
                (score.accuracy, Some(score.accuracy))
            );
        }
    }
}

/// Row weights, some of them 0.
fn weights() -> Array1<f64> {
    Array1::from_shape_fn(ROWS, |row| (row % 4) as f64)
}

/// The same rows with weights; with `short`, one weight is missing in each block.
struct Weighed {
    rows: Cut,
    short: bool,
}

impl Blocks for Weighed {
    fn rows(&self) -> usize {
        self.rows.rows()
    }

    fn epoch(
        &mut self,
        epoch: u32,
    ) -> gradus::Result<Box<dyn Iterator<Item = gradus::Result<Dataset>> + '_>> {
        self.rows.epoch(epoch)
    }

    fn weighs(&self) -> bool {
        true
    }

    fn weighed_epoch(
        &mut self,
        epoch: u32,
    ) -> gradus::Result<Box<dyn Iterator<Item = gradus::Result<WeighedBlock>> + '_>> {
        let (mut first, short) = (0, usize::from(self.short));
        let weighed = move |block: gradus::Result<Dataset>| {
            let block = block?;
            let (start, count) = (first, block.rows());
            first += count;
            Ok((block, Some(weights().slice(s![start..start + count - short]).to_vec())))
        };
        Ok(Box::new(self.rows.epoch(epoch)?.map(weighed)))
    }
}

#[test]
fn weighed_blocks_train_as_weighed_rows_at_hand_do() {
    for device in each_device() {
        let (x, y) = rows();
        let fit = || {
            Fit::new()
                .epochs(3)
                .batch_size(16)
                .shuffle(false)
                .class_weight(ClassWeight::Each(vec![1.0, 5.0]))
        };
        let mut whole = model(&device);
        let with =
            fit().sample_weight(&weights()).validation_data(&x, &y).validation_weight(&weights());
        let expected = whole.fit(&x, &y, with).unwrap();
        let plain =
            model(&device).fit(&x, &y, Fit::new().epochs(3).batch_size(16).shuffle(false)).unwrap();
        for sizes in &CUTS[..3] {
            let weighed = || Weighed { rows: cut(sizes), short: false };
            let mut found = model(&device);
            let history = found.fit_blocks(&mut weighed(), Some(&mut weighed()), fit()).unwrap();
            let near = |one: f64, other: f64| (one - other).abs() < 1e-5;
            for (one, other) in history.epochs.iter().zip(&expected.epochs) {
                assert!(near(one.loss, other.loss), "{device:?} {sizes:?}: {one:?} {other:?}");
                assert!(
                    near(one.val_loss.unwrap(), other.val_loss.unwrap()),
                    "{device:?} {sizes:?}: {one:?} {other:?}"
                );
            }
            assert!(
                !near(history.epochs[2].loss, plain.epochs[2].loss),
                "{device:?}: the weights say nothing"
            );
        }
        let mut short = Weighed { rows: cut(&[230]), short: true };
        let message = model(&device).fit_blocks(&mut short, None, fit()).unwrap_err().to_string();
        assert!(message.contains("230 rows and 229 weights"), "{message}");
    }
}

#[test]
fn one_step_of_all_blocks_is_one_step_of_all_rows() {
    for device in each_device() {
        let (x, y) = rows();
        let layers = || {
            Sequential::new(3).then(Dense::new(8)).then(Dense::new(2)).seed(11).on(&device).unwrap()
        };
        let compiled = || layers().compile(CrossEntropy::new(), GradientDescent::new()).unwrap();
        let fit = || Fit::new().epochs(4).batch_size(32).shuffle(false);
        let (mut whole, mut found) = (compiled(), compiled());
        let expected = whole.fit(&x, &y, fit()).unwrap();
        let history = found.fit_blocks(&mut cut(&[100, 130]), None, fit()).unwrap();
        assert_eq!(history.steps.len(), 4);
        assert_eq!(history.steps, expected.steps, "{device:?}");
    }
}

#[test]
fn a_training_in_blocks_that_was_cut_goes_on_bit_by_bit() {
    for device in each_device() {
        let sizes = [100, 7, 60, 63];
        let blocks = || Cut { rotates: true, ..cut(&sizes) };
        let fit = || Fit::new().epochs(4).batch_size(9);
        let mut whole = model(&device);
        whole.fit_blocks(&mut blocks(), Some(&mut cut(&[230])), fit()).unwrap();
        for end in [1, 5, 26, 27, 40, 60] {
            let mut steps = 0;
            let ends = move |_: usize, _: &gradus::StepReport| {
                steps += 1;
                if steps >= end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m.safetensors");
            let mut first = model(&device);
            let history = first.fit_blocks(
                &mut blocks(),
                Some(&mut cut(&[230])),
                fit().on_step(ends).checkpoint(&path),
            );
            assert!(matches!(history.unwrap().stopped, Some(Stop::Asked { .. })));
            let mut rest = Model::load(&path, &device).unwrap();
            let fit = rest.fit_to_resume().unwrap();
            rest.fit_blocks(&mut blocks(), Some(&mut cut(&[230])), fit).unwrap();
            assert_eq!(saved(&rest), saved(&whole), "{device:?} {end}");
        }
    }
}

#[test]
fn numbers_are_measured_by_r2_as_rows_at_hand_are() {
    /// Rows with numeric targets.
    struct Numbers;
    let y = || rows().0.sum_axis(ndarray::Axis(1)).insert_axis(ndarray::Axis(1));
    impl Blocks for Numbers {
        fn rows(&self) -> usize {
            ROWS
        }

        fn epoch(
            &mut self,
            _: u32,
        ) -> gradus::Result<Box<dyn Iterator<Item = gradus::Result<Dataset>> + '_>> {
            Ok(Box::new([(0, 90), (90, ROWS)].into_iter().map(|(first, end)| {
                let x = rows().0.slice(s![first..end, ..]).to_owned();
                let y = x.sum_axis(ndarray::Axis(1)).insert_axis(ndarray::Axis(1));
                Dataset::new(x, Target::Values(y))
            })))
        }
    }
    for loss in ["mse", "huber"] {
        let made = || {
            let layers = Sequential::new(3)
                .then(Dense::new(8))
                .then(Dense::new(1))
                .seed(11)
                .on(&Device::cpu())
                .unwrap();
            let loss = gradus::losses::from_name(loss, &serde_json::Value::Null).unwrap();
            layers.compile_boxed(loss, Box::new(Adam::new().learning_rate(0.03))).unwrap()
        };
        let fit = || Fit::new().epochs(3).batch_size(16).shuffle(false);
        let whole = made().fit(&rows().0, &y(), fit().validation_data(&rows().0, &y())).unwrap();
        let found = made().fit_blocks(&mut Numbers, Some(&mut Numbers), fit()).unwrap();
        let close =
            |one: Option<f64>, other: Option<f64>| (one.unwrap() - other.unwrap()).abs() < 1e-6;
        for (one, other) in found.epochs.iter().zip(&whole.epochs) {
            assert!(close(one.val_r2, other.val_r2), "{loss}: {one:?} {other:?}");
            assert!(loss != "mse" || close(one.r2, other.r2), "{one:?} {other:?}");
        }
    }
}

#[test]
fn blocks_that_do_not_fit_are_reported() {
    let fails = |blocks: &mut Cut, fit: Fit| {
        model(&Device::cpu()).fit_blocks(blocks, None, fit).unwrap_err().to_string()
    };
    let fit = || Fit::new().batch_size(16);
    for (says, word) in [(229, "230 rows or more"), (240, "brought 230 rows"), (0, "the blocks")] {
        let message = fails(&mut Cut { says, ..cut(&[100, 130]) }, fit());
        assert!(message.contains(word), "{message}");
    }
    let message = fails(&mut cut(&[230]), fit().validation_split(0.1));
    assert!(message.contains("validation_split"), "{message}");
    let message = fails(&mut cut(&[230]), fit().sample_weight(&Array1::from_elem(230, 1.0)));
    assert!(
        message.contains("sample_weight is given") && message.contains("weighed_epoch"),
        "{message}"
    );
    let message = fails(&mut cut(&[230]), fit().class_weight(ClassWeight::Each(vec![1.0; 3])));
    assert!(
        message.contains("class_weight has 3 numbers") && message.contains("2: one for each class"),
        "{message}"
    );
    let layers = Sequential::new(3).then(Dense::new(1)).on(&Device::cpu()).unwrap();
    let mut lists = layers.compile(ListNet::new(), Adam::new()).unwrap();
    let message = lists.fit_blocks(&mut cut(&[230]), None, fit()).unwrap_err().to_string();
    assert!(message.contains("lists"), "{message}");
    let layers = Sequential::new(4).then(Dense::new(2)).on(&Device::cpu()).unwrap();
    let message = layers
        .compile(Mse::new(), Adam::new())
        .unwrap()
        .fit_blocks(&mut cut(&[230]), None, fit())
        .unwrap_err()
        .to_string();
    assert!(message.contains("[rows, 4]"), "{message}");
}
