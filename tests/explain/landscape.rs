//! The loss around a model, on the way to another one, and its curvature.

use gradus::activations::{Relu, Tanh};
use gradus::explain::{Curvature, Landscape, hessian_vector_product, loss_path};
use gradus::layers::{BatchNorm, Dropout};
use gradus::losses::{CrossEntropy, Mse};
use gradus::optimizers::{Adam, Sgd};
use gradus::{Dense, Device, Error, Fit, Model, Sequential};
use ndarray::{Array1, Array2, Axis};

use crate::support::each_device;

fn rows(count: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((count, columns), |(row, column)| {
        ((row * 37 + column * 11 + row * column) % 19) as f32 / 9.0 - 1.0
    })
}

fn labels(count: usize) -> Array1<i64> {
    (0..count as i64).map(|row| row * 7 % 3).collect()
}

fn classifier(device: &Device) -> Model {
    Sequential::new(4)
        .then(Dense::new(6).activation(Tanh))
        .then(Dense::new(3))
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new().learning_rate(0.02))
        .unwrap()
}

/// A plane of a linear model without bias under the squared error, by hand: the loss is a quadratic
/// function of both steps, so that its second differences are the same everywhere.
#[test]
fn the_plane_of_a_quadratic_loss_is_a_paraboloid() {
    let (x, y) = (rows(30, 4), rows(30, 2));
    let mut model = Sequential::new(4)
        .then(Dense::new(2).bias(false))
        .on(&Device::reference())
        .unwrap()
        .compile(Mse::new(), Sgd::new())
        .unwrap();
    let before = model.named_parameters().unwrap();
    let surface = Landscape::new().points(7).span(0.5).seed(3).measure(&mut model, &x, &y).unwrap();
    assert_eq!(model.named_parameters().unwrap(), before);
    assert_eq!(surface.center(), model.evaluate(&x, &y).unwrap().loss);
    assert_eq!(surface.steps.len(), 7);
    assert!((surface.steps[6] - 0.5).abs() < 1e-15);
    let second = |i: usize, j: usize| {
        surface.loss[[i - 1, j]] - 2.0 * surface.loss[[i, j]] + surface.loss[[i + 1, j]]
    };
    let first = second(1, 0);
    assert!(first > 0.0);
    for (i, j) in (1..6).flat_map(|i| (0..7).map(move |j| (i, j))) {
        assert!((second(i, j) - first).abs() < 1e-12, "{i} {j}: {} {first}", second(i, j));
    }
    let other = Landscape::new().points(7).span(0.5).seed(4).measure(&mut model, &x, &y).unwrap();
    assert_ne!(other.loss, surface.loss);
}

#[test]
fn each_device_gives_the_plane_of_the_reference() {
    let (x, y) = (rows(40, 4), labels(40));
    let trained = |device: &Device| {
        let mut model = classifier(&Device::reference());
        model.fit(&x, &y, Fit::new().epochs(5)).unwrap();
        let named = model.named_parameters().unwrap();
        let mut copy = classifier(device);
        copy.set_named_parameters(named.iter().map(|(path, array)| (path.as_str(), array.view())))
            .unwrap();
        copy
    };
    let landscape = Landscape::new().points(5);
    let exact = landscape.measure(&mut trained(&Device::reference()), &x, &y).unwrap();
    let curve = Curvature::new().largest(&mut trained(&Device::reference()), &x, &y).unwrap();
    for device in each_device() {
        let mut model = trained(&device);
        let found = landscape.measure(&mut model, &x, &y).unwrap();
        for (place, (found, exact)) in found.loss.iter().zip(&exact.loss).enumerate() {
            // A mean of 40 rows, each of sums of some twenty terms and three functions that are off by
            // 4 units: 80 roundings of 6e-8 at most, of numbers up to twice the loss.
            assert!(
                (found - exact).abs() <= 1e-5 * exact.abs(),
                "{place} on {}",
                device.describe()
            );
        }
        assert_eq!(landscape.measure(&mut model, &x, &y).unwrap(), found);
        // Each is within its residual, a hundredth, of an eigenvalue.
        let found = Curvature::new().largest(&mut model, &x, &y).unwrap();
        let off = (found.value / curve.value - 1.0).abs();
        assert!(off < 0.02, "{} instead of {} on {}", found.value, curve.value, device.describe());
        assert!(found.residual <= 0.01 && found.change < 0.01, "{found:?}");
    }
}

