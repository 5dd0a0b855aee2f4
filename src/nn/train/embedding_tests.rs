//! Models of ids: against the same steps by hand, against central differences, and the properties
//! that hold for other models.

use ndarray::{Array1, Array2, array};

use crate::cpu::random::Random;
use crate::losses::{CrossEntropy, LinearCrossEntropy, Loss};
use crate::nn::activations::Tanh;
use crate::nn::optimizers::{Adam, Lamb, Optimizer, Sgd};
use crate::nn::train::average::Average;
use crate::{
    Dense, Device, Embedding, Error, Fit, Inputs, Member, Model, Population, Sequential, Tensor,
};

fn devices() -> Vec<Device> {
    crate::runtime::device::test_adapter::each_device()
}

/// Random rows of ids, and a label for each.
fn drawn(count: usize, ids: usize, [rows, classes]: [usize; 2]) -> (Array2<f32>, Array1<i64>) {
    let mut random = Random::new(count as u64, 3);
    let mut below = |most: usize| (random.uniform() * most as f64).floor();
    let features = Array2::from_shape_simple_fn((count, ids), || below(rows) as f32);
    (features, Array1::from_shape_simple_fn(count, || below(classes) as i64))
}

fn fit(epochs: usize, batch: usize) -> Fit {
    Fit::new().epochs(epochs).batch_size(batch).progress(false)
}

/// The largest difference; NaN if any number is.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |most, d| if d.is_nan() || d > most { d } else { most })
}

#[test]
fn a_model_that_takes_ids_goes_as_its_table_and_its_loss_by_hand() {
    let (x, y) = drawn(12, 2, [7, 5]);
    let flat: Vec<i64> = x.iter().map(|&id| id as i64).collect();
    for device in devices() {
        let sgd = Sgd::new().learning_rate(0.5);
        let model = Sequential::of_ids(2, [7, 3]).then(Dense::new(5)).on(&device).unwrap();
        let first = model.embedding().unwrap().unwrap().mapv(|x| x as f32);
        let mut table = Embedding::from_array(&device, first.view()).unwrap();
        let mut weight = model.weights().unwrap()[0].0.t().mapv(|w| w as f32);
        let mut bias = Array1::<f32>::zeros(5);
        let mut model = model.compile(LinearCrossEntropy::new(), sgd.clone()).unwrap();
        let report = model.fit(&x, &y, fit(3, 12).shuffle(false)).unwrap();
        let criterion = LinearCrossEntropy::new().on(&device).unwrap();
        for epoch in &report.epochs {
            let ids = Tensor::from_labels(&device, &flat).unwrap();
            let states = table
                .gather(&ids)
                .unwrap()
                .to_array()
                .unwrap()
                .into_shape_with_order((12, 6))
                .unwrap();
            let inputs = Inputs::new(&states, &y)
                .input("linear_weight", &weight)
                .input("linear_bias", &bias);
            let found = criterion.evaluate(&inputs).unwrap();
            assert!(
                (found.value() - epoch.loss).abs() <= 1e-5,
                "{}: {}, {}",
                device.name(),
                found.value(),
                epoch.loss
            );
            let gradient = found.gradient.to_shape((24, 3)).unwrap().to_owned().into_dyn();
            let gradient = Tensor::from_array(&device, gradient.view()).unwrap();
            table.update(&ids, &gradient, &sgd).unwrap();
            weight.zip_mut_with(found.gradient_of("linear_weight").unwrap(), |w, g| *w -= 0.5 * g);
            bias.zip_mut_with(found.gradient_of("linear_bias").unwrap(), |b, g| *b -= 0.5 * g);
        }
        // Three steps of rate 0.5, whose gradients, sums over 12 rows of 6 products below 1, are
        // rounded as often: 3 · 0.5 · 72 · 2⁻²⁴.
        let limit = 6.5e-6;
        let wide = |values: &Array2<f32>| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let (found, biases) = &model.weights().unwrap()[0];
        assert!(
            difference(&wide(&weight.t().to_owned()), &found.iter().copied().collect::<Vec<_>>())
                <= limit
        );
        assert!(difference(&bias.mapv(f64::from).to_vec(), biases) <= limit, "{}", device.name());
        let found: Vec<f64> = model.embedding().unwrap().unwrap().iter().copied().collect();
        assert!(
            difference(&wide(&table.to_array().unwrap()), &found) <= limit,
            "{}",
            device.name()
        );
    }
}

