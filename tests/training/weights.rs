//! Row weights, class weights and weights of positives: against repeated rows, and against the loss
//! itself.

use crate::support::each_device;
use gradus::losses::{
    BceWithLogits, CrossEntropy, Huber, LambdaRank, Ldam, LogitAdjustedCrossEntropy, Loss, Mae,
    Mse, MultilabelSoftMargin,
};
use gradus::optimizers::{GradientDescent, Sgd};
use gradus::random::Random;
use gradus::{
    ClassWeight, Criterion, Dense, Device, Error, Fit, Inputs, Model, Sequential, Targets,
    activations::Tanh,
};
use ndarray::{Array1, Array2, Axis, array};

fn rows(count: usize, columns: usize) -> Array2<f32> {
    let mut random = Random::new(5, 0);
    Array2::from_shape_simple_fn((count, columns), || random.normal() as f32)
}

fn model(device: &Device, loss: impl Loss + 'static, outputs: usize) -> Model {
    let model = Sequential::new(4)
        .then(Dense::new(6).activation(Tanh))
        .then(Dense::new(outputs))
        .on(device)
        .unwrap();
    model.compile(loss, GradientDescent::new().learning_rate(0.1)).unwrap()
}

fn flat(model: &Model) -> Vec<f64> {
    model
        .weights()
        .unwrap()
        .iter()
        .flat_map(|(w, b)| w.iter().chain(b).copied().collect::<Vec<_>>())
        .collect()
}

/// The weights themselves are rounded to f32, 6e-8 each; in f32 there are a few more roundings per
/// step, for 30 steps.
fn assert_close(one: &[f64], other: &[f64], device: &Device) {
    let most = if device.describe().contains("reference") { 1e-6 } else { 2e-5 };
    assert_eq!(one.len(), other.len());
    for (a, b) in one.iter().zip(other) {
        assert!((a - b).abs() <= most * (1.0 + b.abs()), "{a} and {b} on {}", device.describe());
    }
}

/// Trains on 20 rows with weights 0 to 3, and on each of them repeated as often as its weight.
fn weighed_and_repeated<'a, L, T>(
    make: impl Fn() -> L,
    outputs: usize,
    pick: impl Fn(&[usize]) -> T,
) where
    L: Loss + 'static,
    T: Clone + 'static,
    Targets<'a>: From<&'a T>,
{
    let x = rows(20, 4);
    let weights = Array1::from_shape_fn(20, |row| (row % 4) as f32);
    let all: Vec<usize> = (0..20).collect();
    let repeated: Vec<usize> = all.iter().flat_map(|&row| vec![row; row % 4]).collect();
    let more = x.select(Axis(0), &repeated);
    // Leaked, as a target's lifetime is that of the call's argument; a few small arrays of a test.
    let (y, many): (&'a T, &'a T) =
        (Box::leak(Box::new(pick(&all))), Box::leak(Box::new(pick(&repeated))));
    for device in each_device() {
        let (mut weighed, mut repeated_rows) =
            (model(&device, make(), outputs), model(&device, make(), outputs));
        let fit = Fit::new().epochs(30).batch_size(8);
        let report =
            weighed.fit(&x, Targets::from(y), fit.clone().sample_weight(&weights)).unwrap();
        let expected = repeated_rows.fit(&more, Targets::from(many), fit).unwrap();
        let losses = |history: &gradus::History| {
            history.epochs.iter().map(|epoch| epoch.loss).collect::<Vec<_>>()
        };
        assert_close(&losses(&report), &losses(&expected), &device);
        assert_close(&flat(&weighed), &flat(&repeated_rows), &device);
        let baselines =
            [report.baseline, expected.baseline].map(|found| found.map_or(0.0, |found| found.loss));
        assert!((baselines[0] - baselines[1]).abs() < 1e-5 * (1.0 + baselines[1]), "{baselines:?}");
        // Not vacuous: without weights the loss differs.
        let mut plain = model(&device, make(), outputs);
        let without = plain.fit(&x, Targets::from(y), Fit::new().epochs(30).batch_size(8)).unwrap();
        assert!(
            (without.epochs[0].loss - report.epochs[0].loss).abs() > 1e-4,
            "{}",
            device.describe()
        );
    }
}

