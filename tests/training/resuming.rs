//! An interrupted training resumes as if it had not been interrupted: the files are equal, byte by
//! byte.

use std::ops::ControlFlow;
use std::path::Path;

use gradus::activations::Tanh;
use gradus::losses::{CrossEntropy, Mse};
use gradus::optimizers::{Adam, AdamW, GradientDescent, ScheduleFreeAdamW, Sgd};
use gradus::schedules::{Cosine, ReduceOnPlateau};
use gradus::{
    Average, ClassWeight, Dense, Device, EarlyStopping, Fit, HeldOut, Model, Sequential, Stop,
    random,
};
use ndarray::{Array1, Array2, s};

use crate::support::each_device;

/// Rows with three features and a class from their sum, with some labels wrong, so that a network
/// overfits.
fn rows(count: usize, seed: u64) -> (Array2<f32>, Array1<i64>) {
    let mut random = random::Random::new(seed, 0);
    let x = Array2::from_shape_fn((count, 3), |_| random.uniform() as f32 - 0.5);
    let y = x
        .rows()
        .into_iter()
        .map(|row| i64::from(row.sum() > 0.0) ^ i64::from(random.uniform() < 0.2))
        .collect();
    (x, y)
}

const ROWS: usize = 240;

fn small(device: &Device) -> Model {
    let layers = Sequential::new(3)
        .then(Dense::new(16).activation(Tanh))
        .then(Dense::new(2))
        .seed(11)
        .l2(1e-4);
    layers
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new().learning_rate(0.03))
        .unwrap()
}

/// Trains on three quarters of the rows and validates on the rest.
fn train(model: &mut Model, fit: Fit) -> gradus::History {
    let (x, y) = rows(ROWS, 5);
    let held_back = ROWS / 4 * 3;
    let (train, validation) = (s![..held_back, ..], s![held_back.., ..]);
    let (train_y, validation_y) =
        (y.slice(s![..held_back]).to_owned(), y.slice(s![held_back..]).to_owned());
    let fit = fit.validation_data(&x.slice(validation).to_owned(), &validation_y);
    model.fit(&x.slice(train), &train_y, fit).unwrap()
}

/// Breaks at the n-th callback.
fn break_at(n: usize) -> impl FnMut() -> ControlFlow<()> + Send + 'static {
    let mut asked = 0;
    move || {
        asked += 1;
        if asked >= n { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The options of a training, by name.
fn variants() -> Vec<(&'static str, Fit)> {
    let fit = || Fit::new().epochs(12).batch_size(6);
    let early = |patience| EarlyStopping::new().patience(patience);
    vec![
        ("patience that ends it", fit().early_stopping(early(2))),
        ("mixed precision", fit().mixed_precision(true)),
        ("patience that does not", fit().early_stopping(early(9).min_delta(0.001))),
        (
            "cosine, clip and average",
            fit().schedule(Cosine::new().steps(360_u64)).clip_norm(0.1).average(Average::new(0.9)),
        ),
        (
            "plateau, clip of values, patience, debiased average",
            fit()
                .schedule_by_epoch(
                    ReduceOnPlateau::new().learning_rate(0.05).patience(0_u32).factor(0.5),
                )
                .clip_value(0.01)
                .early_stopping(early(6))
                .average(Average::new(0.99).debias(true)),
        ),
        (
            "a rate of its own, skipping, unshuffled",
            fit().learning_rate(0.01).skip_non_finite(true).shuffle(false),
        ),
    ]
}

/// Trains in stages: each is interrupted by `cut`, saved, loaded again and resumed from the file.
fn in_pieces(
    path: &Path,
    device: &Device,
    fit: Fit,
    cut: impl Fn(Fit, usize) -> Fit,
) -> (Model, usize) {
    let mut model = small(device);
    model.set_held_out(HeldOut { seed: 5, share: 0.25 });
    let mut history = train(&mut model, cut(fit.clone().checkpoint(path), 0));
    let mut pieces = 1;
    while matches!(history.stopped, Some(Stop::Asked { .. })) {
        let mut loaded = Model::load(path, device).unwrap();
        let rest = loaded.fit_to_resume().unwrap();
        history = train(&mut loaded, cut(rest.checkpoint(path), pieces));
        model = loaded;
        pieces += 1;
    }
    (model, pieces)
}

#[test]
fn a_training_in_pieces_leaves_the_file_of_an_unbroken_one() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, pieced) = (folder.path().join("whole"), folder.path().join("pieced"));
    for device in each_device() {
        for (name, fit) in variants() {
            let (mut unbroken, _) = in_pieces(&whole, &device, fit.clone(), |fit, _| fit);
            let expected = std::fs::read(&whole).unwrap();
            let by_step = |fit: Fit, piece: usize| {
                let mut ask = break_at(1 + 40 * piece % 71);
                fit.on_step(move |_, _| ask())
            };
            let by_epoch = |fit: Fit, piece: usize| {
                let mut ask = break_at(1 + piece % 3);
                fit.on_epoch(move |_, _| ask())
            };
            for (how, found) in [
                ("step", in_pieces(&pieced, &device, fit.clone(), by_step)),
                ("epoch", in_pieces(&pieced, &device, fit.clone(), by_epoch)),
            ] {
                let (mut model, pieces) = found;
                assert!(pieces > 2, "{} {name} by {how}: {pieces} pieces", device.name());
                let same = std::fs::read(&pieced).unwrap() == expected;
                assert!(same, "{}: {name}, cut by {how}, in {pieces} pieces", device.name());
                // The model in memory equals the model in the file.
                let next = |model: &mut Model| {
                    train(model, Fit::new().epochs(2).resume(true)).epochs.pop().unwrap().loss
                };
                assert_eq!(
                    next(&mut model).to_bits(),
                    next(&mut Model::load(&whole, &device).unwrap()).to_bits()
                );
            }
            train(&mut unbroken, Fit::new().epochs(1));
        }
    }
}

