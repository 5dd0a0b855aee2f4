//! Edge cases of the multi-input losses: no alignment, no labels, variances of 0, kinks, huge
//! scores, subnormal numbers, everything masked.

use crate::support::each_device;
use gradus::losses::{LossDefinition, Template};
use gradus::{Criterion, Device, Error, Evaluation, Inputs, OnEmpty, Reduction, losses};
use ndarray::{Array1, Array2, ArrayD, array};
use serde_json::{Value, json};

const INF: f32 = f32::INFINITY;

fn criterion(name: &str, options: &Value, device: &Device) -> Criterion {
    Criterion::from_boxed(losses::from_name(name, options).unwrap(), device)
        .unwrap()
        .reduction(Reduction::Sum)
}

/// One sequence: its logits, [time, 1, classes], labels and input length.
fn ctc(
    device: &Device,
    options: &Value,
    logits: &Array2<f32>,
    labels: &[i64],
    rows: i64,
) -> Evaluation<f64> {
    let logits = logits.clone().insert_axis(ndarray::Axis(1));
    // One place behind the labels: a device array cannot be empty.
    let targets = Array2::from_shape_fn((1, labels.len() + 1), |(_, place)| {
        labels.get(place).copied().unwrap_or(-7)
    });
    let (rows, count) = (array![rows], array![labels.len() as i64]);
    let inputs = Inputs::new(&logits, &targets)
        .input("input_lengths", &rows)
        .input("target_lengths", &count);
    criterion("ctc", options, device).evaluate_f64(&inputs).unwrap()
}

/// f32 rounds each of a few steps by 6e-8 of numbers as large as the value or 1.
fn assert_near(device: &Device, what: &str, found: f64, expected: f64) {
    let bound = if device.name() == "reference" { 1e-7 } else { 2e-6 };
    let is_near = found == expected || (found - expected).abs() <= bound * expected.abs().max(1.0);
    assert!(is_near, "{}: {what} is {found:e} instead of {expected:e}", device.name());
}

#[test]
fn labels_that_do_not_fit_cost_infinity_or_nothing() {
    // A blank separates two equal labels: at least three rows.
    let logits = Array2::from_elem((2, 3), 0.5);
    for device in each_device() {
        let found = ctc(&device, &Value::Null, &logits, &[1, 1], 2);
        assert_eq!(found.value(), f64::INFINITY, "{}", device.name());
        assert!(found.gradient.iter().all(|x| x.is_nan()), "{}: {}", device.name(), found.gradient);
        let found = ctc(&device, &json!({"zero_infinity": true}), &logits, &[1, 1], 2);
        assert_eq!(found.value(), 0.0, "{}", device.name());
        assert!(found.gradient.iter().all(|&x| x == 0.0), "{}: {}", device.name(), found.gradient);
        // With a third row there is one alignment: 1, blank, 1, each with 1/3.
        let found = ctc(&device, &Value::Null, &Array2::from_elem((3, 3), 0.5), &[1, 1], 3);
        assert_near(&device, "1, blank, 1", found.value(), 3.0 * 3.0_f64.ln());
    }
}

#[test]
fn a_sequence_without_labels_is_all_blank() {
    for device in each_device() {
        let found = ctc(&device, &Value::Null, &Array2::zeros((3, 4)), &[], 3);
        assert_near(&device, "three blanks of four classes", found.value(), 3.0 * 4.0_f64.ln());
        for (place, &derivative) in found.gradient.iter().enumerate() {
            assert_near(&device, "slope", derivative, if place % 4 == 0 { -0.75 } else { 0.25 });
        }
    }
}

#[test]
fn a_sequence_of_one_row_is_cross_entropy() {
    for device in each_device() {
        let found = ctc(&device, &Value::Null, &array![[0.0, 0.0, 0.0, 0.0]], &[2], 1);
        assert_near(&device, "one of four", found.value(), 4.0_f64.ln());
        for (&derivative, expected) in found.gradient.iter().zip([0.25, 0.25, -0.75, 0.25]) {
            assert_near(&device, "slope", derivative, expected);
        }
    }
}

#[test]
fn a_sequence_without_rows_costs_nothing_or_infinity() {
    for device in each_device() {
        let found = ctc(&device, &Value::Null, &Array2::zeros((2, 3)), &[], 0);
        assert_eq!(found.value(), 0.0, "{}", device.name());
        assert!(found.gradient.iter().all(|&x| x == 0.0), "{}: {}", device.name(), found.gradient);
        let found = ctc(&device, &Value::Null, &Array2::zeros((2, 3)), &[1], 0);
        assert_eq!(found.value(), f64::INFINITY, "{}", device.name());
        let found = ctc(&device, &json!({"zero_infinity": true}), &Array2::zeros((2, 3)), &[1], 0);
        assert_eq!(found.value(), 0.0, "{}", device.name());
    }
}

