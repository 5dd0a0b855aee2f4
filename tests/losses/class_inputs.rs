//! Inputs of one number for each class or place other than weights: `class_prior`,
//! `expected_count`, `noise`.

use crate::support::each_device;
use gradus::{Criterion, Device, Evaluation, Inputs, Reduction, losses};
use ndarray::{Array1, Array2, array};
use serde_json::{Value, json};

fn criterion(name: &str, options: &Value, device: &Device) -> Criterion {
    Criterion::from_boxed(losses::from_name(name, options).unwrap(), device).unwrap()
}

fn logits() -> Array2<f32> {
    array![[0.5, -1.0, 2.0], [-0.25, 0.75, 0.0]]
}

fn with(name: &str, device: &Device, input: &str, numbers: &Array1<f32>) -> Evaluation<f64> {
    let (logits, labels) = (logits(), array![2_i64, 0]);
    let inputs = Inputs::new(&logits, &labels).input(input, numbers);
    criterion(name, &Value::Null, device).evaluate_f64(&inputs).unwrap()
}

const OF_CLASSES: [(&str, &str); 3] = [
    ("logit_adjusted_cross_entropy", "class_prior"),
    ("ldam", "class_prior"),
    ("sampled_softmax", "expected_count"),
];

#[test]
fn shares_and_counts_of_classes_are_the_same() {
    for device in each_device() {
        for (name, input) in OF_CLASSES {
            // Their ratio is a power of two: exact in f32.
            let shares = with(name, &device, input, &array![0.5, 0.25, 0.25]);
            let counts = with(name, &device, input, &array![1024.0, 512.0, 512.0]);
            let off = (shares.value() - counts.value()).abs();
            assert!(off <= 1e-6 * shares.value(), "{name} on {}: {off:e}", device.name());
        }
    }
}

#[test]
fn without_the_input_all_classes_are_alike() {
    for device in each_device() {
        let (logits, labels) = (logits(), array![2_i64, 0]);
        let plain = |name: &str, options: &Value| {
            let criterion = criterion(name, options, &device);
            criterion.evaluate_f64(&Inputs::new(&logits, &labels)).unwrap().value()
        };
        let expected = plain("cross_entropy", &Value::Null);
        for (name, options) in [
            ("logit_adjusted_cross_entropy", json!({})),
            ("sampled_softmax", json!({})),
            ("ldam", json!({"margin": 0.0, "scale": 1.0})),
        ] {
            let off = (plain(name, &options) - expected).abs();
            assert!(off <= 4e-7 * expected, "{name} on {}: {off:e}", device.name());
        }
    }
}

#[test]
fn a_class_that_does_not_occur_is_masked_and_costs_infinity_as_a_label() {
    for device in each_device() {
        for (name, input) in [OF_CLASSES[0], OF_CLASSES[2]] {
            let (logits, labels) = (logits(), array![2_i64, 0]);
            let numbers = array![0.0, 1.0, 3.0];
            let inputs = Inputs::new(&logits, &labels).input(input, &numbers);
            let criterion = criterion(name, &Value::Null, &device).reduction(Reduction::None);
            let step = criterion.evaluate_f64(&inputs).unwrap();
            assert!(step.values[0].is_finite(), "{name} on {}", device.name());
            assert_eq!(step.values[1], f64::INFINITY, "{name} on {}", device.name());
            assert_eq!([step.gradient[[0, 0]], step.gradient[[1, 0]]], [0.0; 2], "{name}");
        }
        // A class without samples has the margin of the rarest.
        let none = with("ldam", &device, "class_prior", &array![0.0, 1.0, 3.0]);
        let one = with("ldam", &device, "class_prior", &array![1.0, 1.0, 3.0]);
        assert_eq!(none.values, one.values, "ldam on {}", device.name());
    }
}

#[test]
fn another_number_of_classes_and_another_input_are_errors() {
    let (logits, labels, four) = (logits(), array![2_i64, 0], Array1::<f32>::ones(4));
    let of = |input| {
        let criterion = criterion("ldam", &Value::Null, &Device::reference());
        let inputs = Inputs::new(&logits, &labels).input(input, &four);
        criterion.evaluate(&inputs).unwrap_err().to_string()
    };
    assert_eq!(
        of("class_prior"),
        "ldam: class_prior is [4]; it must be [3], one for each column of the predictions"
    );
    assert!(
        of("class_weight").starts_with("unknown input of ldam `class_weight`"),
        "{}",
        of("class_weight")
    );
}

#[test]
fn noise_belongs_to_the_places_of_a_list_and_padding_takes_its_own_along() {
    let noise = array![0.25, 1.0, 0.5];
    for device in each_device() {
        let of = |scores: Array2<f32>, grades: Array2<f32>, noise: &Array1<f32>| {
            let inputs = Inputs::new(&scores, &grades).input("noise", noise);
            criterion("rank_xendcg", &Value::Null, &device).evaluate_f64(&inputs).unwrap().value()
        };
        let padded = of(array![[1.0, 9.0, 0.5]], array![[1.0, -1.0, 0.0]], &noise);
        let packed = of(array![[1.0, 0.5]], array![[1.0, 0.0]], &array![0.25, 0.5]);
        assert!((padded - packed).abs() <= 2e-7 * packed, "{}", device.name());
        // q is (1.75, 0.5)/2.25.
        let lse = (1.0_f64.exp() + 0.5_f64.exp()).ln();
        let expected = lse - (1.75 + 0.5 * 0.5) / 2.25;
        assert!((padded - expected).abs() <= 4e-7, "{}: {padded}", device.name());
    }
}
