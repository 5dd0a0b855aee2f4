//! Losses fused with a linear layer, compared with three separate steps: products, loss, products.

use crate::support::each_device;
use gradus::losses::{CrossEntropy, LinearCrossEntropy, Loss};
use gradus::{Criterion, Device, Error, Inputs, Reduction};
use ndarray::{Array1, Array2, ArrayD, ArrayView2, Axis, array};

/// Multiples of 1/8 below 1: sums of up to a thousand products of two are exact in f32.
fn numbers(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
    let number = |(i, j): (usize, usize)| {
        ((i * 7919 + j * 104_729 + seed * 31 + i * j) % 15) as f32 / 8.0 - 0.875
    };
    Array2::from_shape_fn((rows, columns), number)
}

/// A layer, its labels and the reduction of its loss.
struct Layer {
    x: Array2<f32>,
    weight: Array2<f32>,
    bias: Option<Array1<f32>>,
    labels: Array1<i64>,
    row_weight: Option<Array1<f32>>,
    class_weight: Option<Array1<f32>>,
    reduction: Reduction,
}

fn layer(rows: usize, features: usize, classes: usize) -> Layer {
    Layer {
        x: numbers(rows, features, 1),
        weight: numbers(classes, features, 2),
        bias: Some(numbers(1, classes, 3).index_axis(Axis(0), 0).to_owned()),
        labels: Array1::from_shape_fn(rows, |row| ((row * 31) % classes) as i64),
        row_weight: None,
        class_weight: None,
        reduction: Reduction::Mean,
    }
}

impl Layer {
    fn fused(&self, loss: CrossEntropy, device: &Device) -> gradus::Evaluation<f64> {
        let criterion = LinearCrossEntropy::of(loss).on(device).unwrap().reduction(self.reduction);
        let mut inputs = Inputs::new(&self.x, &self.labels).input("linear_weight", &self.weight);
        if let Some(bias) = &self.bias {
            inputs = inputs.input("linear_bias", bias);
        }
        if let Some(weight) = &self.class_weight {
            inputs = inputs.class_weight(weight);
        }
        if let Some(weight) = &self.row_weight {
            inputs = inputs.weight(weight);
        }
        criterion.evaluate_f64(&inputs).unwrap()
    }

    /// The logits, exact in f32.
    fn logits(&self) -> Array2<f32> {
        let logits = self.x.dot(&self.weight.t());
        match &self.bias {
            Some(bias) => logits + bias,
            None => logits,
        }
    }

    fn unfused(&self, loss: CrossEntropy) -> gradus::Evaluation<f64> {
        let criterion = loss.on(&Device::reference()).unwrap().reduction(self.reduction);
        let logits = self.logits();
        let mut inputs = Inputs::new(&logits, &self.labels);
        if let Some(weight) = &self.class_weight {
            inputs = inputs.class_weight(weight);
        }
        if let Some(weight) = &self.row_weight {
            inputs = inputs.weight(weight);
        }
        criterion.evaluate_f64(&inputs).unwrap()
    }

    /// Compares the fused loss with the three steps on every device.
    fn check(&self, title: &str, loss: &CrossEntropy) {
        let exact = self.unfused(loss.clone());
        let derivatives = exact.gradient.into_dimensionality().unwrap();
        let derivatives: ArrayView2<f64> = derivatives.view();
        let (x, weight) = (self.x.mapv(f64::from), self.weight.mapv(f64::from));
        let gradients = [
            (
                "",
                derivatives.dot(&weight).into_dyn(),
                sizes(derivatives).dot(&sizes(weight.view())).into_dyn(),
            ),
            (
                "linear_weight",
                derivatives.t().dot(&x).into_dyn(),
                sizes(derivatives).t().dot(&sizes(x.view())).into_dyn(),
            ),
            (
                "linear_bias",
                derivatives.sum_axis(Axis(0)).into_dyn(),
                sizes(derivatives).sum_axis(Axis(0)).into_dyn(),
            ),
        ];
        for device in each_device() {
            let found = self.fused(loss.clone(), &device);
            let title = format!("{title} on {}", device.name());
            assert_eq!(found.count, exact.count, "{title}");
            let is_reference = device.name() == "reference";
            let unit = if is_reference { f64::EPSILON } else { f64::from(f32::EPSILON) } / 2.0;
            // Values are sums of positive terms: of the exponentials of a row, and of the rows.
            let terms = (self.weight.nrows() + self.x.nrows()) as f64;
            compare(
                &title,
                &found.values,
                &exact.values,
                &exact.values.mapv(|v| v.abs() + 1.0),
                (32.0 + terms) * unit,
            );
            for (name, exact, sizes) in &gradients {
                let found =
                    if name.is_empty() { Some(&found.gradient) } else { found.gradient_of(name) };
                let Some(found) = found else {
                    assert!(
                        *name == "linear_bias" && self.bias.is_none(),
                        "{title}: no gradient of {name}"
                    );
                    continue;
                };
                // Each derivative is off by a few roundings of its own (exp, a division) and by
                // those of its row's sum, each sum over classes or rows by one rounding per term.
                let share = (32.0 + terms) * unit;
                compare(&format!("{title}, gradient of {name}"), found, exact, sizes, share);
            }
        }
    }
}