#[test]
fn what_stands_behind_an_items_rows_is_not_looked_at() {
    for device in each_device() {
        let mut logits =
            Array2::from_shape_fn((4, 3), |(row, class)| (row * 3 + class) as f32 * 0.3 - 1.0);
        let expected = ctc(&device, &Value::Null, &logits, &[1], 2);
        logits.slice_mut(ndarray::s![2.., ..]).fill(f32::NAN);
        let found = ctc(&device, &Value::Null, &logits, &[1], 2);
        assert_eq!(expected.value(), found.value(), "{}", device.name());
        assert_eq!(expected.gradient, found.gradient, "{}", device.name());
        assert!(found.gradient.iter().skip(6).all(|&x| x == 0.0));
        assert!(
            ctc(&device, &Value::Null, &logits, &[1], 3).value().is_nan(),
            "{}: a NaN within",
            device.name()
        );
    }
}

#[test]
fn a_logit_of_minus_infinity_takes_its_class_out() {
    for device in each_device() {
        let without =
            ctc(&device, &Value::Null, &array![[0.1, 0.7], [0.4, -0.2], [0.0, 0.3]], &[1], 3);
        let logits = array![[0.1, 0.7, -INF], [0.4, -0.2, -INF], [0.0, 0.3, -INF]];
        let found = ctc(&device, &Value::Null, &logits, &[1], 3);
        assert_near(&device, "the value", found.value(), without.value());
        assert!(
            found.gradient.iter().skip(2).step_by(3).all(|&x| x == 0.0),
            "{}: {}",
            device.name(),
            found.gradient
        );
        let found = ctc(&device, &Value::Null, &logits, &[2], 3);
        assert_eq!(found.value(), f64::INFINITY, "{}: a label that is masked", device.name());
    }
}

#[test]
fn huge_logits_of_a_sequence_do_not_overflow() {
    let logits = array![[1e4, -1e4, 0.0], [1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]];
    for device in each_device() {
        let found = ctc(&device, &Value::Null, &logits, &[1], 3);
        assert_near(&device, "blank, blank, 1", found.value(), 0.0);
        let found = ctc(&device, &Value::Null, &logits, &[1], 2);
        assert_near(&device, "one row of 1 among blanks", found.value(), 2e4 - 2.0_f64.ln());
        assert!(
            found.gradient.iter().all(|x| x.is_finite()),
            "{}: {}",
            device.name(),
            found.gradient
        );
    }
}

#[test]
fn long_sequences_keep_their_digits() {
    let logits = Array2::from_shape_fn((300, 9), |(row, class)| {
        ((row * 31 + class * 17) % 23) as f32 * 0.2 - 2.0
    });
    let labels: Vec<i64> = (0..40).map(|place| 1 + (place * place) % 8).collect();
    let exact = ctc(&Device::reference(), &Value::Null, &logits, &labels, 300);
    for device in each_device() {
        let found = ctc(&device, &Value::Null, &logits, &labels, 300);
        assert_near(&device, "the value", found.value(), exact.value());
        let worst = exact
            .gradient
            .iter()
            .zip(&found.gradient)
            .fold(0.0, |worst: f64, (e, f)| worst.max((e - f).abs()));
        // Probabilities: in 300 steps of 6e-8 their logarithms, as large as the value (about 600),
        // reach an error of 1e-5 and more.
        assert!(worst <= 1e-4, "{}: a slope is {worst:e} off", device.name());
    }
}

/// A loss of single named numbers: value, and the derivatives by the first two inputs.
fn numbers(device: &Device, name: &str, given: &[(&str, f32)]) -> [f64; 3] {
    let arrays: Vec<(&str, Array1<f32>)> =
        given.iter().map(|&(name, x)| (name, array![x])).collect();
    let first = Inputs::named(arrays[0].0, &arrays[0].1);
    let inputs = arrays[1..].iter().fold(first, |inputs, (name, array)| inputs.input(name, array));
    let found = criterion(name, &Value::Null, device).evaluate_f64(&inputs).unwrap();
    [found.value(), found.gradient[[0]], found.others[0].1[[0]]]
}

