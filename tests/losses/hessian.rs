//! Hessian diagonal: the reference is compared with central differences of its gradient, then the
//! devices with the reference.

use crate::support::{compare_slices, each_device};
use gradus::losses::{self, Domain, Loss, LossDefinition, OneInput, Template};
use gradus::{Criterion, Device, Inputs, Reduction, Targets};
use ndarray::{Array1, Array2, ArrayD, array};
use serde_json::{Value, from_str};

/// Every loss that has a hessian diagonal, with each set of its options.
fn losses_with_a_hessian_diagonal() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for entry in losses::CATALOGUE {
        for options in std::iter::once("{}").chain(entry.variants.iter().copied()) {
            let options: Value = from_str(options).unwrap();
            if losses::from_name(entry.name, &options).unwrap().spec().hessian_diagonal.is_some() {
                found.push((entry.name.to_string(), options));
            }
        }
    }
    found
}

/// Numbers inside the domain that a step of 2⁻⁸ changes exactly.
fn numbers(domain: Domain, [rows, columns]: [usize; 2], seed: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        let k = ((row * columns + column) * 7919 + seed * 104_729) % 389;
        let x = k as f32 / 64.0 - 3.0;
        match domain {
            Domain::Positive => x.abs() + 0.5,
            Domain::NonNegative => (k % 5) as f32,
            Domain::Probability => (k % 9) as f32 / 8.0,
            Domain::Class => (k % 17) as f32 / 64.0,
            _ => x,
        }
    })
}

/// All optional inputs, each on or off.
struct Case {
    predictions: Array2<f32>,
    dense: Array2<f32>,
    labels: Option<Array1<i64>>,
    weight: Array1<f32>,
    mask: Array1<bool>,
    column_weight: Array1<f32>,
    class_mask: Array1<bool>,
    upstream: ArrayD<f32>,
    plain: bool,
}

impl Case {
    fn new(
        loss: &dyn LossDefinition,
        [rows, columns]: [usize; 2],
        labels: bool,
        plain: bool,
        each: bool,
    ) -> Self {
        let shape = [rows, columns];
        let value_shape = match (each, loss.template()) {
            (false, _) => vec![],
            (true, Template::OneInput(OneInput::Pointwise(_))) => vec![rows, columns],
            _ => vec![rows],
        };
        let labels = (labels && loss.targets().takes_labels()).then(|| {
            Array1::from_shape_fn(rows, |row| {
                if row % 7 == 3 { -100 } else { (row * 5 % columns) as i64 }
            })
        });
        Case {
            predictions: numbers(loss.predictions(), shape, 1),
            dense: numbers(loss.targets(), shape, 2),
            labels,
            weight: Array1::from_shape_fn(rows, |row| 0.5 + (row % 4) as f32),
            mask: Array1::from_shape_fn(rows, |row| row % 5 != 1),
            column_weight: Array1::from_shape_fn(columns, |column| 0.25 + (column % 3) as f32),
            // Column 5r mod `columns` may be a label: with its class masked the loss is infinite,
            // but its derivatives are not.
            class_mask: Array1::from_shape_fn(columns, |column| column % 11 != 6),
            upstream: ArrayD::from_elem(value_shape, 0.5),
            plain,
        }
    }

    fn inputs<'a>(&'a self, loss: &dyn LossDefinition, predictions: &'a Array2<f32>) -> Inputs<'a> {
        let targets =
            self.labels.as_ref().map_or_else(|| Targets::from(&self.dense), Targets::from);
        let inputs = Inputs::new(predictions, targets).upstream(&self.upstream);
        if self.plain {
            return inputs;
        }
        let mut inputs = inputs.weight(&self.weight).mask(&self.mask);
        for input in loss.inputs() {
            inputs = match input.name {
                "class_mask" => inputs.class_mask(&self.class_mask),
                name => inputs.input(name, &self.column_weight),
            };
        }
        inputs
    }
}

