//! Mixed precision: operands of products in f16, a loss scale that follows the gradients, weights and
//! everything that is measured in f32.

use std::ops::ControlFlow;

use gradus::activations::{Relu, Tanh};
use gradus::layers::{Conv2d, Flatten};
use gradus::losses::{CrossEntropy, Mse};
use gradus::optimizers::{Adam, ScheduleFreeSgd, Sgd};
use gradus::{Average, Dense, Device, Fit, Member, Model, Population, Sequential, Stop, random};
use ndarray::{Array1, Array2, Array4, array};

use crate::support::each_device;

fn set_weight(model: &mut Model, weight: f64) {
    let weight = array![[weight]].into_dyn();
    model.set_named_parameters([("layers.0.weight", weight.view())]).unwrap();
}

/// One weight and one bias, whose first gradient is 25 for each of 8 rows.
fn steep(device: &Device) -> (Model, Array2<f32>, Array2<f32>) {
    let model = Sequential::new(1).then(Dense::new(1)).on(device).unwrap();
    let mut model = model.compile(Mse::new(), Sgd::new().learning_rate(0.01)).unwrap();
    set_weight(&mut model, 0.0);
    (model, Array2::ones((8, 1)), Array2::from_elem((8, 1), 100.0))
}

fn mixed(epochs: usize) -> Fit {
    Fit::new().epochs(epochs).batch_size(8).mixed_precision(true)
}

#[test]
fn steps_are_skipped_until_the_scale_fits() {
    for device in each_device() {
        let (mut model, x, y) = steep(&device);
        let history = model.fit(&x, &y, mixed(8)).unwrap();
        // 65536 · 25 and four halves of it are beyond f16.
        let skipped: Vec<usize> = history.epochs.iter().map(|epoch| epoch.skipped).collect();
        assert_eq!(skipped, [1, 1, 1, 1, 1, 0, 0, 0], "{device:?}");
        // Each other step moves both by a fiftieth of what is missing.
        let missing = 100.0 * 0.96_f64.powi(3);
        let found = f64::from(model.predict(&x).unwrap()[[0, 0]]);
        assert!((100.0 - found - missing).abs() < 1e-2, "{device:?}: {found}");
    }
}

#[test]
fn the_scale_is_saved() {
    for device in each_device() {
        let (mut whole, x, y) = steep(&device);
        whole.fit(&x, &y, mixed(8)).unwrap();
        let (mut first, ..) = steep(&device);
        let early = first.fit(&x, &y, mixed(3)).unwrap();
        let mut second = Model::from_bytes(&first.to_bytes().unwrap(), &device).unwrap();
        let late = second.fit(&x, &y, mixed(5)).unwrap();
        let skipped = |history: &gradus::History| -> usize {
            history.epochs.iter().map(|epoch| epoch.skipped).sum()
        };
        assert_eq!((skipped(&early), skipped(&late)), (3, 2), "{device:?}");
        assert_eq!(second.weights().unwrap(), whole.weights().unwrap(), "{device:?}");
        // The copy of a model continues alike.
        let mut copy = first.copy_on(&device).unwrap();
        assert_eq!(skipped(&copy.fit(&x, &y, mixed(5)).unwrap()), 2, "{device:?}");
        // Compiled again it begins anew.
        let again = Sgd::new().learning_rate(0.0);
        copy.compile_in_place(Box::new(Mse::new()), Box::new(again)).unwrap();
        assert_eq!(skipped(&copy.fit(&x, &y, mixed(6)).unwrap()), 5, "{device:?}");
    }
}

/// Two classes by the sign of a product, which needs a hidden layer; wide enough for matrix units.
fn rows(count: usize) -> (Array2<f32>, Array1<i64>) {
    let mut random = random::Random::new(3, 0);
    let x = Array2::from_shape_fn((count, 16), |_| 2.0 * random.uniform() as f32 - 1.0);
    let y = x.rows().into_iter().map(|row| i64::from(row[0] * row[1] > 0.0)).collect();
    (x, y)
}

#[test]
fn it_learns_what_f32_learns_with_other_numbers() {
    let (x, y) = rows(256);
    for device in each_device() {
        let train = |mixed: bool| {
            let model = Sequential::new(16)
                .then(Dense::new(64).activation(Tanh))
                .then(Dense::new(32).activation(Tanh));
            let model = model.then(Dense::new(2)).seed(7).on(&device).unwrap();
            let mut model =
                model.compile(CrossEntropy::new(), Adam::new().learning_rate(0.02)).unwrap();
            let fit = Fit::new().epochs(20).batch_size(32).mixed_precision(mixed);
            let history = model.fit(&x, &y, fit).unwrap();
            (history.epochs.last().unwrap().loss, model)
        };
        let ((single, of_single), (half, of_half)) = (train(false), train(true));
        assert!(half < 0.25 && (half - single).abs() < 0.02, "{device:?}: {half}, {single}");
        assert_ne!(of_single.weights().unwrap(), of_half.weights().unwrap(), "{device:?}");
        // The same bits again.
        assert_eq!(train(true).1.weights().unwrap(), of_half.weights().unwrap(), "{device:?}");
    }
}

#[test]
fn predictions_and_losses_are_those_of_f32() {
    // 1 + 2^-12 is 1 in f16.
    let x = array![[1.0_f32 + 2.0_f32.powi(-12)]];
    for device in each_device() {
        let model = Sequential::new(1).then(Dense::new(1).bias(false)).on(&device).unwrap();
        let rate = Sgd::new().learning_rate(0.0);
        let mut model = model.compile(Mse::new(), rate).unwrap();
        set_weight(&mut model, 1.0);
        let fit = mixed(1).validation_data(&x, &array![[0.0_f32]]);
        let history = model.fit(&x, &array![[0.0_f32]], fit).unwrap();
        assert_eq!(history.epochs[0].loss, 1.0, "{device:?}");
        let exact = f64::from(x[[0, 0]]).powi(2);
        let found = history.epochs[0].val_loss.unwrap();
        assert!((found - exact).abs() < 1e-7, "{device:?}: {found}");
        assert_eq!(model.predict(&x).unwrap(), x, "{device:?}");
    }
}