#[test]
fn a_training_that_was_over_goes_on_where_it_stood_and_not_from_its_best_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    for device in each_device() {
        let fit = |epochs| {
            Fit::new()
                .epochs(epochs)
                .batch_size(6)
                .early_stopping(EarlyStopping::new().patience(50))
        };
        let mut whole = small(&device);
        let report = train(&mut whole, fit(14).checkpoint(&path));
        let expected = std::fs::read(&path).unwrap();
        let mut first = small(&device);
        train(&mut first, fit(9).checkpoint(&path));
        let mut loaded = Model::load(&path, &device).unwrap();
        assert_eq!(
            loaded.fit_to_resume().map(|fit| format!("{fit:?}").contains("epochs: 0")),
            Some(true)
        );
        let history = train(&mut loaded, fit(5).resume(true).checkpoint(&path));
        assert!(std::fs::read(&path).unwrap() == expected, "{}", device.name());
        assert_eq!((history.before, history.epochs.len(), report.epochs.len()), (9, 14, 14));
        for (a, b) in history.epochs.iter().zip(&report.epochs) {
            assert_eq!(
                (a.loss, a.accuracy, a.val_loss, a.val_accuracy),
                (b.loss, b.accuracy, b.val_loss, b.val_accuracy)
            );
        }
        assert_eq!(history.steps.len(), 5 * 30);
        assert_eq!(history.steps, report.steps[9 * 30..]);
    }
}

