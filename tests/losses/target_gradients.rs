//! Gradients with respect to the targets, against central differences of the value.

use gradus::losses::{self, CrossEntropy, Loss, Mse};
use gradus::{Criterion, Device, Inputs, Reduction};
use ndarray::{Array, ArrayD, array};
use serde_json::{Value, json};

use crate::support::each_device;

/// Numbers without a pattern in (0.05, 0.95).
fn probabilities(shape: &[usize], seed: usize) -> ArrayD<f64> {
    let length = shape.iter().product();
    let number = |i: usize| 0.05 + 0.9 * ((i + seed * 77) * 7919 % 1009) as f64 / 1009.0;
    Array::from_iter((0..length).map(number)).into_shape_with_order(shape).unwrap()
}

fn criterion(name: &str, options: &Value, device: &Device) -> Criterion {
    Criterion::from_boxed(losses::from_name(name, options).unwrap(), device).unwrap()
}

/// All losses with such a gradient, some options of each.
fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("mse", json!({})),
        ("mae", json!({})),
        ("huber", json!({"delta": 0.25})),
        ("quantile", json!({})),
        ("barron", json!({})),
        ("gaussian_nll", json!({"full": true})),
        ("bce", json!({})),
        ("bce", json!({"clip": 0.25})),
        ("bce_with_logits", json!({"label_smoothing": 0.1})),
        ("poisson_nll", json!({})),
        ("poisson_nll", json!({"log_input": false, "epsilon": 0.01})),
        ("poisson_nll", json!({"full": true})),
        ("kl_div", json!({})),
        ("kl_div", json!({"log_target": true})),
        ("cross_entropy", json!({})),
        ("cross_entropy", json!({"label_smoothing": 0.2, "z_loss": 0.01, "temperature": 0.5})),
        ("cross_entropy", json!({"softcap": 2.0})),
    ]
}

/// Adds the other inputs that a loss needs, and weights.
fn with_others<'a>(
    name: &str,
    inputs: Inputs<'a>,
    weight: &'a ArrayD<f64>,
    classes: &'a ArrayD<f64>,
) -> Inputs<'a> {
    let inputs = inputs.row_weight(weight);
    match name {
        "gaussian_nll" => inputs.input("variance", classes),
        "cross_entropy" => inputs.class_weight(classes),
        "bce_with_logits" => inputs.pos_weight(classes),
        _ => inputs,
    }
}

#[test]
fn each_is_the_central_difference_of_the_value() {
    let (rows, columns) = (5, 7);
    let reference = Device::reference();
    let weight = probabilities(&[rows], 4);
    let classes = probabilities(&[columns], 5);
    for (name, options) in all() {
        let x = match name {
            "cross_entropy" | "bce_with_logits" => probabilities(&[rows, columns], 1) * 6.0 - 3.0,
            "kl_div" => probabilities(&[rows, columns], 1).mapv(f64::ln),
            _ => probabilities(&[rows, columns], 1),
        };
        // Counts above 1 for Stirling's part.
        let scale = if name == "poisson_nll" { 4.0 } else { 1.0 };
        let targets = probabilities(&[rows, columns], 2) * scale;
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::WeightedMean] {
            let exact = criterion(name, &options, &reference).reduction(reduction);
            let value = |targets: &ArrayD<f64>| {
                let inputs = with_others(name, Inputs::new(&x, targets), &weight, &classes);
                exact.evaluate_f64(&inputs).unwrap().value()
            };
            let step = 1e-5;
            for device in each_device() {
                let criterion = criterion(name, &options, &device).reduction(reduction);
                let inputs = with_others(name, Inputs::new(&x, &targets), &weight, &classes);
                let found = criterion.evaluate_f64(&inputs.target_gradient()).unwrap();
                let gradient = found.gradient_of("targets").unwrap();
                assert_eq!(gradient.shape(), [rows, columns]);
                let largest = gradient.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
                // A central difference is right to the square of its step and to the rounding of the
                // value over the step; f32 to some twenty roundings of its largest term.
                let of_device = if device.name() == "reference" { 0.0 } else { 3e-6 };
                let allowed = 1e-8 + of_device * largest.max(1.0);
                for place in (0..rows * columns).step_by(3) {
                    let moved = |by: f64| {
                        let mut moved = targets.clone();
                        moved.as_slice_mut().unwrap()[place] += by;
                        value(&moved)
                    };
                    let wanted = (moved(step) - moved(-step)) / (2.0 * step);
                    let found = gradient.as_slice().unwrap()[place];
                    assert!(
                        (found - wanted).abs() <= allowed,
                        "{name} {options} {reduction:?} on {} at {place}: {found}, {wanted}",
                        device.name()
                    );
                }
            }
        }
    }
}