fn slice<T: Clone>(array: &ArrayD<T>) -> Vec<T> {
    array.iter().cloned().collect()
}

/// (g(x − 2h) − 8g(x − h) + 8g(x + h) − g(x + 2h))/12h with h = 2⁻⁸: the truncation error is h⁴/30
/// = 8e-12 of the sixth derivative, rounding adds 1.5 ε/h = 9e-14 of the gradient.
#[test]
fn the_hessian_diagonal_is_the_derivative_of_the_gradient() {
    const STEP: f32 = 1.0 / 256.0;
    for (name, options) in losses_with_a_hessian_diagonal() {
        let loss = losses::from_name(&name, &options).unwrap();
        for (labels, plain) in [(true, true), (true, false), (false, true), (false, false)] {
            let case = Case::new(&*loss, [6, 9], labels, plain, false);
            let criterion = Criterion::from_boxed(
                losses::from_name(&name, &options).unwrap(),
                &Device::reference(),
            )
            .unwrap();
            let at = |column: usize, steps: f32| {
                let mut moved = case.predictions.clone();
                moved.column_mut(column).mapv_inplace(|x| x + steps * STEP);
                criterion.evaluate_f64(&case.inputs(&*loss, &moved)).unwrap().gradient
            };
            let inputs = case.inputs(&*loss, &case.predictions).hessian();
            let found = criterion.evaluate_f64(&inputs).unwrap().hessian.expect("it was asked for");
            let mut expected = found.clone();
            for column in 0..9 {
                let [a, b, c, d] = [-2.0, -1.0, 1.0, 2.0].map(|steps| at(column, steps));
                for row in 0..6 {
                    let place = [row, column];
                    expected[&place[..]] =
                        (a[&place[..]] - 8.0 * b[&place[..]] + 8.0 * c[&place[..]] - d[&place[..]])
                            / (12.0 * f64::from(STEP));
                }
            }
            assert!(found.iter().any(|&h| h != 0.0));
            let worst =
                compare_slices(&format!("{name} {options}"), &slice(&expected), &slice(&found));
            assert!(worst.relative <= 1e-6, "labels {labels}, plain {plain}: {worst}");
        }
    }
}

/// Within the 1e-4 allowed for a device's gradient, over the variants of both templates: a thread,
/// a subgroup or a workgroup per row, columns by four or not.
#[test]
fn every_device_gives_the_hessian_diagonal_of_the_reference() {
    for (name, options) in losses_with_a_hessian_diagonal() {
        let loss = losses::from_name(&name, &options).unwrap();
        let on = |device: &Device| {
            Criterion::from_boxed(losses::from_name(&name, &options).unwrap(), device).unwrap()
        };
        for (number, shape) in
            [[5, 1], [40, 3], [9, 48], [33, 100], [3, 1001], [2, 4100]].into_iter().enumerate()
        {
            for (labels, plain, each) in
                [(true, true, false), (true, false, number % 2 == 0), (false, false, true)]
            {
                let case = Case::new(&*loss, shape, labels, plain, each);
                let reduction = if each { Reduction::None } else { Reduction::Mean };
                let inputs = case.inputs(&*loss, &case.predictions);
                let asked = inputs.clone().hessian();
                let exact =
                    on(&Device::reference()).reduction(reduction).evaluate_f64(&asked).unwrap();
                let expected = slice(&exact.hessian.unwrap());
                for device in each_device() {
                    let criterion = on(&device).reduction(reduction);
                    let found = criterion.evaluate(&asked).unwrap();
                    let title = format!("{name} {options} {shape:?} on {}", device.name());
                    let hessian: Vec<f64> =
                        found.hessian.unwrap().iter().map(|&h| f64::from(h)).collect();
                    let worst = compare_slices(&title, &expected, &hessian);
                    assert!(
                        worst.relative <= 1e-4,
                        "labels {labels}, plain {plain}, each {each}: {worst}"
                    );
                    // Requesting it changes no bit of the other results.
                    let alone = criterion.evaluate(&inputs).unwrap();
                    assert_eq!(
                        (alone.values, alone.gradient),
                        (found.values, found.gradient),
                        "{title}"
                    );
                    assert!(alone.hessian.is_none());
                }
            }
        }
    }
}