fn sizes(array: ArrayView2<f64>) -> Array2<f64> {
    array.mapv(f64::abs)
}

fn compare(title: &str, found: &ArrayD<f64>, exact: &ArrayD<f64>, sizes: &ArrayD<f64>, share: f64) {
    assert_eq!(found.shape(), exact.shape(), "{title}");
    for ((found, exact), size) in found.iter().zip(exact).zip(sizes) {
        assert!(
            (found - exact).abs() <= share * size + 1e-37,
            "{title}: {found} instead of {exact} ± {}",
            share * size
        );
    }
}

#[test]
fn shapes_at_the_edges_give_what_three_steps_give() {
    for (rows, features, classes) in
        [(1, 1, 1), (1, 3, 5), (5, 1, 2), (3, 4, 4), (7, 5, 131), (66, 12, 1000), (129, 33, 67)]
    {
        let title = format!("{rows} x {features} x {classes}");
        layer(rows, features, classes).check(&title, &CrossEntropy::new());
        Layer { bias: None, ..layer(rows, features, classes) }.check(&title, &CrossEntropy::new());
    }
}

#[test]
fn options_weights_and_ignored_labels_are_those_of_cross_entropy() {
    let mut layer = layer(37, 6, 50);
    layer.class_weight = Some(Array1::from_shape_fn(50, |class| class as f32 / 16.0));
    layer.row_weight = Some(Array1::from_shape_fn(37, |row| (row % 4) as f32));
    layer.labels.iter_mut().step_by(3).for_each(|label| *label = -100);
    let all = CrossEntropy::new().label_smoothing(0.1).z_loss(0.01).softcap(3.0).temperature(0.5);
    for reduction in [
        Reduction::Mean,
        Reduction::Sum,
        Reduction::None,
        Reduction::BatchMean,
        Reduction::WeightedMean,
    ] {
        layer.reduction = reduction;
        layer.check(&format!("{reduction:?}"), &all);
        layer.check(
            &format!("{reduction:?}, several ignored"),
            &CrossEntropy::new().ignore_indices([-100, 2, 7]),
        );
    }
}

#[test]
fn chunks_of_rows_add_up_to_the_whole() {
    // 37 MiB of logits: two chunks on the GPU, five on the CPU, the last ones shorter; 32,771 is
    // not a multiple of four.
    for classes in [32_768, 32_771] {
        let mut layer = layer(300, 4, classes);
        layer.labels.iter_mut().step_by(7).for_each(|label| *label = -100);
        layer.check(&format!("{classes} classes"), &CrossEntropy::new());
        layer.reduction = Reduction::None;
        layer.check(&format!("{classes} classes, each"), &CrossEntropy::new());
    }
}

#[test]
fn a_row_that_alone_is_larger_than_the_cap_is_a_chunk() {
    layer(3, 2, 9_000_001).check("9,000,001 classes", &CrossEntropy::new());
}

#[test]
fn nothing_to_average_is_zero() {
    let mut layer = layer(4, 3, 6);
    layer.labels.fill(-100);
    for device in each_device() {
        let found = layer.fused(CrossEntropy::new(), &device);
        assert_eq!((found.value(), found.count), (0.0, 0));
        let gradients = std::iter::once(&found.gradient)
            .chain(found.others.iter().map(|(_, gradient)| gradient));
        assert!(gradients.flatten().all(|&g| g == 0.0), "{}", device.name());
    }
}

