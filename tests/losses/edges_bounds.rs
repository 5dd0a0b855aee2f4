//! Edge cases of the losses of boxes and of bounded times: huge and empty boxes, corners in any
//! order, far tails and narrow intervals.

use crate::support::each_device;
use gradus::{Criterion, Device, Evaluation, Inputs, Reduction, losses};
use ndarray::{Array2, array};
use serde_json::{Value, json};

const INF: f32 = f32::INFINITY;

fn criterion(name: &str, options: &Value, device: &Device) -> Criterion {
    Criterion::from_boxed(losses::from_name(name, options).unwrap(), device)
        .unwrap()
        .reduction(Reduction::None)
}

fn boxes(name: &str, device: &Device, found: &Array2<f32>, truth: &Array2<f32>) -> Evaluation<f64> {
    criterion(name, &Value::Null, device).evaluate_f64(&Inputs::new(found, truth)).unwrap()
}

/// f32 rounds each of some ten steps by 6e-8.
fn assert_near(device: &Device, what: &str, found: f64, expected: f64) {
    let bound = if device.name() == "reference" { 1e-11 } else { 4e-6 };
    let is_near = found == expected || (found - expected).abs() <= bound * expected.abs();
    assert!(is_near, "{}: {what} is {found:e} instead of {expected:e}", device.name());
}

/// Loss and value of the boxes 0 to 2 and 1 to 3 without an epsilon.
const BOXES: [(&str, f64); 4] = [
    ("iou", 6.0 / 7.0),
    ("giou", 6.0 / 7.0 + 2.0 / 9.0),
    ("diou", 6.0 / 7.0 + 1.0 / 9.0),
    ("ciou", 6.0 / 7.0 + 1.0 / 9.0),
];

#[test]
fn huge_boxes_have_the_value_of_small_ones_and_their_gradient_by_the_size() {
    let (found, truth) = (array![[0.0, 0.0, 2.0, 2.0]], array![[1.0, 1.0, 3.0, 3.0]]);
    // A power of two: exact in f32. The epsilon is nothing beside an area of 2^128.
    let size = 2.0_f32.powi(64);
    for device in each_device() {
        for (name, value) in BOXES {
            let huge = boxes(name, &device, &(&found * size), &(&truth * size));
            assert_near(&device, name, huge.values[0], value);
            let small = boxes(name, &Device::reference(), &found, &truth);
            for (&huge, &small) in huge.gradient.iter().zip(&small.gradient) {
                // 1e-7 of epsilon beside areas of 4 and more.
                let off = (huge * f64::from(size) - small).abs();
                assert!(off <= 1e-6 * small.abs().max(0.01), "{name}: {huge:e} of {small:e}");
            }
        }
    }
}

#[test]
fn corners_may_come_in_any_order() {
    let truth = array![[1.0, 1.0, 3.0, 3.5]];
    for device in each_device() {
        for (name, _) in BOXES {
            let one = boxes(name, &device, &array![[0.0, 0.25, 2.0, 2.0]], &truth);
            let other = boxes(name, &device, &array![[2.0, 0.25, 0.0, 2.0]], &truth);
            assert_eq!(one.values, other.values, "{name} on {}", device.name());
            let [a, b, c, d] = [0, 1, 2, 3].map(|corner| one.gradient[[0, corner]]);
            assert_eq!(other.gradient, array![[c, b, a, d]].into_dyn(), "{name}");
        }
    }
}

#[test]
fn equal_boxes_and_empty_ones_have_a_value() {
    let found = array![[0.0, 0.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0], [0.0, 0.0, 1.0, 1.0]];
    let truth = array![[0.0, 0.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0], [1.0, 0.0, 2.0, 1.0]];
    for device in each_device() {
        let bound = if device.name() == "reference" { 1e-6 } else { 2e-6 };
        for (name, touching) in [("iou", 1.0), ("giou", 1.0), ("diou", 1.2), ("ciou", 1.2)] {
            let step = boxes(name, &device, &found, &truth);
            for (&value, expected) in step.values.iter().zip([0.0, 1.0, touching]) {
                let off = (value - expected).abs();
                assert!(off <= bound, "{name} on {}: {value}, not {expected}", device.name());
            }
            assert!(step.gradient.iter().all(|x| x.is_finite()), "{name}: {}", step.gradient);
            // Half of each side's derivative, as in PyTorch: they cancel.
            let equal = step.gradient.iter().take(4);
            assert!(equal.into_iter().all(|x| x.abs() <= bound), "{name}: {}", step.gradient);
        }
    }
}

#[test]
fn a_nan_and_an_infinite_corner_are_nan_in_their_row_alone() {
    let found = array![[0.0, 0.0, INF, 1.0], [0.0, 0.0, 1.0, 1.0], [0.0, f32::NAN, 1.0, 1.0]];
    let truth = array![[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 2.0], [0.0, 0.0, 1.0, 1.0]];
    for device in each_device() {
        for (name, _) in BOXES {
            let step = boxes(name, &device, &found, &truth);
            for row in 0..3 {
                let is_nan = row != 1;
                assert_eq!(step.values[row].is_nan(), is_nan, "{name} on {}", device.name());
                assert!((0..4).all(|corner| step.gradient[[row, corner]].is_nan() == is_nan));
            }
        }
    }
}