#[test]
fn the_gradient_of_the_table_is_that_of_central_differences() {
    let (x, y) = drawn(9, 2, [6, 4]);
    let start = || {
        let model =
            Sequential::of_ids(2, [6, 3]).then(Dense::new(5).activation(Tanh)).then(Dense::new(4));
        model
            .on(&Device::reference())
            .unwrap()
            .compile(LinearCrossEntropy::new(), Sgd::new().learning_rate(1.0))
            .unwrap()
    };
    let mut model = start();
    let before = model.engine.parameters().unwrap();
    model.fit(&x, &y, fit(1, 9)).unwrap();
    let after = model.engine.parameters().unwrap();
    let mut probe = start();
    for place in 0..before.len() {
        let mut loss_at = |step: f64| {
            let mut moved = before.clone();
            moved[place] += step;
            probe.engine.set_parameters(&moved).unwrap();
            probe.evaluate(&x, &y).unwrap().loss
        };
        let h = 1e-5;
        let exact = (loss_at(h) - loss_at(-h)) / (2.0 * h);
        // h² times a third derivative below 1, and 2⁻⁵³ / h of rounding.
        let found = before[place] - after[place];
        assert!((found - exact).abs() <= 1e-9, "{place} of {}: {found}, {exact}", before.len());
    }
}

/// A model whose outputs take several chunks on every device (64 rows of 65,536 classes are 16
/// MiB), after two steps; its targets are labels, some of them ignored, or one-hot rows.
fn wide(device: &Device, is_fused: bool, has_hidden: bool) -> (Model, f64, Option<f64>) {
    let (x, mut y) = drawn(140, 2, [50, 65_536]);
    let mut dense = Array2::<f32>::zeros((140, 65_536));
    for (row, label) in y.iter_mut().enumerate() {
        dense[[row, *label as usize]] = 1.0;
        if row % 9 == 0 {
            *label = -100;
        }
    }
    let mut description = Sequential::of_ids(2, [50, 4]);
    if has_hidden {
        description = description.then(Dense::new(8).activation(Tanh));
    }
    let model = description.then(Dense::new(65_536)).on(device).unwrap();
    let sgd = Sgd::new().learning_rate(1.0);
    let mut model = match is_fused {
        true => model.compile(LinearCrossEntropy::new(), sgd).unwrap(),
        false => model.compile(CrossEntropy::new(), sgd).unwrap(),
    };
    let score = match has_hidden {
        true => model.fit(&x, &y, fit(2, 140)).and_then(|_| model.evaluate(&x, &y)),
        false => model.fit(&x, &dense, fit(2, 140)).and_then(|_| model.evaluate(&x, &dense)),
    };
    let score = score.unwrap();
    (model, score.loss, score.accuracy)
}

#[test]
fn the_loss_that_takes_the_last_layer_gives_what_cross_entropy_gives_behind_it() {
    for device in devices() {
        for has_hidden in [false, true] {
            let (fused, loss, accuracy) = wide(&device, true, has_hidden);
            let (plain, exact, exact_accuracy) = wide(&device, false, has_hidden);
            // A gradient element is a sum over 140 rows in three chunks instead of one; each term
            // is below 1/124. Two steps of rate 1: 2 · 143 · 140/124 · 2⁻²⁴ = 1.9e-5.
            let [a, b] = [fused, plain].map(|model| model.engine.parameters().unwrap());
            assert!(
                difference(&a, &b) <= 1.9e-5,
                "{} {has_hidden}: {}",
                device.name(),
                difference(&a, &b)
            );
            assert!(
                (loss - exact).abs() <= 1.9e-5 * exact,
                "{} {has_hidden}: {loss}, {exact}",
                device.name()
            );
            assert_eq!(accuracy, exact_accuracy, "{} {has_hidden}", device.name());
        }
    }
}

fn small(device: &Device) -> Model {
    let model =
        Sequential::of_ids(2, [20, 4]).then(Dense::new(6).activation(Tanh)).then(Dense::new(20));
    model
        .on(device)
        .unwrap()
        .compile(LinearCrossEntropy::new(), Adam::new().learning_rate(0.02))
        .unwrap()
}

fn bits(model: &Model) -> Vec<u64> {
    let states = model.engine.states().unwrap().concat();
    model.engine.parameters().unwrap().iter().chain(&states).map(|x| x.to_bits()).collect()
}