#[test]
fn a_row_of_weight_three_counts_as_three_rows() {
    let numbers = |picked: &[usize]| {
        Array2::from_shape_fn((picked.len(), 1), |(row, _)| (picked[row] as f32 * 0.7).sin())
    };
    weighed_and_repeated(Mse::new, 1, numbers);
    weighed_and_repeated(Huber::new, 1, numbers);
    weighed_and_repeated(Mae::new, 1, numbers);
    let labels =
        |picked: &[usize]| Array1::from_shape_fn(picked.len(), |row| (picked[row] % 3) as i64);
    weighed_and_repeated(CrossEntropy::new, 3, labels);
    // A row without a label is ignored, whatever its weight.
    let some = |picked: &[usize]| {
        Array1::from_shape_fn(
            picked.len(),
            |row| if picked[row].is_multiple_of(5) { -100 } else { 1 },
        )
    };
    weighed_and_repeated(CrossEntropy::new, 3, some);
    let both = |picked: &[usize]| {
        Array2::from_shape_fn((picked.len(), 2), |(row, k)| ((picked[row] + k) % 2) as f32)
    };
    weighed_and_repeated(BceWithLogits::new, 2, both);
    weighed_and_repeated(MultilabelSoftMargin::new, 2, both);
}

#[test]
fn many_classes_that_go_through_the_last_layer_in_chunks_are_weighed_too() {
    const CLASSES: usize = 20_000;
    let x = rows(600, 4);
    let labels = Array1::from_shape_fn(600, |row| (row * 31 % CLASSES) as i64);
    let weights = Array1::from_shape_fn(600, |row| (row % 3) as f32);
    let fit = || Fit::new().batch_size(600).sample_weight(&weights);
    let mut losses = Vec::new();
    for device in each_device() {
        let model = Sequential::new(4).then(Dense::new(CLASSES)).on(&device).unwrap();
        let mut model = model.compile(CrossEntropy::new(), Sgd::new().learning_rate(50.0)).unwrap();
        let history = model.fit(&x, &labels, fit().epochs(2)).unwrap();
        losses.push([history.epochs[0].loss, history.epochs[1].loss]);
    }
    for found in &losses {
        assert!(found[1] < found[0], "{losses:?}");
        assert!(
            (0..2).all(|epoch| (found[epoch] - losses[0][epoch]).abs() < 2e-4 * losses[0][epoch]),
            "{losses:?}"
        );
    }
    let plain = Sequential::new(4).then(Dense::new(CLASSES)).on(&Device::Cpu).unwrap();
    let mut plain = plain.compile(CrossEntropy::new(), Sgd::new().learning_rate(50.0)).unwrap();
    let unweighed = plain.fit(&x, &labels, Fit::new().batch_size(600).epochs(2)).unwrap();
    assert!((unweighed.epochs[1].loss - losses[0][1]).abs() > 1e-3);
}

#[test]
fn balanced_gives_each_class_the_same_say() {
    // 16 rows of class 0, 3 of class 1, 1 of class 2: n / (k n_c) = 20/48, 20/9, 20/3.
    let x = rows(20, 4);
    let labels = Array1::from_shape_fn(20, |row| {
        if row < 16 {
            0
        } else if row < 19 {
            1
        } else {
            2
        }
    });
    let each = ClassWeight::Each(vec![20.0 / 48.0, 20.0 / 9.0, 20.0 / 3.0]);
    for device in each_device() {
        let fit = |weight: ClassWeight| Fit::new().epochs(5).batch_size(8).class_weight(weight);
        let (mut balanced, mut by_hand) =
            (model(&device, CrossEntropy::new(), 3), model(&device, CrossEntropy::new(), 3));
        balanced.fit(&x, &labels, fit(ClassWeight::Balanced)).unwrap();
        by_hand.fit(&x, &labels, fit(each.clone())).unwrap();
        assert_eq!(flat(&balanced), flat(&by_hand), "{}", device.describe());
        // Only proportions matter, up to the rounding of the weights.
        let mut doubled = model(&device, CrossEntropy::new(), 3);
        doubled
            .fit(&x, &labels, fit(ClassWeight::Each(vec![40.0 / 48.0, 40.0 / 9.0, 40.0 / 3.0])))
            .unwrap();
        assert_close(&flat(&doubled), &flat(&by_hand), &device);
    }
}