/// The Hessian of a small network, column by column, against differences of the loss itself.
#[test]
fn products_with_the_hessian_are_second_differences_of_the_loss() {
    let (x, y) = (rows(20, 4), labels(20));
    let mut model = classifier(&Device::reference());
    model.fit(&x, &y, Fit::new().epochs(3)).unwrap();
    let named = model.named_parameters().unwrap();
    let flat: Vec<f64> = named.iter().flat_map(|(_, array)| array.iter().copied()).collect();
    let mut loss_at = |moves: &[(usize, f64)]| {
        let mut flat = flat.clone();
        moves.iter().for_each(|(place, step)| flat[*place] += step);
        let mut rest = &flat[..];
        let arrays: Vec<_> = named
            .iter()
            .map(|(path, array)| {
                let (own, others) = rest.split_at(array.len());
                rest = others;
                (
                    path.as_str(),
                    ndarray::ArrayD::from_shape_vec(array.shape(), own.to_vec()).unwrap(),
                )
            })
            .collect();
        model
            .set_named_parameters(arrays.iter().map(|(path, array)| (*path, array.view())))
            .unwrap();
        model.evaluate(&x, &y).unwrap().loss
    };
    let h = 1e-4;
    let asked = [(0, 0), (0, 5), (7, 30), (25, 26), (40, 44), (50, 50)];
    let wanted: Vec<f64> = asked
        .iter()
        .map(|&(a, b)| {
            let mut at = |s: f64, t: f64| loss_at(&[(a, s * h), (b, t * h)]);
            (at(1.0, 1.0) - at(1.0, -1.0) - at(-1.0, 1.0) + at(-1.0, -1.0)) / (4.0 * h * h)
        })
        .collect();
    loss_at(&[]);
    for (&(a, b), wanted) in asked.iter().zip(wanted) {
        let mut unit = vec![0.0; flat.len()];
        unit[b] = 1.0;
        let found = hessian_vector_product(&mut model, &x, &y, &unit).unwrap();
        assert_eq!(found.len(), flat.len());
        assert!((found[a] - wanted).abs() < 1e-6, "{a} {b}: {} instead of {wanted}", found[a]);
    }
    assert!(hessian_vector_product(&mut model, &x, &y, &[1.0]).is_err());
}

/// Dropout draws the same places for both gradients, and the running statistics of batch norm stay.
#[test]
fn a_model_with_dropout_and_batch_norm_is_left_as_it_was() {
    let (x, y) = (rows(40, 4), labels(40));
    for device in each_device() {
        let mut model = Sequential::new(4)
            .then(Dense::new(8).activation(Relu))
            .then(BatchNorm::new())
            .then(Dropout::new(0.3))
            .then(Dense::new(3))
            .on(&device)
            .unwrap()
            .compile(CrossEntropy::new(), Adam::new())
            .unwrap();
        model.fit(&x, &y, Fit::new().epochs(2)).unwrap();
        let before = (model.named_parameters().unwrap(), model.named_statistics().unwrap());
        let found = Curvature::new().largest(&mut model, &x, &y).unwrap();
        assert!(found.value.is_finite() && found.iterations > 1, "{found:?}");
        assert_eq!(Curvature::new().largest(&mut model, &x, &y).unwrap(), found);
        Landscape::new().points(3).measure(&mut model, &x, &y).unwrap();
        let after = (model.named_parameters().unwrap(), model.named_statistics().unwrap());
        assert!(before == after, "on {}", device.describe());
        let mut history = model.fit(&x, &y, Fit::new().epochs(1)).unwrap();
        assert!(history.epochs.pop().unwrap().loss.is_finite());
    }
}

/// Gradient descent at a rate just above 2/λ leaves a minimum, and just below it stays.
#[test]
fn the_largest_rate_is_the_edge_of_stability() {
    let x = rows(50, 4);
    let y = x.sum_axis(Axis(1)).insert_axis(Axis(1));
    let model = || {
        Sequential::new(4)
            .then(Dense::new(1).bias(false))
            .on(&Device::reference())
            .unwrap()
            .compile(Mse::new(), Sgd::new())
            .unwrap()
    };
    let edge = Curvature::new().tolerance(1e-9).iterations(500).largest(&mut model(), &x, &y);
    let edge = edge.unwrap().largest_rate();
    let fit = |rate: f64| {
        let mut model = model();
        let fit = Fit::new().epochs(400).batch_size(50).learning_rate(rate);
        let before = model.evaluate(&x, &y).unwrap().loss;
        model.fit(&x, &y, fit).unwrap();
        model.evaluate(&x, &y).unwrap().loss / before
    };
    assert!(fit(0.98 * edge) < 1e-3);
    assert!(fit(1.02 * edge) > 1.0);
}