#[test]
fn optimizers_of_every_kind_go_on_in_the_midst_of_an_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    for device in each_device() {
        type Compiled = fn(Model) -> Model;
        let models: [(&str, Compiled); 4] = [
            ("sgd", |model| {
                model
                    .compile(CrossEntropy::new(), Sgd::new().learning_rate(0.1).momentum(0.9))
                    .unwrap()
            }),
            ("adamw", |model| {
                model.compile(CrossEntropy::new(), AdamW::new().amsgrad(true)).unwrap()
            }),
            ("schedule-free", |model| {
                model.compile(CrossEntropy::new(), ScheduleFreeAdamW::new()).unwrap()
            }),
            ("gradient descent", |model| {
                model.compile(CrossEntropy::new(), GradientDescent::new()).unwrap()
            }),
        ];
        for (name, compile) in models {
            let fit = || Fit::new().epochs(4).batch_size(6).checkpoint(&path);
            let mut whole = compile(small(&device));
            train(&mut whole, fit());
            let expected = std::fs::read(&path).unwrap();
            let mut cut = compile(small(&device));
            let mut ask = break_at(2);
            let history = train(&mut cut, fit().on_step(move |_, _| ask()));
            let Some(Stop::Asked { batches, of, .. }) = history.stopped else {
                panic!("{name}: {history:?}")
            };
            assert!(batches > 0 && of == 30, "{name}: {batches} of {of}");
            let mut loaded = Model::load(&path, &device).unwrap();
            let fit = loaded.fit_to_resume().unwrap();
            let history = train(&mut loaded, fit.checkpoint(&path));
            assert!(std::fs::read(&path).unwrap() == expected, "{name} on {}", device.name());
            assert_eq!(history.epochs.len(), 4);
        }
    }
}

#[test]
fn a_step_that_is_not_finite_takes_a_cut_epoch_back_to_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    for device in each_device() {
        // Targets so large in the last rows that their step is not finite; the rows are not
        // shuffled.
        let x = Array2::from_shape_fn((60, 2), |(row, column)| {
            if row < 50 { (row + column) as f32 * 0.01 } else { 3e38 }
        });
        let y = Array2::from_shape_fn((60, 1), |(row, _)| row as f32 * 0.01);
        let make = || {
            let model = Sequential::new(2).then(Dense::new(1)).seed(3).on(&device).unwrap();
            model.compile(Mse::new(), Sgd::new().learning_rate(1e300_f64.min(1e3))).unwrap()
        };
        let fit = || Fit::new().epochs(3).batch_size(2).shuffle(false).checkpoint(&path);
        let report = make().fit(&x, &y, fit()).unwrap();
        assert!(
            matches!(report.stopped, Some(Stop::NotFinite { .. })),
            "{}: {report:?}",
            device.name()
        );
        let expected = std::fs::read(&path).unwrap();
        let mut ask = break_at(1);
        let cut = make().fit(&x, &y, fit().on_step(move |_, _| ask())).unwrap();
        if !matches!(cut.stopped, Some(Stop::Asked { .. })) {
            continue; // it was not finite before the first callback
        }
        let mut loaded = Model::load(&path, &device).unwrap();
        let rest = loaded.fit_to_resume().unwrap().checkpoint(&path);
        assert_eq!(loaded.fit(&x, &y, rest).unwrap().stopped, report.stopped);
        assert!(std::fs::read(&path).unwrap() == expected, "{}", device.name());
    }
}

#[test]
fn other_rows_begin_another_training() {
    let mut model = small(&Device::cpu());
    let fit =
        || Fit::new().epochs(3).batch_size(6).early_stopping(EarlyStopping::new().patience(9));
    train(&mut model, fit());
    let (x, y) = rows(ROWS, 6);
    let history = model.fit(&x, &y, fit().resume(true)).unwrap();
    assert_eq!((history.before, history.epochs.len()), (0, 3));
    // Different batches: an interrupted epoch starts over.
    let mut ask = break_at(1);
    train(&mut model, fit().on_step(move |_, _| ask()));
    let history = train(&mut model, fit().batch_size(30).epochs(1).resume(true));
    assert_eq!((history.epochs.len(), history.steps.len()), (1, 6));
}

#[test]
fn losses_of_other_class_weights_are_not_compared_for_patience() {
    for device in each_device() {
        let fit = |epochs: usize| {
            let early = EarlyStopping::new().patience(2);
            Fit::new().epochs(epochs).batch_size(6).early_stopping(early).resume(true)
        };
        // One class counts for nearly all: it is learned at once, to losses that both together
        // never come to.
        let mut model = small(&device);
        let weights = ClassWeight::Each(vec![1e-3, 1.0]);
        let before = train(&mut model, fit(3).class_weight(weights)).epochs;
        let history = train(&mut model, fit(3));
        let least = |epochs: &[gradus::Epoch]| {
            epochs.iter().filter_map(|epoch| epoch.val_loss).fold(f64::INFINITY, f64::min)
        };
        let name = device.describe();
        assert!(least(&before) < 0.1 * least(&history.epochs[before.len()..]), "{name}");
        let best = match history.stopped {
            Some(Stop::Early { best_epoch, .. }) => best_epoch,
            _ => history.restored.unwrap_or(history.epochs.len()),
        };
        assert!(best > before.len(), "{name}: epoch {best} of {}", history.epochs.len());
    }
}