#[test]
fn a_variance_near_0_counts_as_the_smallest() {
    for device in each_device() {
        for variance in [0.0, 1e-20, 1e-40] {
            let at = |x| {
                numbers(
                    &device,
                    "gaussian_nll",
                    &[("predictions", x), ("variance", variance), ("targets", 1.0)],
                )
            };
            assert_near(&device, "½ ln 1e-6", at(1.0)[0], 0.5 * 1e-6_f64.ln());
            let [value, derivative, _] = at(1.5);
            assert_near(&device, "½ ln 1e-6 + ½ 0.25e6", value, 0.5 * 1e-6_f64.ln() + 0.125e6);
            assert_near(&device, "0.5e6", derivative, 0.5e6);
        }
        let given = [("predictions", 3.0), ("variance", 1e30), ("targets", 1.0)];
        let [value, derivative, of_variance] = numbers(&device, "gaussian_nll", &given);
        assert_near(&device, "½ ln 1e30", value, 0.5 * 1e30_f64.ln());
        assert!(
            (derivative - 2e-30).abs() <= 1e-36 && (of_variance - 0.5e-30).abs() <= 1e-36,
            "{derivative:e}, {of_variance:e}"
        );
    }
}

#[test]
fn huge_scores_of_pairs_do_not_overflow() {
    for device in each_device() {
        let bpr = |positive, negative| {
            numbers(&device, "bpr", &[("positive", positive), ("negative", negative)])
        };
        assert_eq!(bpr(-1e4, 1e4), [2e4, -1.0, 1.0], "{}", device.name());
        assert_eq!(bpr(1e4, -1e4).map(f64::abs), [0.0; 3], "{}", device.name());
        assert!(bpr(f32::NAN, 0.0).iter().all(|x| x.is_nan()), "{}", device.name());
    }
}

#[test]
fn equal_scores_lie_on_the_kink_of_margin_ranking() {
    for device in each_device() {
        let given = [("first", 2.0), ("second", 2.0), ("targets", 1.0)];
        let [value, first, second] = numbers(&device, "margin_ranking", &given);
        // At 0 the derivative of `clamp_min` is not zeroed, as in PyTorch.
        assert_eq!([value, first, second], [0.0, -1.0, 1.0], "{}", device.name());
    }
}