#[test]
fn the_classes_of_validation_rows_weigh_what_they_weigh_in_the_training() {
    let (x, held) = (rows(20, 4), rows(4, 4));
    let labels = Array1::from_shape_fn(20, |row| i64::from(row < 4));
    let of_held = array![0_i64, 0, 1, 1];
    // Twenty rows, four of class 1: 20/32 and 20/8, independent of the validation rows.
    let weights = [20.0 / 32.0, 20.0 / 8.0];
    let mut found = model(&Device::Cpu, CrossEntropy::new(), 2);
    let fit = Fit::new()
        .learning_rate(0.0)
        .class_weight(ClassWeight::Balanced)
        .validation_data(&held, &of_held);
    let history = found.fit(&x, &labels, fit).unwrap();
    let logits = found.predict(&held).unwrap();
    let criterion = CrossEntropy::new().on(&Device::Reference).unwrap();
    let of_row = |row: usize| {
        let (one, label) = (logits.select(Axis(0), &[row]), array![of_held[row]]);
        criterion.evaluate(&Inputs::new(&one, &label)).unwrap().value()
            * weights[of_held[row] as usize]
    };
    let wanted = (0..4).map(of_row).sum::<f64>()
        / of_held.iter().map(|&label| weights[label as usize]).sum::<f64>();
    let report = history.epochs[0].val_loss.unwrap();
    assert!((report - wanted).abs() < 1e-6, "{report} {wanted}");
}

#[test]
fn the_positive_side_weighs_as_the_loss_alone_weighs_it() {
    let (x, y) =
        (rows(12, 4), Array2::from_shape_fn((12, 2), |(row, k)| ((row + k) % 3 == 0) as u8 as f32));
    let positive = array![4.0_f32, 0.5];
    for device in each_device() {
        let both: [(Model, Criterion); 2] = [
            (
                wide(&device, BceWithLogits::new()),
                BceWithLogits::new().on(&Device::Reference).unwrap(),
            ),
            (
                wide(&device, MultilabelSoftMargin::new()),
                MultilabelSoftMargin::new().on(&Device::Reference).unwrap(),
            ),
        ];
        for (mut found, criterion) in both {
            let logits = found.predict(&x).unwrap();
            let fit = Fit::new().batch_size(12).learning_rate(0.0).pos_weight(vec![4.0, 0.5]);
            let report = found.fit(&x, &y, fit).unwrap().epochs[0].loss;
            let wanted = criterion
                .evaluate(&Inputs::new(&logits, &y).pos_weight(&positive))
                .unwrap()
                .value();
            assert!(
                (report - wanted).abs() < 1e-5 * wanted,
                "{report} {wanted} {}",
                device.describe()
            );
        }
    }
}

fn wide(device: &Device, loss: impl Loss + 'static) -> Model {
    let model = Sequential::new(4).then(Dense::new(2)).on(device).unwrap();
    model.compile(loss, GradientDescent::new()).unwrap()
}

#[test]
fn a_rare_class_is_found_where_it_weighs_as_much_as_the_others() {
    let mut random = Random::new(3, 0);
    let y = Array2::from_shape_fn((600, 1), |(row, _)| f32::from(row % 20 == 0));
    let x = Array2::from_shape_fn((600, 4), |(row, _)| 1.2 * y[[row, 0]] + random.normal() as f32);
    for device in each_device() {
        let recall = |fit: Fit| {
            let mut found = model(&device, BceWithLogits::new(), 1);
            found.fit(&x, &y, fit.epochs(200).learning_rate(0.5).batch_size(600)).unwrap();
            let logits = found.predict(&x).unwrap();
            (0..600).filter(|row| row % 20 == 0 && logits[[*row, 0]] > 0.0).count() as f64 / 30.0
        };
        let (plain, balanced) =
            (recall(Fit::new()), recall(Fit::new().class_weight(ClassWeight::Balanced)));
        let positive = recall(Fit::new().pos_weight(vec![19.0]));
        assert!(plain < 0.7 && balanced > 0.8 && positive > 0.8, "{plain} {balanced} {positive}");
    }
}