#[test]
fn a_path_has_both_models_at_its_ends() {
    let (x, y) = (rows(40, 4), labels(40));
    for device in each_device() {
        let (mut first, mut second) = (classifier(&device), classifier(&device));
        second.fit(&x, &y, Fit::new().epochs(20)).unwrap();
        let found = loss_path(&mut first, &second, 5, &x, &y).unwrap();
        let [one, two] =
            [&mut first, &mut second].map(|model| model.evaluate(&x, &y).unwrap().loss);
        assert_eq!((found[0], found[4], found.len()), (one, two, 5));
        let other = Sequential::new(4).then(Dense::new(3)).on(&device).unwrap();
        let text = loss_path(&mut first, &other, 5, &x, &y).unwrap_err().to_string();
        assert!(text.contains("layers.0.weight") && text.contains("[4, 6]"), "{text}");
    }
}

#[test]
fn wrong_options_are_refused() {
    let (x, y) = (rows(10, 4), labels(10));
    let mut model = classifier(&Device::cpu());
    for landscape in [
        Landscape::new().points(4),
        Landscape::new().points(1),
        Landscape::new().points(1003),
        Landscape::new().span(0.0),
        Landscape::new().span(f64::NAN),
    ] {
        let error = landscape.measure(&mut model, &x, &y).unwrap_err();
        assert!(matches!(error, Error::Option { .. }), "{error}");
    }
    for curvature in [Curvature::new().iterations(0), Curvature::new().tolerance(f64::NAN)] {
        let error = curvature.largest(&mut model, &x, &y).unwrap_err();
        assert!(matches!(error, Error::Option { .. }), "{error}");
    }
    let other = classifier(&Device::cpu());
    assert!(matches!(loss_path(&mut model, &other, 1, &x, &y).unwrap_err(), Error::Option { .. }));
}

/// Cauchy's loss ln(1 + e²)/2 bends by (1 − e²)/(1 + e²)²: −1/8 at e = √3, a little upwards at 0.95. Each
/// weight is one error, and the mean is over two.
#[test]
fn the_largest_eigenvalue_is_found_where_a_negative_one_is_larger_in_size() {
    let (x, y) = (ndarray::array![[1.0_f32]], ndarray::array![[0.0_f32, 0.0]]);
    let mut model = Sequential::new(1)
        .then(Dense::new(2).bias(false))
        .on(&Device::reference())
        .unwrap()
        .compile(gradus::losses::Cauchy::new(), Sgd::new())
        .unwrap();
    let curve = |e: f64| 0.5 * (1.0 - e * e) / (1.0 + e * e).powi(2);
    for (errors, wanted) in [
        ([3.0_f64.sqrt(), 0.95], curve(0.95)),
        ([3.0_f64.sqrt(), 2.5], curve(2.5)),
        ([0.0, 0.95], curve(0.0)),
    ] {
        let weight = ndarray::array![[errors[0], errors[1]]].into_dyn();
        model.set_named_parameters([("layers.0.weight", weight.view())]).unwrap();
        let found = Curvature::new().tolerance(1e-6).largest(&mut model, &x, &y).unwrap();
        // The differences are exact to the power 2/3 of f64's rounding, 4e-11, times some units.
        assert!((found.value - wanted).abs() < 1e-8, "{errors:?}: {found:?}");
        assert_eq!(found.largest_rate().is_finite(), wanted > 0.0);
        assert!(found.change < 1e-6, "{found:?}");
    }
}