#[test]
fn a_label_that_is_no_class_is_refused_by_its_row() {
    let mut layer = layer(4, 3, 6);
    layer.labels[2] = 6;
    let criterion = LinearCrossEntropy::new().on(&Device::reference()).unwrap();
    let inputs = || Inputs::new(&layer.x, &layer.labels).input("linear_weight", &layer.weight);
    let error = criterion.evaluate(&inputs()).unwrap_err();
    assert!(matches!(error, Error::Label { row: 2, label: 6, classes: 6, .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("linear_cross_entropy: row 2 has label 6; labels must be 0 to 5"),
        "{error}"
    );
    // The label of a masked row is not read.
    let mask = array![true, true, false, true];
    assert_eq!(criterion.evaluate(&inputs().mask(&mask)).unwrap().count, 3);
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let layer = layer(4, 3, 6);
    let criterion = LinearCrossEntropy::new().on(&Device::reference()).unwrap();
    let refused = |inputs: Inputs| criterion.evaluate(&inputs).unwrap_err().to_string();
    let plain = || Inputs::new(&layer.x, &layer.labels).input("linear_weight", &layer.weight);
    let transposed = layer.weight.t().to_owned();
    let narrow = refused(plain().input("linear_weight", &transposed));
    assert!(narrow.contains("predictions is [4, 3] but linear_weight is [3, 6]"), "{narrow}");
    let bias = Array1::<f32>::zeros(5);
    assert!(refused(plain().input("linear_bias", &bias)).contains("linear_bias must be [6]"));
    let labels = array![1_i64, 2];
    assert!(refused(plain().input("targets", &labels)).contains("targets must be [4]"));
    assert!(refused(Inputs::new(&layer.x, &layer.labels)).contains("linear_weight is missing"));
    let refused = LinearCrossEntropy::of(CrossEntropy::new().temperature(0.0))
        .on(&Device::reference())
        .unwrap_err();
    assert!(refused.to_string().starts_with("linear_cross_entropy: temperature is 0"), "{refused}");
}

#[test]
fn a_bias_of_minus_infinity_takes_its_class_out() {
    let (rows, features, classes) = (9, 5, 12);
    let mut masked = layer(rows, features, classes);
    masked.bias.as_mut().unwrap()[11] = f32::NEG_INFINITY;
    masked.labels.mapv_inplace(|label| label % 11);
    for device in each_device() {
        let found = masked.fused(CrossEntropy::new(), &device);
        let without = Layer {
            weight: masked.weight.slice(ndarray::s![..11, ..]).to_owned(),
            bias: masked.bias.as_ref().map(|bias| bias.slice(ndarray::s![..11]).to_owned()),
            x: masked.x.clone(),
            labels: masked.labels.clone(),
            ..layer(rows, features, classes)
        };
        let fewer = without.fused(CrossEntropy::new(), &device);
        assert!((found.value() - fewer.value()).abs() <= 1e-6 * fewer.value(), "{}", device.name());
        let of_weight = found.gradient_of("linear_weight").unwrap();
        assert!(of_weight.index_axis(Axis(0), 11).iter().all(|&g| g == 0.0), "{}", device.name());
        assert!(found.gradient.iter().chain(of_weight).all(|g| g.is_finite()), "{}", device.name());
    }
}

#[test]
fn nan_comes_out_unless_its_row_is_left_out() {
    let mut layer = layer(5, 3, 7);
    layer.x[[2, 1]] = f32::NAN;
    for device in each_device() {
        let found = layer.fused(CrossEntropy::new(), &device);
        assert!(
            found.value().is_nan()
                && found.gradient_of("linear_bias").unwrap().iter().all(|g| g.is_nan())
        );
        for (row, gradient) in found.gradient.outer_iter().enumerate() {
            assert!(
                gradient.iter().all(|g| g.is_nan() == (row == 2)),
                "{}: row {row}",
                device.name()
            );
        }
        let criterion: Criterion = LinearCrossEntropy::new().on(&device).unwrap();
        let mask = array![true, true, false, true, true];
        let inputs =
            Inputs::new(&layer.x, &layer.labels).input("linear_weight", &layer.weight).mask(&mask);
        let masked = criterion.evaluate(&inputs).unwrap();
        assert!(masked.value().is_finite() && masked.count == 4);
        let others = masked.others.iter().map(|(_, gradient)| gradient);
        assert!(
            others.chain([&masked.gradient]).flatten().all(|g| g.is_finite()),
            "{}",
            device.name()
        );
    }
}

#[test]
fn two_runs_give_the_same_bits() {
    let layer = layer(300, 5, 32_768);
    for device in each_device() {
        let [one, other] = [0, 1].map(|_| layer.fused(CrossEntropy::new(), &device));
        let bits = |found: &gradus::Evaluation<f64>| -> Vec<u64> {
            let others = found.others.iter().map(|(_, gradient)| gradient);
            others.chain([&found.gradient, &found.values]).flatten().map(|x| x.to_bits()).collect()
        };
        assert!(bits(&one) == bits(&other), "{}", device.name());
    }
}