#[test]
fn weights_that_no_training_can_take_are_reported() {
    let (x, y) = (rows(6, 4), Array2::<f32>::zeros((6, 1)));
    let labels = array![0_i64, 1, 2, 0, 1, 2];
    let report =
        |fit: Fit| model(&Device::Cpu, Mse::new(), 1).fit(&x, &y, fit).unwrap_err().to_string();
    let of_classes = |fit: Fit| {
        model(&Device::Cpu, CrossEntropy::new(), 3).fit(&x, &labels, fit).unwrap_err().to_string()
    };
    for (found, wanted) in [
        (
            report(Fit::new().sample_weight(&array![1.0_f32, 2.0])),
            "sample_weight has 2 numbers; 6: one for each row",
        ),
        (
            report(Fit::new().sample_weight(&array![1.0_f32, f32::NAN, 1.0, 1.0, 1.0, 1.0])),
            "sample_weight is NaN",
        ),
        (
            report(Fit::new().sample_weight(&array![1.0_f32, -1.0, 1.0, 1.0, 1.0, 1.0])),
            "sample_weight is -1",
        ),
        (report(Fit::new().sample_weight(&Array1::<f32>::zeros(6))), "one above 0"),
        (report(Fit::new().class_weight(ClassWeight::Balanced)), "the targets are no classes"),
        (report(Fit::new().pos_weight(vec![2.0])), "the loss has no positive side"),
        (
            of_classes(Fit::new().class_weight(ClassWeight::Each(vec![1.0, 2.0]))),
            "has 2 numbers; 3",
        ),
        (
            of_classes(Fit::new().class_weight(ClassWeight::Each(vec![1.0, 2.0, f64::INFINITY]))),
            "class_weight is inf",
        ),
    ] {
        assert!(found.contains(wanted), "`{found}` does not tell `{wanted}`");
    }
    // All weight on held-out rows.
    let last = array![0.0_f32, 0.0, 0.0, 0.0, 0.0, 1.0];
    assert!(
        report(Fit::new().validation_split(0.2).sample_weight(&last))
            .contains("all rows that are trained on")
    );
    let mut ranking = model(&Device::Cpu, LambdaRank::new(), 1);
    let (relevance, groups) = (Array2::<f32>::zeros((6, 1)), [3, 3]);
    let fit = Fit::new().sample_weight(&Array1::<f32>::ones(6));
    let found = ranking.fit(&x, Targets::grouped(&relevance, &groups), fit).unwrap_err();
    assert!(matches!(&found, Error::Input { name, .. } if name == "weights"), "{found}");
}

#[test]
fn a_training_that_is_resumed_weighs_its_classes_as_before() {
    let (x, labels) = (rows(40, 4), Array1::from_shape_fn(40, |row| i64::from(row % 8 == 0)));
    let path = std::env::temp_dir().join(format!("gradus-weights-{}", std::process::id()));
    let fit =
        || Fit::new().batch_size(8).class_weight(ClassWeight::Balanced).validation_split(0.25);
    let (mut long, mut first) =
        (model(&Device::Cpu, CrossEntropy::new(), 2), model(&Device::Cpu, CrossEntropy::new(), 2));
    let whole = long.fit(&x, &labels, fit().epochs(6)).unwrap();
    first.fit(&x, &labels, fit().epochs(4).checkpoint(&path)).unwrap();
    let mut second = Model::load(&path, &Device::Cpu).unwrap();
    let rest = second.fit(&x, &labels, second.fit_to_resume().unwrap().epochs(2)).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(flat(&second), flat(&long));
    assert_eq!(rest.epochs.last().unwrap().val_loss, whole.epochs.last().unwrap().val_loss);
}

#[test]
fn a_row_of_weight_zero_is_left_out_whatever_stands_there() {
    let (mut x, mut y) =
        (rows(32, 4), Array2::from_shape_fn((32, 1), |(row, _)| (row as f32).sin()));
    // Its squared error overflows f32.
    y[[3, 0]] = 1e25;
    x[[3, 1]] = 1e10;
    let weights = Array1::from_shape_fn(32, |row| if row == 3 { 0.0 } else { 1.0 });
    for device in each_device() {
        let network = Sequential::new(4)
            .then(Dense::new(6).activation(Tanh))
            .then(Dense::new(1))
            .on(&device)
            .unwrap();
        let mut found = network.compile(Mse::new(), Sgd::new().learning_rate(0.01)).unwrap();
        let history =
            found.fit(&x, &y, Fit::new().epochs(3).batch_size(8).sample_weight(&weights)).unwrap();
        assert!(
            history.stopped.is_none() && history.epochs[2].loss < 5.0,
            "{}: {history:?}",
            device.describe()
        );
    }
}

