//! Results of single rows against plain loops in f64 and explicit gradients.

use gradus::layers::{BatchNorm, Conv2d, Dropout, Flatten, LayerNorm};
use gradus::losses::{
    BceWithLogits, CrossEntropy, Hinge, Huber, LambdaRank, LossDefinition, Mse, MulticlassHinge,
};
use gradus::optimizers::Adam;
use gradus::{
    Dense, Device, Fit, Member, Model, Population, RowResults, Sequential, Targets,
    activations::Tanh,
};
use ndarray::{Array1, Array2, array, s};

use crate::support::each_device;

pub fn features(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        ((row * 31 + column * 17 + row * column) % 23) as f32 / 11.0 - 1.0
    })
}

pub fn labels(rows: usize, classes: usize) -> Array1<i64> {
    (0..rows).map(|row| (row * row % classes) as i64).collect()
}

/// Copies of a model on each device, with the weights of the first one to the last bit.
pub fn on_each_device(
    network: impl Fn() -> Sequential,
    loss: impl Fn() -> Box<dyn LossDefinition>,
) -> Vec<Model> {
    let made = |device: &Device| {
        let optimizer = Box::new(Adam::new().learning_rate(0.05));
        network().on(device).unwrap().compile_boxed(loss(), optimizer).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    made(&Device::cpu()).save(&path).unwrap();
    each_device().iter().map(|device| Model::load(&path, device).unwrap()).collect()
}

/// The gradient of one row by all parameters, one after another.
pub fn explicit(model: &mut Model, x: &Array2<f32>, targets: Targets) -> Vec<f64> {
    let (_, gradients) = model.gradients(x, targets).unwrap();
    gradients.into_iter().flat_map(|(_, gradient)| gradient.into_iter()).collect()
}

/// The largest difference, relative to the largest number.
pub fn difference(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let most = wanted.iter().fold(1e-300_f64, |most, x| most.max(x.abs()));
    found.iter().zip(wanted).map(|(a, b)| (a - b).abs() / most).fold(0.0, f64::max)
}

fn network() -> Sequential {
    Sequential::new(5)
        .then(Dense::new(7).activation(Tanh))
        .then(Dense::new(6).bias(false))
        .then(Dense::new(4))
        .seed(3)
}

/// Outputs of the network above by plain loops.
fn plain_outputs(model: &Model, x: &[f32]) -> Vec<f64> {
    let mut values: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    for (layer, (weight, bias)) in model.weights().unwrap().into_iter().enumerate() {
        let unit = |unit: usize| {
            let sum: f64 = values.iter().enumerate().map(|(i, x)| x * weight[[i, unit]]).sum();
            let sum = sum + bias.get(unit).copied().unwrap_or(0.0);
            if layer == 0 { sum.tanh() } else { sum }
        };
        values = (0..weight.ncols()).map(unit).collect();
    }
    values
}

#[test]
fn loss_probability_margin_and_norm_are_those_of_plain_loops_on_each_device() {
    let (x, y) = (features(70, 5), labels(70, 4));
    let mut models = on_each_device(network, || Box::new(CrossEntropy::new()));
    let mut reference = models.remove(0);
    let norms: Vec<f64> = (0..70)
        .map(|row| {
            let (x, y) = (x.slice(s![row..=row, ..]).to_owned(), y.slice(s![row..=row]));
            explicit(&mut reference, &x, (&y).into()).iter().map(|g| g * g).sum()
        })
        .collect();
    for mut model in std::iter::once(reference).chain(models) {
        let name = model.device().name();
        let tolerance = if name == "reference" { 1e-12 } else { 1e-5 };
        let found = model.evaluate_rows(&x, &y).unwrap();
        let classes = found.classes.as_ref().unwrap();
        let mut wanted: [Vec<f64>; 3] = Default::default();
        for row in 0..70 {
            let outputs = plain_outputs(&model, x.row(row).to_slice().unwrap());
            let target = y[row] as usize;
            let sum: f64 = outputs.iter().map(|z| z.exp()).sum();
            let others = outputs.iter().enumerate().filter(|(class, _)| *class != target);
            let most = others.map(|(_, z)| *z).fold(f64::NEG_INFINITY, f64::max);
            wanted[0].push(sum.ln() - outputs[target]);
            wanted[1].push(outputs[target].exp() / sum);
            wanted[2].push(outputs[target] - most);
            assert_eq!(classes.predicted[row] == target, wanted[2][row] > 0.0, "{name} {row}");
            assert_eq!(classes.target[row], target);
        }
        assert!(difference(&found.loss, &wanted[0]) < tolerance, "{name}");
        assert!(difference(&classes.target_probability().unwrap(), &wanted[1]) < tolerance);
        assert!(difference(&classes.margin, &wanted[2]) < tolerance, "{name}");
        let squares = found.squared_gradient_norm.as_ref().unwrap();
        let error = difference(squares, &norms);
        assert!(error < tolerance, "{name}: {error}");
        // The comparison can fail: the norms are not those of another row.
        assert!(difference(&squares[1..], &norms[..69]) > 0.1);
        let score = model.evaluate(&x, &y).unwrap();
        assert!((found.mean_loss() - score.loss).abs() < 1e-5 * score.loss, "{name}");
        let right = classes.is_right().filter(|right| *right).count() as f64 / 70.0;
        assert!((right - score.accuracy.unwrap()).abs() < 1e-9);
    }
}

#[test]
fn losses_of_elements_are_means_over_the_columns_of_a_row() {
    let x = features(40, 5);
    let y = features(40, 4).mapv(|y| y * 3.0);
    let losses: [fn() -> Box<dyn LossDefinition>; 2] =
        [|| Box::new(Mse::new()), || Box::new(Huber::new().delta(0.5))];
    for loss in losses {
        let mut models = on_each_device(network, loss);
        let mut reference = models.remove(0);
        let wanted: Vec<f64> = (0..40)
            .map(|row| {
                let part = s![row..=row, ..];
                let (x, y) = (x.slice(part).to_owned(), y.slice(part).to_owned());
                explicit(&mut reference, &x, (&y).into()).iter().map(|g| g * g).sum()
            })
            .collect();
        for mut model in std::iter::once(reference).chain(models) {
            let name = model.device().name();
            let found = model.evaluate_rows(&x, &y).unwrap();
            assert!(found.classes.is_none());
            let score = model.evaluate(&x, &y).unwrap();
            assert!((found.mean_loss() - score.loss).abs() < 1e-5 * score.loss, "{name}");
            let norms = found.squared_gradient_norm.unwrap();
            assert!(difference(&norms, &wanted) < 1e-5, "{name}");
        }
    }
}

fn results(
    network: Sequential,
    loss: impl LossDefinition + 'static,
    x: &Array2<f32>,
    y: &Array1<i64>,
) -> RowResults {
    let mut model = network.on(&Device::reference()).unwrap().compile(loss, Adam::new()).unwrap();
    model.evaluate_rows(x, y).unwrap()
}

#[test]
fn a_single_output_has_two_classes_and_a_hinge_loss_no_probabilities() {
    let (x, y) = (features(30, 5), labels(30, 2));
    let single = || Sequential::new(5).then(Dense::new(1)).seed(2);
    let found = results(single(), BceWithLogits::new(), &x, &y);
    let classes = found.classes.unwrap();
    let p = classes.target_probability().unwrap();
    assert_eq!(classes.count, 2);
    for row in 0..30 {
        assert!((found.loss[row] + p[row].ln()).abs() < 1e-12);
        let sign = if y[row] == 1 { 1.0 } else { -1.0 };
        assert!((classes.margin[row] - sign * found.outputs[[row, 0]]).abs() < 1e-12);
    }
    let found = results(single(), Hinge::new(), &x, &y).classes.unwrap();
    assert!(found.probabilities.is_none() && found.margin.iter().any(|margin| *margin < 0.0));
    let found = results(network(), MulticlassHinge::new(), &x, &labels(30, 4));
    assert!(found.classes.unwrap().target_probability().is_none());
}

#[test]
fn dropout_is_off_and_norms_are_known_only_of_dense_layers() {
    let (x, y) = (features(30, 5), labels(30, 3));
    let two = |dropout: f64| {
        let first = Sequential::new(5).then(Dense::new(8).activation(Tanh));
        first.then(Dropout::new(dropout)).then(Dense::new(3)).seed(4)
    };
    let found = results(two(0.5), CrossEntropy::new(), &x, &y);
    assert_eq!(found, results(two(0.0), CrossEntropy::new(), &x, &y));
    assert!(found.squared_gradient_norm.is_some());
    let norm = Sequential::new(5).then(LayerNorm::new()).then(Dense::new(3));
    let found = results(norm, CrossEntropy::new(), &x, &y);
    assert!(found.squared_gradient_norm.is_none() && found.loss.iter().all(|loss| *loss > 0.0));
    let images = Sequential::images([4, 4, 1])
        .then(Conv2d::new(2, 3))
        .then(BatchNorm::new())
        .then(Flatten::new())
        .then(Dense::new(3));
    let found = results(images, CrossEntropy::new(), &features(30, 16), &y);
    assert!(found.squared_gradient_norm.is_none() && found.rows() == 30);
}

#[test]
fn what_has_no_result_for_a_row_is_refused() {
    let (x, y) = (features(6, 5), labels(6, 4));
    let mut model = network()
        .on(&Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new().ignore_index(-1), Adam::new())
        .unwrap();
    let ignored = array![0_i64, 1, -1, 2, 3, 0];
    let message = model.evaluate_rows(&x, &ignored).unwrap_err().to_string();
    assert!(message.contains("row 2") && message.contains("-1"), "{message}");
    let watched = || Fit::new().watch_rows(true).progress(false);
    let message = model.fit(&x, &ignored, watched()).unwrap_err().to_string();
    assert!(message.contains("row 2"), "{message}");
    assert!(model.fit(&x, &y, watched()).is_ok());
    let mut scores = Sequential::new(5)
        .then(Dense::new(1))
        .on(&Device::cpu())
        .unwrap()
        .compile(LambdaRank::new(), Adam::new())
        .unwrap();
    let relevance = array![1.0, 0.0, 0.0, 1.0, 0.0, 2.0];
    let message =
        scores.evaluate_rows(&x, Targets::grouped(&relevance, &[3, 3])).unwrap_err().to_string();
    assert!(message.contains("scores lists"), "{message}");
    let mut population = Population::new(network(), [Member::new().seed(1)], &Device::cpu())
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap();
    let message = population.fit(&x, &y, watched()).unwrap_err().to_string();
    assert!(message.contains("watch_rows"), "{message}");
    let sequences = |_: u32| Ok((x.clone(), y.clone().insert_axis(ndarray::Axis(1))));
    let message = model.fit_epochs(sequences, watched()).unwrap_err().to_string();
    assert!(message.contains("watch_rows"), "{message}");
}

#[test]
fn watched_rows_are_those_of_each_epochs_end_and_change_no_training() {
    let (x, y) = (features(60, 5), labels(60, 4));
    let fit = || Fit::new().batch_size(16).validation_split(0.25).progress(false);
    for device in each_device() {
        let made = || network().on(&device).unwrap().compile(CrossEntropy::new(), Adam::new());
        let (mut whole, mut plain, mut parts) = (made().unwrap(), made().unwrap(), made().unwrap());
        let history = whole.fit(&x, &y, fit().epochs(4).watch_rows(true)).unwrap();
        let without = plain.fit(&x, &y, fit().epochs(4)).unwrap();
        assert_eq!(history.steps, without.steps);
        assert!(without.rows.is_none());
        let rows = history.rows.unwrap();
        let (train_x, train_y) = (x.slice(s![..45, ..]), y.slice(s![..45]));
        let (mut losses, mut right, mut p) = (vec![0.0; 45], vec![0; 45], vec![0.0; 45]);
        for _ in 0..4 {
            parts.fit(&x, &y, fit().epochs(1)).unwrap();
            let now = parts.evaluate_rows(&train_x, &train_y).unwrap();
            let classes = now.classes.unwrap();
            let probability = classes.target_probability().unwrap();
            for (row, is_right) in classes.is_right().enumerate() {
                losses[row] += now.loss[row] / 4.0;
                p[row] += probability[row] / 4.0;
                right[row] += usize::from(is_right);
            }
        }
        let classes = rows.classes.unwrap();
        assert_eq!((rows.epochs, rows.mean_loss.len()), (4, 45));
        // f32 outputs of two passes: some roundings of 6e-8.
        assert!(difference(&rows.mean_loss, &losses) < 1e-5, "{}", device.name());
        assert!(difference(&classes.mean_target_probability, &p) < 1e-5);
        assert_eq!(classes.times_right, right);
        assert!(rows.loss_deviation.iter().any(|deviation| *deviation > 0.0));
    }
}

/// The cost of watching: `cargo test --release --test explain watching -- --ignored --nocapture`.
#[test]
#[ignore = "times epochs, which wants a quiet machine"]
fn watching_costs_at_most_a_third_of_an_epoch() {
    let x = Array2::from_shape_fn((10_000, 784), |(row, column)| {
        ((row * 31 + column * 17) % 101) as f32 / 101.0
    });
    let y = labels(10_000, 10);
    for device in each_device().iter().skip(1) {
        let seconds = |watch: bool| -> f64 {
            let mut model = Sequential::new(784)
                .then(Dense::new(128).activation(Tanh))
                .then(Dense::new(10))
                .on(device)
                .unwrap()
                .compile(CrossEntropy::new(), Adam::new())
                .unwrap();
            let fit = Fit::new().epochs(4).batch_size(64).watch_rows(watch).progress(false);
            let history = model.fit(&x, &y, fit).unwrap();
            history.epochs.iter().map(|epoch| epoch.seconds).fold(f64::INFINITY, f64::min)
        };
        let (mut plain, mut watched) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..3 {
            (plain, watched) = (plain.min(seconds(false)), watched.min(seconds(true)));
        }
        println!("{}: {plain:.3} s, watched {watched:.3} s, {:.2}", device.name(), watched / plain);
        assert!(watched < 1.35 * plain);
    }
}