#[test]
fn an_interrupted_epoch_is_finished_beside_the_asked_ones() {
    let device = Device::cpu();
    let fit = |epochs: usize| Fit::new().epochs(epochs).batch_size(6);
    let whole = train(&mut small(&device), fit(3));
    let mut model = small(&device);
    let mut ask = break_at(2);
    let history = train(&mut model, fit(9).on_step(move |_, _| ask()));
    assert!(matches!(history.stopped, Some(Stop::Asked { epochs: 0, batches: 1.., .. })));
    let history = train(&mut model, fit(2).resume(true).finish_epoch(true));
    let losses = |history: &gradus::History| -> Vec<f64> {
        history.epochs.iter().map(|epoch| epoch.loss).collect()
    };
    assert_eq!(losses(&history), losses(&whole));
    // Behind a whole epoch there is nothing to finish.
    let history = train(&mut model, fit(1).resume(true).finish_epoch(true));
    assert_eq!(history.epochs.len(), 4);
}

#[test]
fn callbacks_see_each_step_and_each_epoch() {
    use std::sync::{Arc, Mutex};
    for device in each_device() {
        let report: Arc<Mutex<Vec<(usize, usize, f64)>>> = Arc::default();
        let epochs: Arc<Mutex<Vec<(usize, f64)>>> = Arc::default();
        let (of_steps, of_epochs) = (report.clone(), epochs.clone());
        let fit = Fit::new().epochs(3).batch_size(6);
        let fit = fit.on_step(move |epoch, step| {
            assert_eq!(step.batches, 30);
            of_steps.lock().unwrap().push((epoch, step.batch, step.loss));
            ControlFlow::Continue(())
        });
        let fit = fit.on_epoch(move |number, report| {
            of_epochs.lock().unwrap().push((number, report.loss));
            ControlFlow::Continue(())
        });
        let history = train(&mut small(&device), fit);
        let plain = train(&mut small(&device), Fit::new().epochs(3).batch_size(6));
        assert_eq!(history.steps, plain.steps, "{}: to be watched changes nothing", device.name());
        let steps = report.lock().unwrap();
        let places: Vec<(usize, usize)> =
            steps.iter().map(|(epoch, batch, _)| (*epoch, *batch)).collect();
        assert_eq!(
            places,
            (1..=3).flat_map(|epoch| (1..=30).map(move |batch| (epoch, batch))).collect::<Vec<_>>()
        );
        assert_eq!(steps.iter().map(|step| step.2).collect::<Vec<_>>(), history.steps);
        let losses: Vec<(usize, f64)> =
            history.epochs.iter().enumerate().map(|(at, epoch)| (at + 1, epoch.loss)).collect();
        assert_eq!(*epochs.lock().unwrap(), losses);
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_is_reported_before_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let (x, y) = rows(12, 1);
    let mut model = small(&Device::cpu());
    let error = model.fit(&x, &y, Fit::new().checkpoint(folder.path())).unwrap_err().to_string();
    assert!(error.contains("it is a folder"), "{error}");
    assert_eq!(model.steps(), 0);
}

#[test]
fn each_epoch_is_in_the_file_before_the_next_begins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let seen = path.clone();
    let fit = Fit::new().epochs(4).batch_size(6).checkpoint(&path).on_epoch(move |number, _| {
        // The last one's state is written when training is over.
        if number < 4 {
            let saved = Model::load(&seen, &Device::cpu()).unwrap();
            assert_eq!(saved.steps(), 30 * number as u64);
        }
        ControlFlow::Continue(())
    });
    train(&mut small(&Device::cpu()), fit);
    assert_eq!(Model::load(&path, &Device::cpu()).unwrap().steps(), 120);
}