#[test]
fn images_train_too() {
    let mut random = random::Random::new(5, 0);
    let x = Array4::from_shape_fn((32, 6, 6, 2), |_| random.uniform() as f32 - 0.5);
    let y: Array1<i64> = x
        .outer_iter()
        .map(|image| i64::from(image.slice(ndarray::s![..3, .., 0]).sum() > 0.0))
        .collect();
    for device in each_device() {
        let train = |mixed: bool| {
            let layers = Sequential::images([6, 6, 2])
                .then(Conv2d::new(4, [3, 3]).activation(Relu))
                .then(Conv2d::new(4, [3, 3]).groups(2))
                .then(Flatten::new())
                .then(Dense::new(2));
            let model = layers.seed(1).on(&device).unwrap();
            let mut model =
                model.compile(CrossEntropy::new(), Adam::new().learning_rate(0.02)).unwrap();
            let fit = Fit::new().epochs(8).batch_size(8).mixed_precision(mixed);
            model.fit(&x, &y, fit).unwrap().epochs.last().unwrap().loss
        };
        let (single, half) = (train(false), train(true));
        assert!(half != single && (half - single).abs() < 0.05, "{device:?}: {half}, {single}");
    }
}

#[test]
fn populations_and_tables_refuse_it() {
    let (x, y) = rows(16);
    let layers = Sequential::new(16).then(Dense::new(2));
    let population = Population::new(layers, [Member::new(), Member::new()], &Device::cpu());
    let mut population = population.unwrap().compile(CrossEntropy::new(), Adam::new()).unwrap();
    let error = population.fit(&x, &y, mixed(1)).unwrap_err().to_string();
    assert!(error.contains("mixed_precision"), "{error}");
    let layers = Sequential::of_ids(2, [5, 3]).then(Dense::new(2));
    let model = layers.on(&Device::cpu()).unwrap();
    let mut model = model.compile(CrossEntropy::new(), Adam::new()).unwrap();
    let ids = Array2::<f32>::zeros((4, 2));
    let error = model.fit(&ids, &Array1::<i64>::zeros(4), mixed(1)).unwrap_err().to_string();
    assert!(error.contains("mixed_precision"), "{error}");
}

#[test]
fn a_loss_beyond_f16_ends_the_training() {
    // 1e5 is infinite in f16, and fine in f32.
    let (x, y) = (Array2::from_elem((8, 1), 1e5_f32), Array2::<f32>::zeros((8, 1)));
    for device in each_device() {
        let model = Sequential::new(1).then(Dense::new(1)).on(&device).unwrap();
        let rate = Sgd::new().learning_rate(0.0);
        let mut model = model.compile(Mse::new(), rate).unwrap();
        set_weight(&mut model, 0.5);
        let history = model.fit(&x, &y, mixed(3)).unwrap();
        let Some(Stop::NotFinite { epoch, cause: Some(cause), .. }) = &history.stopped else {
            panic!("{device:?}: {:?}", history.stopped)
        };
        assert!(*epoch == 1 && cause.contains("65520"), "{cause}");
        // Asked to skip such steps it goes on, and an epoch without a loss has none.
        let history = model.fit(&x, &y, mixed(2).skip_non_finite(true)).unwrap();
        assert!(history.stopped.is_none(), "{device:?}: {:?}", history.stopped);
        assert!(history.epochs.iter().all(|epoch| epoch.loss.is_nan() && epoch.skipped == 1));
        assert!(model.fit(&x, &y, mixed(1).mixed_precision(false)).unwrap().stopped.is_none());
    }
}

#[test]
fn an_interrupted_epoch_goes_on_with_the_scale_of_its_beginning() {
    for device in each_device() {
        // Each batch of two rows has gradients of 100: the scale falls in the first eight steps.
        let fit = |epochs| {
            let fit = mixed(epochs).batch_size(2).clip_norm(50.0).average(Average::new(0.9));
            fit.accumulate(2)
        };
        let (mut whole, x, y) = steep(&device);
        whole.fit(&x, &y, fit(6)).unwrap();
        for breaks in [1, 2, 3, 5] {
            let (mut parts, ..) = steep(&device);
            let mut steps = 0;
            let stops = move |_: usize, _: &gradus::StepReport| {
                steps += 1;
                if steps >= breaks { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            parts.fit(&x, &y, fit(6).on_step(stops)).unwrap();
            let mut parts = Model::from_bytes(&parts.to_bytes().unwrap(), &device).unwrap();
            let rest = parts.fit_to_resume().unwrap();
            assert!(parts.fit(&x, &y, rest).unwrap().stopped.is_none());
            assert_eq!(
                parts.to_bytes().unwrap(),
                whole.to_bytes().unwrap(),
                "{device:?}, {breaks}"
            );
        }
    }
}

#[test]
fn optimizers_whose_states_are_parameters_refuse_skipped_steps() {
    let (x, y) = rows(16);
    let layers = Sequential::new(16).then(Dense::new(2));
    let model = layers.on(&Device::cpu()).unwrap();
    let mut model = model.compile(CrossEntropy::new(), ScheduleFreeSgd::new()).unwrap();
    for (name, fit) in
        [("mixed_precision", mixed(1)), ("skip_non_finite", Fit::new().skip_non_finite(true))]
    {
        let error = model.fit(&x, &y, fit).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("schedule_free_sgd"), "{error}");
    }
}