/// An absolute error has no curvature but at its kink, where a smaller step finds a larger one.
#[test]
fn a_kink_shows_in_the_change_and_a_flat_loss_has_the_eigenvalue_0() {
    let (x, y) = (ndarray::array![[1.0_f32]], ndarray::array![[0.0_f32]]);
    let mut model = Sequential::new(1)
        .then(Dense::new(1).bias(false))
        .on(&Device::reference())
        .unwrap()
        .compile(gradus::losses::Mae::new(), Sgd::new())
        .unwrap();
    for (weight, is_kink) in [(0.0, true), (1.0, false)] {
        let weight = ndarray::array![[weight]].into_dyn();
        model.set_named_parameters([("layers.0.weight", weight.view())]).unwrap();
        let found = Curvature::new().largest(&mut model, &x, &y).unwrap();
        match is_kink {
            // 1/h at a step of h: four times as much at a quarter of it.
            true => assert!((found.change - 3.0).abs() < 1e-6, "{found:?}"),
            false => assert_eq!((found.value, found.change, found.residual), (0.0, 0.0, 0.0)),
        }
    }
}

/// More rows than a batch of the evaluation: the gradients of several are added.
#[test]
fn many_rows_and_rows_in_lists_have_the_differences_of_their_gradients() {
    let (x, y) = (rows(2500, 4), labels(2500));
    let relevance = Array1::from_shape_fn(2500, |row| (row * 5 % 4) as f32);
    let groups = vec![5; 500];
    let lists = || gradus::Targets::grouped(&relevance, &groups);
    let ranker = || {
        Sequential::new(4)
            .then(Dense::new(6).activation(Tanh))
            .then(Dense::new(1))
            .on(&Device::reference())
            .unwrap()
            .compile(gradus::losses::ListNet::new(), Adam::new())
            .unwrap()
    };
    for is_lists in [false, true] {
        let mut model = if is_lists { ranker() } else { classifier(&Device::reference()) };
        let length: usize =
            model.named_parameters().unwrap().iter().map(|(_, array)| array.len()).sum();
        let vector: Vec<f64> = (0..length).map(|place| (place as f64 * 0.7).sin()).collect();
        let found = match is_lists {
            true => hessian_vector_product(&mut model, &x, lists(), &vector),
            false => hessian_vector_product(&mut model, &x, &y, &vector),
        };
        let found = found.unwrap();
        let step = 1e-5;
        let named = model.named_parameters().unwrap();
        let mut gradient_at = |sign: f64| -> Vec<f64> {
            let mut places = vector.iter();
            let moved: Vec<_> = named
                .iter()
                .map(|(path, array)| {
                    (path, array.mapv(|w| w + sign * step * places.next().unwrap()))
                })
                .collect();
            let moved = moved.iter().map(|(path, array)| (path.as_str(), array.view()));
            model.set_named_parameters(moved).unwrap();
            let found = match is_lists {
                true => model.gradients(&x, lists()),
                false => model.gradients(&x, &y),
            };
            found.unwrap().1.into_iter().flat_map(|(_, array)| array.into_iter()).collect()
        };
        let (above, below) = (gradient_at(1.0), gradient_at(-1.0));
        let largest = found.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
        for (place, found) in found.iter().enumerate() {
            let wanted = (above[place] - below[place]) / (2.0 * step);
            assert!((found - wanted).abs() < 1e-6 * largest, "{place}: {found} {wanted}");
        }
    }
}

#[test]
fn vectors_of_any_size_have_a_product_and_those_that_are_not_finite_none() {
    let (x, y) = (rows(20, 4), labels(20));
    let mut model = classifier(&Device::reference());
    let unit: Vec<f64> = (0..51).map(|place| (place as f64 * 0.7).sin()).collect();
    let plain = hessian_vector_product(&mut model, &x, &y, &unit).unwrap();
    for scale in [1e-200, 1e200] {
        let scaled: Vec<f64> = unit.iter().map(|number| scale * number).collect();
        let found = hessian_vector_product(&mut model, &x, &y, &scaled).unwrap();
        let largest = plain.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
        for (found, plain) in found.iter().zip(&plain) {
            assert!((found / scale - plain).abs() < 1e-8 * largest, "{scale}: {found} {plain}");
        }
    }
    assert_eq!(hessian_vector_product(&mut model, &x, &y, &[0.0; 51]).unwrap(), vec![0.0; 51]);
    let mut vector = unit;
    vector[3] = f64::NAN;
    let error = hessian_vector_product(&mut model, &x, &y, &vector).unwrap_err();
    assert!(error.to_string().contains("the vector"), "{error}");
}