/// p(1 − p) of a class with nearly all of the softmax is the probability of the others.
#[test]
fn a_sure_class_keeps_its_digits() {
    let logits = array![[30.0_f32, 0.0, f32::NEG_INFINITY, 30.0 - 1e4], [1e4, -1e4, 1e4, 0.0]];
    let e = (-30.0_f64).exp();
    for device in each_device() {
        let criterion = losses::CrossEntropy::new().on(&device).unwrap().reduction(Reduction::Sum);
        for labels in [array![1_i64, 0], array![0, 1]] {
            let step = criterion.evaluate(&Inputs::new(&logits, &labels).hessian()).unwrap();
            let found: Vec<f64> = step.hessian.unwrap().iter().map(|&h| f64::from(h)).collect();
            let worst = compare_slices(device.name(), &[e, e, 0.0, 0.0], &found[..4]);
            assert!(worst.relative <= 1e-5, "{worst}");
            assert_eq!(found[4..], [0.25, 0.0, 0.25, 0.0], "{}", device.name());
        }
    }
}

#[test]
fn nan_stays_nan_and_what_is_masked_is_zero() {
    for (name, options) in losses_with_a_hessian_diagonal() {
        for device in each_device() {
            let loss = losses::from_name(&name, &options).unwrap();
            let rowwise = matches!(loss.template(), Template::OneInput(OneInput::Rowwise(_)));
            let criterion = Criterion::from_boxed(loss, &device).unwrap();
            let predictions = array![[f32::NAN, 1.0], [f32::NAN, 1.0], [1.0, 1.0]];
            let (targets, mask) =
                (array![[1.0_f32, 0.5], [1.0, 0.5], [1.0, 0.5]], array![true, false, true]);
            let step = criterion
                .evaluate(&Inputs::new(&predictions, &targets).mask(&mask).hessian())
                .unwrap();
            let found = slice(&step.hessian.unwrap());
            assert!(found[0].is_nan(), "{name} on {}: {found:?}", device.name());
            assert_eq!(found[1].is_nan(), rowwise, "{name} on {}: {found:?}", device.name());
            assert!(
                found[2] == 0.0 && found[3] == 0.0 && found[4].is_finite(),
                "{name}: {found:?}"
            );
        }
    }
}

#[test]
fn a_loss_without_a_hessian_diagonal_refuses_by_name() {
    for entry in losses::CATALOGUE {
        let loss = (entry.make)(&Value::Null).unwrap();
        let has_it =
            entry.shader.text.contains(&format!("fn {}_hessian_diagonal(", entry.shader.stem()));
        assert_eq!(
            loss.spec().hessian_diagonal.is_some(),
            has_it && loss.arguments().is_empty(),
            "{}",
            entry.name
        );
    }
    let criterion = losses::Huber::new().on(&Device::cpu()).unwrap();
    let (predictions, targets) = (array![1.0_f32], array![0.0_f32]);
    let inputs = Inputs::new(&predictions, &targets).hessian();
    let error = criterion.evaluate(&inputs).unwrap_err().to_string();
    assert!(error.starts_with("huber: the diagonal of the Hessian was asked for"), "{error}");
    let mse = losses::Mse::new().on(&Device::cpu()).unwrap();
    assert!(mse.evaluate_into(&inputs, &mut array![0.0_f32]).is_err());
    let capped = losses::CrossEntropy::new().softcap(30.0).on(&Device::cpu()).unwrap();
    assert!(capped.evaluate(&Inputs::new(&array![[1.0, 2.0]], &array![1_i64]).hessian()).is_err());
}
