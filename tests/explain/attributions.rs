//! Attributions to features and training rows against explicit gradients and plain loops.

use gradus::activations::{Relu, Tanh};
use gradus::explain::{IntegratedGradients, PermutationImportance, influences};
use gradus::layers::{BatchNorm, Conv2d, Dropout, Flatten};
use gradus::losses::{CrossEntropy, Mse};
use gradus::optimizers::Adam;
use gradus::{Dense, Device, Fit, Sequential};
use ndarray::{Array2, s};

use crate::rows::{difference, explicit, features, labels, on_each_device};

fn network() -> Sequential {
    Sequential::new(6)
        .then(Dense::new(16).activation(Relu))
        .then(Dense::new(8).activation(Tanh))
        .then(Dense::new(3))
        .seed(5)
}

#[test]
fn influences_are_the_products_of_explicit_gradients_on_each_device() {
    let (x, y) = (features(50, 6), labels(50, 3));
    let (others, other_y) = (features(57, 6).slice(s![50.., ..]).to_owned(), labels(7, 3));
    let mut models = on_each_device(network, || Box::new(CrossEntropy::new()));
    let mut reference = models.remove(0);
    let mut gradients = |x: &Array2<f32>, y: &ndarray::Array1<i64>| -> Vec<Vec<f64>> {
        (0..x.nrows())
            .map(|row| {
                let x = x.slice(s![row..=row, ..]).to_owned();
                explicit(&mut reference, &x, (&y.slice(s![row..=row])).into())
            })
            .collect()
    };
    let (of_rows, of_others) = (gradients(&x, &y), gradients(&others, &other_y));
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let wanted: Vec<f64> =
        of_others.iter().flat_map(|other| of_rows.iter().map(move |row| dot(other, row))).collect();
    for mut model in std::iter::once(reference).chain(models) {
        let name = model.device().name();
        let found = influences(&mut model, (&x, &y), (&others, &other_y)).unwrap();
        assert_eq!(found.dim(), (7, 50));
        let error = difference(found.as_slice().unwrap(), &wanted);
        assert!(error < if name == "reference" { 1e-12 } else { 1e-5 }, "{name}: {error}");
    }
}

#[test]
fn attributions_add_up_to_the_loss_on_each_device() {
    let (x, y) = (features(40, 6), labels(40, 3));
    for mut model in on_each_device(network, || Box::new(CrossEntropy::new())) {
        let name = model.device().name();
        model.fit(&x, &y, Fit::new().epochs(30).progress(false)).unwrap();
        let found = IntegratedGradients::new().attribute(&mut model, &x, &y).unwrap();
        assert!(found.largest_residual() < 1e-3, "{name}: {}", found.largest_residual());
        let rows = model.evaluate_rows(&x, &y).unwrap();
        assert!(difference(&found.loss, &rows.loss) < 1e-5, "{name}");
        for row in 0..40 {
            let sum = found.values.row(row).sum() + found.residual[row];
            let wanted = found.loss[row] - found.baseline_loss[row];
            assert!((sum - wanted).abs() < 1e-12);
        }
        // The residual can be large: of one point the sum is a guess.
        let rough = IntegratedGradients::new().points(1).tolerance(1e9);
        let rough = rough.attribute(&mut model, &x, &y).unwrap();
        assert!(rough.largest_residual() > 1e-2, "{name}");
    }
}

#[test]
fn attributions_of_a_linear_model_have_a_closed_form_with_scaled_inputs_too() {
    let (x, y) = (features(20, 4), features(20, 1));
    let baseline = vec![0.5_f32, -1.0, 0.0, 2.0];
    for scales in [false, true] {
        let linear = || Sequential::new(4).then(Dense::new(1)).seed(1);
        for mut model in on_each_device(linear, || Box::new(Mse::new())) {
            let (mean, scale) = (vec![0.1, 0.2, 0.3, 0.4], vec![0.5, 2.0, 1.0, 4.0]);
            if scales {
                model.set_input_scaling(mean.clone(), scale.clone()).unwrap();
            }
            let own = IntegratedGradients::new().baseline(baseline.clone());
            let found = own.attribute(&mut model, &x, &y).unwrap();
            let (weight, bias) = model.weights().unwrap().remove(0);
            let w = |column: usize| weight[[column, 0]] / if scales { scale[column] } else { 1.0 };
            let shift = |column: usize| if scales { mean[column] } else { 0.0 };
            let error = |features: &[f32], target: f32| {
                let of = |(column, x): (usize, &f32)| w(column) * (f64::from(*x) - shift(column));
                features.iter().enumerate().map(of).sum::<f64>() + bias[0] - f64::from(target)
            };
            let mut wanted = Vec::new();
            for row in 0..20 {
                let own = x.row(row).to_vec();
                let both = error(&own, y[[row, 0]]) + error(&baseline, y[[row, 0]]);
                let far = |column: usize| f64::from(own[column]) - f64::from(baseline[column]);
                wanted.extend((0..4).map(|column| w(column) * far(column) * both));
            }
            let difference = difference(found.values.as_slice().unwrap(), &wanted);
            assert!(difference < 1e-5, "{}: {difference}", model.device().name());
        }
    }
}

