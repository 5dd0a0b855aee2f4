//! Trainings that end at a step, and rows that are made anew in each epoch.

use std::ops::ControlFlow;

use gradus::data::text::{MaskedTokens, shifted_sequences};
use gradus::layers::{PositionEmbedding, SelfAttention, TokenEmbedding};
use gradus::losses::CrossEntropy;
use gradus::optimizers::{Adam, GradientDescent};
use gradus::schedules::Cosine;
use gradus::{
    Average, Dense, Device, EarlyStopping, Error, Fit, Member, Model, Population, Sequential,
};
use ndarray::{Array1, Array2};

use crate::support::each_device;

fn rows() -> (Array2<f32>, Array1<i64>) {
    let x = Array2::from_shape_fn((22, 3), |(row, column)| ((row * 7 + 3 * column) % 11) as f32);
    (x, Array1::from_shape_fn(22, |row| (row % 3) as i64))
}

fn model(device: &Device) -> Model {
    Sequential::new(3)
        .then(Dense::new(5))
        .then(Dense::new(3))
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap()
}

fn weights(model: &Model) -> Vec<Vec<f64>> {
    let named = model.named_parameters().unwrap();
    named.into_iter().map(|(_, values)| values.into_iter().collect()).collect()
}

/// Six batches an epoch.
fn fit() -> Fit {
    Fit::new()
        .batch_size(4)
        .epochs(50)
        .schedule(Cosine::new().steps(20_u64))
        .average(Average::new(0.9))
}

#[test]
fn a_training_of_steps_is_the_beginning_of_a_longer_one() {
    let (x, y) = rows();
    for device in each_device() {
        let name = device.name();
        let long = model(&device).fit(&x, &y, fit().epochs(3)).unwrap();
        for steps in [1, 5, 6, 7, 12, 13] {
            let mut short = model(&device);
            let history = short.fit(&x, &y, fit().steps(steps)).unwrap();
            assert_eq!(history.steps, long.steps[..steps], "{name}, {steps}");
            assert_eq!(short.steps(), steps as u64, "{name}");
            assert_eq!(history.epochs.len(), steps.div_ceil(6), "{name}, {steps}");
            assert!(history.stopped.is_none(), "{name}: {:?}", history.stopped);
            // A whole epoch is that of the longer training; a part has the mean of its rows.
            assert_eq!(
                history.epochs[0].loss == long.epochs[0].loss,
                steps >= 6,
                "{name}, {steps}"
            );
            let last = history.epochs.last().unwrap();
            assert!(last.accuracy.is_some_and(|share| (0.0..=1.0).contains(&share)), "{name}");
            if steps == 7 {
                assert_eq!(last.loss, history.steps[6], "{name}");
            }
        }
        // An update of three batches is a step; the epoch's last one has fewer.
        let mut accumulated = model(&device);
        accumulated.fit(&x, &y, fit().accumulate(4).steps(3)).unwrap();
        assert_eq!((accumulated.steps(), accumulated.history().len()), (3, 2), "{name}");
        // A training is over at its epochs too.
        let mut few = model(&device);
        few.fit(&x, &y, fit().epochs(1).steps(100)).unwrap();
        assert_eq!(few.steps(), 6, "{name}");
    }
}

