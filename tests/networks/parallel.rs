//! Branches that are added or concatenated.

use gradus::activations::{Relu, Tanh};
use gradus::layers::{Conv2d, Flatten, MaxPool2d, Parallel, closure};
use gradus::losses::CrossEntropy;
use gradus::optimizers::Sgd;
use gradus::{Dense, Device, Fit, Model, Sequential};
use ndarray::{Array1, Array4};

use crate::devices;

fn images(rows: usize) -> (Array4<f32>, Array1<i64>) {
    let pixel = |(row, y, x, c): (usize, usize, usize, usize)| {
        ((row * 31 + y * 17 + x * 7 + c * 3) % 23) as f32 / 11.0 - 1.0
    };
    let labels = (0..rows).map(|row| (row % 3) as i64).collect();
    (Array4::from_shape_fn((rows, 6, 6, 2), pixel), labels)
}

/// Branches of three kinds beside the input itself, then a sum of six branches.
fn inception() -> Sequential {
    let beside = Parallel::concat()
        .then(Conv2d::new(3, 1).activation(Relu))
        .named("wide", Conv2d::new(2, 3).padding(1).activation(Tanh))
        .then(Sequential::block().then(MaxPool2d::new(3).stride(1).padding(1)))
        .then(Sequential::block());
    let sum = (0..6).fold(Parallel::add(), |sum, _| sum.then(Dense::new(3)));
    Sequential::images([6, 6, 2]).then(beside).then(Flatten::new()).then(sum).seed(4)
}

fn ready(network: Sequential, device: &Device) -> Model {
    let optimizer = Sgd::new().learning_rate(0.05);
    network.on(device).unwrap().compile(CrossEntropy::new(), optimizer).unwrap()
}

#[test]
fn branches_train_alike_on_every_device() {
    let (x, y) = images(12);
    let mut exact: Option<Vec<f32>> = None;
    for (name, device) in devices() {
        let mut model = ready(inception(), &device);
        let history = model.fit(&x, &y, Fit::new().epochs(20).batch_size(4)).unwrap();
        let (first, last) = (history.epochs[0].loss, history.epochs[19].loss);
        assert!(last < 0.8 * first, "{name}: {first} to {last}");
        let found: Vec<f32> = model.predict(&x).unwrap().iter().copied().collect();
        let exact = exact.get_or_insert_with(|| found.clone());
        // Sixty steps, each rounded to 6e-8 of numbers of order one, their errors at most doubled
        // every ten steps.
        for (found, exact) in found.iter().zip(exact) {
            assert!((*found - *exact).abs() <= 60.0 * 64.0 * 6e-8, "{name}: {found} {exact}");
        }
    }
}

#[test]
fn a_sum_of_branches_is_what_a_closure_computes() {
    fn branches() -> [Dense; 2] {
        [Dense::new(3).activation(Tanh), Dense::new(3)]
    }
    let [a, b] = branches();
    let parallel = Parallel::add().named("a", a).named("b", b).then(Sequential::block());
    let by_hand = closure(|builder, x| {
        let [a, b] = branches();
        let values = [builder.layer("a", &a, x)?, builder.layer("b", &b, x)?, x];
        builder.add(&values)
    });
    let head = |layer: Sequential| ready(layer.then(Dense::new(3)).seed(2), &Device::reference());
    let mut one = head(Sequential::new(3).then(parallel));
    let mut other = head(Sequential::new(3).then(by_hand));
    let x = ndarray::Array2::from_shape_fn((7, 3), |(i, j)| (i as f32 - j as f32) / 3.0);
    let y: Array1<i64> = (0..7).map(|row| row % 3).collect();
    assert_eq!(one.predict(&x).unwrap(), other.predict(&x).unwrap());
    for model in [&mut one, &mut other] {
        model.fit(&x, &y, Fit::new().epochs(2).batch_size(3)).unwrap();
    }
    assert_eq!(one.named_parameters().unwrap(), other.named_parameters().unwrap());
}

#[test]
fn a_file_holds_the_branches_and_their_names() {
    let (x, _) = images(5);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut model = ready(inception(), &Device::cpu());
    model.save(&path).unwrap();
    let mut loaded = Model::load(&path, &Device::cpu()).unwrap();
    assert_eq!(model.predict(&x).unwrap(), loaded.predict(&x).unwrap());
    let names: Vec<String> =
        model.named_parameters().unwrap().into_iter().map(|(name, _)| name).collect();
    for name in ["layers.0.0.weight", "layers.0.wide.bias", "layers.2.5.weight"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
}

#[test]
fn branches_that_do_not_fit_are_refused_with_their_shapes() {
    let error = |layer: Parallel| {
        let network = Sequential::images([6, 6, 2]).then(layer);
        network.on(&Device::cpu()).unwrap_err().to_string()
    };
    let sum = Parallel::add().then(Conv2d::new(3, 1)).then(Conv2d::new(4, 1));
    let found = error(sum);
    assert!(found.contains("[6, 6, 3]") && found.contains("[6, 6, 4]"), "{found}");
    let found = error(Parallel::concat().then(Conv2d::new(3, 3)).then(Conv2d::new(4, 1)));
    assert!(found.contains("[4, 4, 3]") && found.contains("[6, 6, 4]"), "{found}");
    let found = error(Parallel::add());
    assert!(found.contains("branches of a Parallel"), "{found}");
}