#[test]
fn rows_in_batches_of_their_own_labels_and_weights_give_the_same_on_each_device() {
    let x = rows(60, 4);
    // One seventh of the rows has no label, one fifth no weight.
    let labels =
        Array1::from_shape_fn(60, |row| if row % 7 == 0 { -100 } else { (row % 3) as i64 });
    let weights = Array1::from_shape_fn(60, |row| (row % 5) as f32);
    let mut found = Vec::new();
    for device in each_device() {
        let network = Sequential::new(4)
            .then(Dense::new(6).activation(Tanh))
            .then(Dense::new(3))
            .on(&device)
            .unwrap();
        let mut model =
            network.compile(CrossEntropy::new(), Sgd::new().learning_rate(0.1)).unwrap();
        let fit = Fit::new().epochs(4).batch_size(16).sample_weight(&weights).validation_split(0.2);
        let history = model.fit(&x, &labels, fit).unwrap();
        found.push((
            device,
            history
                .epochs
                .iter()
                .flat_map(|epoch| [epoch.loss, epoch.val_loss.unwrap()])
                .collect::<Vec<_>>(),
        ));
    }
    for (device, losses) in &found[1..] {
        assert_close(losses, &found[0].1, device);
    }
}

/// The loss of an epoch of one batch is that of the initial model, with the counts of the training's
/// labels as the prior; rows held out have the same prior.
#[test]
fn a_loss_of_a_class_prior_counts_the_labels_that_it_is_trained_on() {
    let x = rows(20, 4);
    let labels = Array1::from_shape_fn(20, |row| i64::from(row % 5 == 0));
    let prior = array![12.0_f32, 4.0, 1.0];
    for device in each_device() {
        let losses: [(Box<dyn Fn() -> Model>, Criterion); 2] = [
            (
                Box::new(|| model(&device, Ldam::new().scale(2.0), 3)),
                Ldam::new().scale(2.0).on(&device).unwrap(),
            ),
            (
                Box::new(|| model(&device, LogitAdjustedCrossEntropy::new(), 3)),
                LogitAdjustedCrossEntropy::new().on(&device).unwrap(),
            ),
        ];
        for (make, criterion) in losses {
            let mut trained = make();
            let outputs = trained.predict(&x).unwrap();
            let of_rows = |from: usize, to: usize, prior: Option<&Array1<f32>>| {
                let (x, y) = (
                    outputs.slice_axis(Axis(0), (from..to).into()).to_owned(),
                    labels.slice_axis(Axis(0), (from..to).into()).to_owned(),
                );
                let inputs = Inputs::new(&x, &y);
                let inputs =
                    prior.iter().fold(inputs, |inputs, prior| inputs.input("class_prior", *prior));
                criterion.evaluate(&inputs).unwrap().value()
            };
            let wanted = [of_rows(0, 16, Some(&prior)), of_rows(16, 20, Some(&prior))];
            assert!((wanted[0] - of_rows(0, 16, None)).abs() > 1e-2, "the prior says nothing");
            // A rate of nearly nothing: the rows held out are seen by the model after the step.
            let fit = Fit::new().epochs(1).batch_size(16).validation_split(0.2);
            let fit = fit.learning_rate(1e-12).shuffle(false);
            let history = trained.fit(&x, &labels, fit).unwrap();
            let found = [history.epochs[0].loss, history.epochs[0].val_loss.unwrap()];
            for (found, wanted) in found.into_iter().zip(wanted) {
                let what = criterion.loss().name();
                assert!((found - wanted).abs() < 2e-6, "{what}: {found} instead of {wanted}");
            }
            // Without a training there is no prior.
            let score = trained.evaluate(&x, &labels).unwrap();
            assert!((score.loss - of_rows(0, 20, None)).abs() < 2e-6, "{}", score.loss);
        }
    }
}