#[test]
fn an_interrupted_training_ends_at_the_same_step() {
    let (x, y) = rows();
    for device in each_device() {
        let name = device.name();
        let mut whole = model(&device);
        let history = whole.fit(&x, &y, fit().steps(10)).unwrap();
        for end in [2, 6, 9] {
            let mut first = model(&device);
            let mut left = end;
            let ends = move |_: usize, _: &gradus::StepReport| {
                left -= 1;
                if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            first.fit(&x, &y, fit().steps(10).on_step(ends)).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model.safetensors");
            first.save(&path).unwrap();
            let mut again = Model::load(&path, &device).unwrap();
            let rest = again.fit_to_resume().unwrap();
            let resumed = again.fit(&x, &y, rest).unwrap();
            assert_eq!(again.steps(), 10, "{name}, {end}");
            assert_eq!(weights(&again), weights(&whole), "{name}, {end}");
            let losses = |history: &gradus::History| {
                history.epochs.iter().map(|epoch| epoch.loss).collect::<Vec<_>>()
            };
            assert_eq!(losses(&resumed), losses(&history), "{name}, {end}");
            // It is over; epochs of its own go on behind it.
            let over = again.fit_to_resume().unwrap();
            again.fit(&x, &y, over).unwrap();
            assert_eq!(again.steps(), 10, "{name}");
            let more = again.fit_to_resume().unwrap().epochs(1);
            again.fit(&x, &y, more).unwrap();
            assert_eq!(again.steps(), 16, "{name}");
        }
    }
}

#[test]
fn steps_of_a_resumed_training_begin_behind_its_last_one() {
    let (x, y) = rows();
    // A learning rate at which the first epochs are the best.
    let mut model = Sequential::new(3)
        .then(Dense::new(3))
        .on(&Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new().learning_rate(3.0))
        .unwrap();
    let plain = || Fit::new().batch_size(4).validation_split(0.3);
    let early = EarlyStopping::new().patience(50).restore_best(true);
    model.fit(&x, &y, plain().epochs(10).early_stopping(early)).unwrap();
    // 16 rows are four batches an epoch.
    let best = model.steps();
    assert!(best < 40, "the best weights are those of step {best}");
    let history = model.fit(&x, &y, plain().epochs(50).resume(true).steps(5)).unwrap();
    assert_eq!((history.steps.len(), model.steps()), (5, 45));
}

#[test]
fn steps_are_refused_where_they_mean_nothing() {
    let (x, y) = rows();
    let refused = model(&Device::cpu()).fit(&x, &y, Fit::new().steps(0)).unwrap_err().to_string();
    assert!(refused.contains("steps is 0"), "{refused}");
    let layers = || Sequential::new(3).then(Dense::new(3));
    let mut population = Population::new(layers(), [Member::new()], &Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap();
    let error = population.fit(&x, &y, Fit::new().steps(1)).unwrap_err();
    assert!(matches!(&error, Error::Option { name, .. } if name == "steps"), "{error}");
    // All rows are one step.
    let mut whole = layers()
        .on(&Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), GradientDescent::new())
        .unwrap();
    whole.fit(&x, &y, Fit::new().batch_size(4).epochs(9).steps(3)).unwrap();
    assert_eq!((whole.steps(), whole.history().len()), (3, 3));
}

fn of_tokens(device: &Device) -> Model {
    Sequential::tokens(6)
        .then(TokenEmbedding::new(12, 8))
        .then(PositionEmbedding::new())
        .then(SelfAttention::new(2))
        .then(Dense::new(12))
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap()
}

#[test]
fn epochs_of_the_same_rows_are_a_plain_training() {
    let ids: Vec<i64> = (0..100).map(|place| place * place % 12).collect();
    let (x, y) = shifted_sequences(&ids, 6, 1, 0).unwrap();
    for device in each_device() {
        let name = device.name();
        let (mut plain, mut made) = (of_tokens(&device), of_tokens(&device));
        let fit = || Fit::new().epochs(3).batch_size(4).accumulate(2).validation_data(&x, &y);
        let of_plain = plain.fit(&x, &y, fit()).unwrap();
        let of_made = made.fit_epochs(|_| Ok((x.clone(), y.clone())), fit()).unwrap();
        assert_eq!(of_made.steps, of_plain.steps, "{name}");
        assert_eq!(weights(&made), weights(&plain), "{name}");
        let numbers = |history: &gradus::History| {
            let of = |epoch: &gradus::Epoch| (epoch.loss, epoch.accuracy, epoch.val_loss);
            history.epochs.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&of_made), numbers(&of_plain), "{name}");
    }
}