#[test]
fn repeated_targets_have_the_sum() {
    let x = probabilities(&[4, 3], 1);
    let targets = probabilities(&[3], 2);
    for device in each_device() {
        let criterion = Mse::new().on(&device).unwrap();
        let found = criterion.evaluate(&Inputs::new(&x, &targets).target_gradient()).unwrap();
        let gradient = found.gradient_of("targets").unwrap();
        assert_eq!(gradient.shape(), [3]);
        for (column, sum) in gradient.iter().enumerate() {
            let wanted: f32 = (0..4).map(|row| -found.gradient[[row, column]]).sum();
            assert!((sum - wanted).abs() <= 1e-6, "{sum} {wanted} on {}", device.name());
        }
    }
}

#[test]
fn classes_on_axis_one_and_masked_classes() {
    let logits = probabilities(&[2, 3, 4], 1);
    let targets = probabilities(&[2, 3, 4], 2);
    let moved = |array: &ArrayD<f64>| {
        array.view().permuted_axes(vec![0, 2, 1]).as_standard_layout().into_owned()
    };
    let mask = array![true, false, true];
    for device in each_device() {
        let criterion = CrossEntropy::new().on(&device).unwrap();
        let inputs = Inputs::new(&logits, &targets).class_mask(&mask).target_gradient();
        // The mask is [classes] whatever the axis.
        let found = criterion.clone().class_axis(1).evaluate(&inputs).unwrap();
        let (logits, targets) = (moved(&logits), moved(&targets));
        let inputs = Inputs::new(&logits, &targets).class_mask(&mask).target_gradient();
        let wanted = criterion.class_axis(-1).evaluate(&inputs).unwrap();
        let (found, wanted) =
            (found.gradient_of("targets").unwrap(), wanted.gradient_of("targets").unwrap());
        assert_eq!(found.shape(), [2, 3, 4]);
        assert_eq!(found, wanted.view().permuted_axes(vec![0, 2, 1]));
        assert!((0..4).all(|place| found[[1, 1, place]] == 0.0), "a masked class");
        assert!((0..4).all(|place| found[[1, 0, place]] > 0.0));
    }
}

#[test]
fn what_has_no_gradient_of_targets_is_refused() {
    let device = Device::reference();
    let (x, labels) = (array![[0.5, 1.0]], array![1_i64]);
    let criterion = CrossEntropy::new().on(&device).unwrap();
    let text = criterion.evaluate(&Inputs::new(&x, &labels).target_gradient()).unwrap_err();
    assert!(text.to_string().contains("targets are labels"), "{text}");
    let hinge = criterion_of("hinge");
    let text = hinge.evaluate(&Inputs::new(&x, &array![[1.0, -1.0]]).target_gradient());
    assert!(text.unwrap_err().to_string().contains("losses of a difference"));
    let bce = criterion_of("bce");
    let case = json!({
        "name": "asked", "loss": "bce", "target_gradient": true,
        "inputs": {"predictions": {"shape": [1], "data": [0.25]},
                   "targets": {"shape": [1], "data": [0.5]}}
    });
    let answer = gradus::cases::answer(&case, bce.device());
    let found = answer["gradients"]["targets"]["data"][0].as_f64().unwrap();
    assert!((found - 3.0_f64.ln()).abs() < 1e-15, "{answer}");
}

fn criterion_of(name: &str) -> Criterion {
    criterion(name, &json!({}), &Device::reference())
}