/// The inputs of a small call of a multi-input loss, all numbers from `fill`.
struct Filled {
    arrays: Vec<(&'static str, ArrayD<f32>)>,
    integers: Vec<(&'static str, ArrayD<i64>)>,
}

impl Filled {
    fn of(loss: &dyn LossDefinition, fill: impl Fn(usize) -> f32) -> Option<Filled> {
        let Template::Several(_, host) = loss.template() else { return None };
        let (mut arrays, mut integers) = (Vec::new(), Vec::new());
        for example in host.example(5, 4) {
            let argument =
                loss.arguments().iter().find(|argument| argument.name == example.name)?;
            if argument.role.is_integers() {
                integers
                    .push((example.name, ArrayD::from_elem(example.shape, example.from as i64)));
            } else if argument.domain == losses::Domain::Sign {
                arrays.push((example.name, ArrayD::ones(example.shape)));
            } else {
                let mut next = 0..;
                let number = || fill(next.next().unwrap_or_default());
                arrays.push((example.name, ArrayD::from_shape_simple_fn(example.shape, number)));
            }
        }
        Some(Filled { arrays, integers })
    }

    fn inputs(&self) -> Inputs<'_> {
        let first = Inputs::named(self.arrays[0].0, &self.arrays[0].1);
        let inputs =
            self.arrays[1..].iter().fold(first, |inputs, (name, array)| inputs.input(name, array));
        self.integers.iter().fold(inputs, |inputs, (name, array)| inputs.input(name, array))
    }
}

#[test]
fn subnormal_numbers_give_finite_values() {
    for device in each_device() {
        for entry in losses::CATALOGUE {
            let criterion = criterion(entry.name, &Value::Null, &device);
            // The logarithm of a probability cannot be subnormal, and a sequence of equal labels
            // has no alignment.
            let Some(filled) =
                Filled::of(criterion.loss(), |place| if place % 2 == 0 { -1e-40 } else { 1e-40 })
            else {
                continue;
            };
            let Ok(found) = criterion.evaluate_f64(&filled.inputs()) else { continue };
            let is_hard = ["ctc", "orpo"].contains(&entry.name);
            assert!(
                is_hard || found.value().is_finite(),
                "{} {}: {}",
                device.name(),
                entry.name,
                found.value()
            );
            let is_number = found.gradient.iter().all(|x| x.is_finite());
            assert!(is_hard || is_number, "{} {}: {}", device.name(), entry.name, found.gradient);
        }
    }
}

#[test]
fn a_call_of_which_all_is_masked_is_0_or_nan() {
    for device in each_device() {
        for entry in losses::CATALOGUE {
            let criterion = criterion(entry.name, &Value::Null, &device);
            let Some(filled) = Filled::of(criterion.loss(), |place| 0.1 * place as f32 - 3.0)
            else {
                continue;
            };
            let each = Criterion::from_boxed(
                losses::from_name(entry.name, &Value::Null).unwrap(),
                &Device::reference(),
            );
            let Ok(each) = each.unwrap().reduction(Reduction::None).evaluate(&filled.inputs())
            else {
                continue;
            };
            let mask = ArrayD::from_elem(each.values.shape(), false);
            let mean = criterion.reduction(Reduction::Mean);
            let found = mean.evaluate_f64(&filled.inputs().mask(&mask)).unwrap();
            assert_eq!((found.value(), found.count), (0.0, 0), "{} {}", device.name(), entry.name);
            assert!(found.gradient.iter().all(|&x| x == 0.0), "{} {}", device.name(), entry.name);
            let found =
                mean.on_empty(OnEmpty::Nan).evaluate_f64(&filled.inputs().mask(&mask)).unwrap();
            assert!(found.value().is_nan(), "{} {}: {}", device.name(), entry.name, found.value());
        }
    }
}

#[test]
fn a_layer_of_huge_or_masked_outputs_stays_finite() {
    let (hidden, labels) = (array![[1e4_f32, 0.0], [0.0, 1.0]], array![1_i64, 0]);
    let weight = array![[1.0_f32, 0.5], [-1.0, -0.5], [0.0, 0.0]];
    for device in each_device() {
        let inputs = Inputs::new(&hidden, &labels).input("linear_weight", &weight);
        let found =
            criterion("linear_cross_entropy", &Value::Null, &device).evaluate_f64(&inputs).unwrap();
        let other = (1.0 + (-0.5_f64).exp() + (-1.0_f64).exp()).ln();
        assert_near(&device, "2e4 and a common row", found.value(), 2e4 + other);
        assert!(
            found.gradient.iter().chain(found.others[0].1.iter()).all(|x| x.is_finite()),
            "{}",
            device.name()
        );
        let bias = array![0.0_f32, 0.0, -INF];
        let without = (1.0 + (-1.0_f64).exp()).ln();
        let found = criterion("linear_cross_entropy", &Value::Null, &device)
            .evaluate_f64(&inputs.input("linear_bias", &bias));
        assert_near(&device, "a class taken out", found.unwrap().value(), 2e4 + without);
        let none = Array1::from_elem(2, -100_i64);
        let inputs = Inputs::new(&hidden, &none).input("linear_weight", &weight);
        let found =
            criterion("linear_cross_entropy", &Value::Null, &device).evaluate_f64(&inputs).unwrap();
        assert_eq!((found.value(), found.count), (0.0, 0), "{}", device.name());
    }
}

#[test]
fn equal_vectors_have_no_angle_and_zero_vectors_no_direction() {
    let (zero, one) = (array![[0.0_f32, 0.0, 0.0]], array![[1.0_f32, 2.0, -1.0]]);
    for device in each_device() {
        for (first, second) in [(&zero, &one), (&one, &zero), (&zero, &zero), (&one, &one)] {
            let arguments =
                losses::from_name("cosine_similarity", &Value::Null).unwrap().arguments();
            let inputs = Inputs::named(arguments[0].name, first).input(arguments[1].name, second);
            let found = criterion("cosine_similarity", &Value::Null, &device)
                .evaluate_f64(&inputs)
                .unwrap();
            assert!(
                found.value().is_finite() && found.gradient.iter().all(|x| x.is_finite()),
                "{}",
                device.name()
            );
        }
    }
}

/// Three rows of no columns are an error that names the input; no rows are worth 0.
#[test]
fn vectors_without_columns_are_empty() {
    let (rows, nothing) = (Array2::<f32>::zeros((3, 0)), Array2::<f32>::zeros((0, 4)));
    for device in each_device() {
        for name in ["cosine_similarity", "triplet_margin"] {
            for empty in [&rows, &nothing] {
                let arguments = losses::from_name(name, &Value::Null).unwrap().arguments();
                let inputs = arguments
                    .iter()
                    .take(if name == "triplet_margin" { 3 } else { 2 })
                    .skip(1)
                    .fold(Inputs::named(arguments[0].name, empty), |inputs, argument| {
                        inputs.input(argument.name, empty)
                    });
                let found = criterion(name, &Value::Null, &device).evaluate(&inputs);
                if empty.nrows() == 0 {
                    let found = found.unwrap();
                    assert_eq!((found.value(), found.gradient.shape()), (0.0, &[0, 4][..]));
                    continue;
                }
                let error = found.unwrap_err();
                let shape = format!("{:?}", empty.shape());
                assert!(
                    matches!(&error, Error::Empty { name, .. } if name.contains(&shape)),
                    "{}: {error}",
                    device.name()
                );
            }
        }
    }
}