#[test]
fn rows_of_other_than_four_numbers_are_an_error() {
    let five = Array2::<f32>::zeros((2, 5));
    let criterion = criterion("giou", &Value::Null, &Device::reference());
    let error = criterion.evaluate(&Inputs::new(&five, &five)).unwrap_err().to_string();
    assert_eq!(error, "giou: predictions is [2, 5]; it must be [rows, 4]: a box in each row");
}

/// Distribution, sigma, (prediction, lower, upper), value and derivative, with 400 digits.
#[rustfmt::skip]
const TIMES: &[(&str, f64, [f32; 3], f64, f64)] = &[
    ("normal", 1.0, [-100.0, 1.0, INF], 5005.524208694, -100.009998001),
    ("normal", 1.0, [100.0, 0.0, 1.0], 5005.524208694, 100.009998001),
    ("normal", 0.5, [0.0, 1.0, 1.000_000_1], 16.16817656513, -2.384185648907e-7),
    ("normal", 1.0, [-9.0, 1.0, 1.25], 43.76491001338, -9.076188564323),
    ("normal", 1.0, [9.0, 1.0, 1.25], 41.7644284157, 8.853809523102),
    ("normal", 1.0, [0.0, 0.5, 3.0], 0.4781603303529, -0.1541535021236),
    ("logistic", 1.0, [-10000.0, 1.0, INF], 10000.0, -1.0),
    ("logistic", 1.0, [10000.0, 1.0, 1.0], 10000.0, 1.0),
    ("logistic", 1.0, [0.0, 1.0, 1.000_000_1], 17.3286795736, -2.980232061134e-8),
    ("logistic", 1.0, [60.0, 1.0, 2.0], 60.0, 1.0),
    ("extreme", 1.0, [50.0, 0.0, 1.0], 50.0, 1.0),
    ("extreme", 1.0, [-4.0, 1.0, INF], 54.59815003314, -54.59815003314),
    ("extreme", 1.0, [100.0, 2.0, 3.0], 100.0, 1.0),
    ("extreme", 1.0, [100.0, 2.0, 2.0], 100.0, 1.0),
];

#[test]
fn an_upper_bound_below_its_lower_one_is_refused_by_its_row() {
    let (x, lower) = (array![0.0, 0.0, 0.0], array![1.0, 2.0, 3.0]);
    let upper = array![1.0, INF, 2.5];
    for device in each_device() {
        let inputs = Inputs::named("predictions", &x).input("lower", &lower).input("upper", &upper);
        let criterion = criterion("aft", &Value::Null, &device);
        let error = criterion.evaluate(&inputs).unwrap_err().to_string();
        assert!(error.contains("is 2.5 in row 2, below the lower bound 3"), "{error}");
        // A row that is left out may hold anything.
        let mask = array![true, true, false];
        let found = criterion.evaluate_f64(&inputs.mask(&mask)).unwrap();
        assert!(found.values.iter().all(|value| value.is_finite()), "{}", found.values);
    }
}

fn time(device: &Device, options: &Value, [x, lower, upper]: [f32; 3]) -> (f64, f64) {
    let (x, lower, upper) = (array![x], array![lower], array![upper]);
    let inputs = Inputs::named("predictions", &x).input("lower", &lower).input("upper", &upper);
    let step = criterion("aft", options, device).evaluate_f64(&inputs).unwrap();
    (step.values[0], step.gradient[0])
}

#[test]
fn far_tails_and_narrow_intervals_keep_their_digits() {
    for device in each_device() {
        for &(distribution, sigma, numbers, value, derivative) in TIMES {
            let options = json!({ "distribution": distribution, "sigma": sigma });
            let (found, gradient) = time(&device, &options, numbers);
            let what = format!("aft {distribution} of {numbers:?}");
            assert_near(&device, &what, found, value);
            if derivative.abs() > 1e-6 {
                assert_near(&device, &format!("{what}: derivative"), gradient, derivative);
            } else {
                assert!(gradient.abs() <= 1e-6, "{what}: {gradient:e} on {}", device.name());
            }
        }
    }
}

#[test]
fn a_time_of_which_nothing_is_known_costs_nothing() {
    for device in each_device() {
        for distribution in ["normal", "logistic", "extreme"] {
            let options = json!({ "distribution": distribution });
            for x in [0.0, 50.0, -50.0] {
                let found = time(&device, &options, [x, 0.0, INF]);
                assert_eq!(found, (0.0, 0.0), "{distribution} on {}", device.name());
            }
            // A time of exactly 0 has no logarithm.
            let (value, gradient) = time(&device, &options, [0.0, 0.0, 0.0]);
            assert!(value.is_nan() && gradient.is_nan(), "{distribution} on {}", device.name());
        }
    }
}