#[test]
fn epochs_of_their_own_rows_resume_to_the_same_bits() {
    let ids: Vec<i64> = (0..100).map(|place| place * place % 12).collect();
    let rows = shifted_sequences(&ids, 6, 1, 0).unwrap().0;
    let masked = MaskedTokens::new(0, 12).share(0.3);
    for device in each_device() {
        let name = device.name();
        let make = |epoch: u32| masked.rows(&rows, u64::from(epoch));
        let fit = || Fit::new().epochs(4).batch_size(4);
        let mut whole = of_tokens(&device);
        let mut asked = Vec::new();
        let history = whole
            .fit_epochs(
                |epoch| {
                    asked.push(epoch);
                    make(epoch)
                },
                fit(),
            )
            .unwrap();
        assert_eq!(asked, [0, 1, 2, 3], "{name}");
        // The accuracy is of the tokens that are targets, whose number is another in each epoch.
        for (number, epoch) in history.epochs.iter().enumerate() {
            let labels = make(number as u32).unwrap().1;
            let counted = labels.iter().filter(|label| **label != -100).count() as f64;
            let correct = epoch.accuracy.unwrap() * counted;
            assert!((correct - correct.round()).abs() < 1e-9, "{name}: {correct}");
        }
        let mut parts = of_tokens(&device);
        let mut left = 7; // in the midst of the second epoch
        let ends = move |_: usize, _: &gradus::StepReport| {
            left -= 1;
            if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        parts.fit_epochs(make, fit().on_step(ends)).unwrap();
        let rest = parts.fit_to_resume().unwrap();
        parts.fit_epochs(make, rest).unwrap();
        assert_eq!(weights(&parts), weights(&whole), "{name}");
        // A part of an epoch has no accuracy if labels are ignored: which ones is not known.
        let mut short = of_tokens(&device);
        let history = short.fit_epochs(make, fit().steps(2)).unwrap();
        assert_eq!((history.epochs[0].accuracy, short.steps()), (None, 2), "{name}");
    }
}

#[test]
fn epochs_that_do_not_fit_are_refused() {
    let ids: Vec<i64> = (0..100).map(|place| place % 12).collect();
    let mut model = of_tokens(&Device::cpu());
    let before = weights(&model);
    let fewer = |epoch: u32| {
        let (x, y) = shifted_sequences(&ids, 6, 1, epoch)?;
        let rows = x.nrows() - epoch as usize;
        Ok((
            x.slice(ndarray::s![..rows, ..]).to_owned(),
            y.slice(ndarray::s![..rows, ..]).to_owned(),
        ))
    };
    let message = model.fit_epochs(fewer, Fit::new().epochs(2)).unwrap_err().to_string();
    assert!(message.contains("epoch 1") && message.contains("15, as in epoch 0"), "{message}");
    assert_ne!(weights(&model), before, "the first epoch was trained");
    let rows = shifted_sequences(&ids, 6, 1, 0).unwrap().0;
    let masked = MaskedTokens::new(0, 12);
    let make = |epoch: u32| masked.rows(&rows, u64::from(epoch));
    let split = Fit::new().validation_split(0.5);
    let weighed = Fit::new().sample_weight(&Array1::<f64>::ones(15));
    for (fit, part) in [(split, "validation_split"), (weighed, "sample_weight")] {
        let message = model.fit_epochs(make, fit).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let failing = |epoch: u32| match epoch {
        0 => make(0),
        _ => Err(Error::Empty { operation: "a test".into(), name: "its rows".into() }),
    };
    let mut model = of_tokens(&Device::cpu());
    let error = model.fit_epochs(failing, Fit::new().epochs(2)).unwrap_err();
    assert!(matches!(&error, Error::Empty { operation, .. } if operation == "a test"), "{error}");
}