#[test]
fn convolutions_have_attributions_and_batch_norm_is_refused() {
    let (x, y) = (features(12, 36), labels(12, 3));
    let images = || {
        Sequential::images([6, 6, 1])
            .then(Conv2d::new(3, 3).activation(Tanh))
            .then(Dropout::new(0.5))
            .then(Flatten::new())
            .then(Dense::new(3))
    };
    for mut model in on_each_device(images, || Box::new(CrossEntropy::new())) {
        let found = IntegratedGradients::new().attribute(&mut model, &x, &y).unwrap();
        assert!(found.largest_residual() < 1e-3, "{}", model.device().name());
        let message = influences(&mut model, (&x, &y), (&x, &y)).unwrap_err().to_string();
        assert!(message.contains("outside of dense layers"), "{message}");
    }
    let normed = Sequential::images([6, 6, 1])
        .then(Conv2d::new(3, 3))
        .then(BatchNorm::new())
        .then(Flatten::new())
        .then(Dense::new(3));
    let mut model =
        normed.on(&Device::cpu()).unwrap().compile(CrossEntropy::new(), Adam::new()).unwrap();
    let found = IntegratedGradients::new().attribute(&mut model, &x, &y);
    assert!(found.unwrap_err().to_string().contains("batch norm"));
}

#[test]
fn importances_are_those_of_a_plain_loop_on_each_device() {
    let (x, y) = (features(50, 6), labels(50, 3));
    let groups = [vec![0], vec![1, 2], vec![5]];
    let asked = PermutationImportance::new().repeats(3).seed(9);
    for mut model in on_each_device(network, || Box::new(CrossEntropy::new())) {
        let name = model.device().name();
        model.fit(&x, &y, Fit::new().epochs(20).progress(false)).unwrap();
        let found = asked.measure(&mut model, &x, &y, &groups).unwrap();
        let mut loss = |x: &Array2<f32>| {
            let outputs = model.predict(x).unwrap().mapv(f64::from);
            let of = |(row, &label): (ndarray::ArrayView1<f64>, &i64)| {
                row.iter().map(|z| z.exp()).sum::<f64>().ln() - row[label as usize]
            };
            outputs.rows().into_iter().zip(&y).map(of).sum::<f64>() / 50.0
        };
        let base = loss(&x);
        for (group, columns) in groups.iter().enumerate() {
            let mut rises = Vec::new();
            for repeat in 0..3 {
                let mut shuffled = x.clone();
                for (row, from) in asked.order(50, group, repeat).into_iter().enumerate() {
                    columns.iter().for_each(|&column| shuffled[[row, column]] = x[[from, column]]);
                }
                assert_ne!(shuffled, x);
                rises.push(loss(&shuffled) - base);
            }
            let mean = rises.iter().sum::<f64>() / 3.0;
            assert!((found[group].increase - mean).abs() < 1e-6, "{name}");
            assert_eq!(found[group].columns, *columns);
            assert!(found[group].deviation > 0.0);
        }
    }
    let mut model = on_each_device(network, || Box::new(CrossEntropy::new())).remove(0);
    assert!(asked.clone().repeats(0).measure(&mut model, &x, &y, &[]).is_err());
    assert!(asked.measure(&mut model, &x, &y, &[vec![6]]).is_err());
    assert_eq!(asked.measure(&mut model, &x, &y, &[]).unwrap().len(), 6);
}