#[test]
fn two_trainings_and_one_in_two_parts_with_a_file_between_give_the_same_bits() {
    let (x, y) = drawn(45, 2, [20, 20]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for device in devices() {
        let (mut once, mut again, mut half) = (small(&device), small(&device), small(&device));
        once.fit(&x, &y, fit(4, 16)).unwrap();
        again.fit(&x, &y, fit(4, 16)).unwrap();
        assert_eq!(bits(&once), bits(&again), "{}", device.name());
        half.fit(&x, &y, fit(2, 16)).unwrap();
        half.save(&path).unwrap();
        let mut rest = Model::load(&path, &device).unwrap();
        assert_eq!(bits(&half), bits(&rest), "{}", device.name());
        rest.fit(&x, &y, fit(2, 16)).unwrap();
        assert_eq!(bits(&once), bits(&rest), "{}", device.name());
        assert_eq!(once.predict(&x).unwrap(), rest.predict(&x).unwrap(), "{}", device.name());
    }
}

#[test]
fn a_row_that_no_batch_named_stays_as_it_began() {
    let x = array![[3.0_f32], [5.0], [3.0]];
    let y = array![0_i64, 1, 1];
    for device in devices() {
        let model = Sequential::of_ids(1, [8, 4]).then(Dense::new(2)).on(&device).unwrap();
        let first = model.embedding().unwrap().unwrap();
        let mut model = model.compile(CrossEntropy::new(), Adam::new()).unwrap();
        model.fit(&x, &y, fit(2, 2)).unwrap();
        let last = model.embedding().unwrap().unwrap();
        for row in 0..8 {
            assert_eq!(
                first.row(row) == last.row(row),
                ![3, 5].contains(&row),
                "{} row {row}",
                device.name()
            );
        }
    }
}

#[test]
fn what_is_no_id_is_reported_with_its_row() {
    let y = array![0_i64, 1];
    for (bad, text) in [
        (20.0, "hold 20 in row 1, column 1"),
        (-1.0, "hold -1 in row 1"),
        (1.5, "hold 1.5 in row 1"),
    ] {
        let x = array![[0.0_f32, 19.0], [3.0, bad]];
        for device in devices() {
            let mut model = small(&device);
            for error in [model.fit(&x, &y, fit(1, 2)).unwrap_err(), model.predict(&x).unwrap_err()]
            {
                let error = error.to_string();
                assert!(
                    error.contains(text) && error.contains("whole numbers from 0 to 19"),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn what_a_model_that_takes_ids_cannot_do_is_refused_by_name() {
    let (x, y) = drawn(6, 2, [20, 20]);
    let device = Device::cpu();
    let says = |error: Error, text: &str| assert!(error.to_string().contains(text), "{error}");
    for (asked, name) in [
        (fit(1, 2).clip_norm(1.0), "clip_norm"),
        (fit(1, 2).clip_tensor_norm(1.0), "clip_tensor_norm"),
        (fit(1, 2).clip_value(1.0), "clip_value"),
        (fit(1, 2).skip_non_finite(true), "skip_non_finite"),
        (fit(1, 2).average(Average::new(0.9)), "average"),
    ] {
        says(small(&device).fit(&x, &y, asked).unwrap_err(), name);
    }
    let lamb: Box<dyn Optimizer> = Box::new(Lamb::new());
    let model = || Sequential::of_ids(2, [20, 4]).then(Dense::new(20));
    let compiled = model().on(&device).unwrap().compile_boxed(Box::new(CrossEntropy::new()), lamb);
    says(compiled.unwrap_err(), "lamb");
    says(
        Population::new(model(), [Member::new()], &device).unwrap_err(),
        "begins with an embedding",
    );
    says(
        model().on(&device).unwrap().set_input_scaling(vec![0.0; 2], vec![1.0; 2]).unwrap_err(),
        "takes ids",
    );
    let curved = Sequential::new(3).then(Dense::new(4).activation(Tanh)).on(&device).unwrap();
    says(
        curved.compile(LinearCrossEntropy::new(), Adam::new()).unwrap_err(),
        "has the activation tanh",
    );
    for (ids, rows, width) in [(0, 3, 3), (3, 0, 3), (3, 3, 0), (1, (1 << 24) + 1, 1)] {
        says(
            Sequential::of_ids(ids, [rows, width]).then(Dense::new(2)).on(&device).unwrap_err(),
            "embedding",
        );
    }
}

#[test]
fn rows_of_very_many_ids_are_predicted_in_smaller_batches() {
    crate::runtime::device::test_adapter::needs_gpu!();
    // 1,024 rows at once would be 16,384,000 ids, more than the kernels' limit per lookup.
    let rows = 1030;
    let ids = Array2::from_shape_fn((rows, 16_000), |(row, place)| ((7 * row + place) % 10) as f32);
    let of = |device: &Device| {
        let mut model = Sequential::of_ids(16_000, [10, 1]).then(Dense::new(1)).on(device).unwrap();
        model.predict(&ids).unwrap()
    };
    let (found, expected) =
        (of(&Device::gpu().expect("an adapter, a software one will do")), of(&Device::cpu()));
    // Sums of 16,000 products of at most 0.05 by 0.02 in f32: a few roundings of 6e-8 of their
    // magnitudes.
    let most = expected.iter().zip(&found).map(|(e, f)| (e - f).abs()).fold(0.0, f32::max);
    assert!(most <= 1e-5, "{most}");
}
