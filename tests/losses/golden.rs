//! The first judge: values that PyTorch, Keras and optax computed in f64, on every device.

use crate::support::{Comparison, compare, each_device};
use gradus::{Device, cases};
use serde_json::Value;

fn golden_cases() -> Vec<Value> {
    let mut cases = Vec::new();
    for text in [
        include_str!("../golden/pointwise.json"),
        include_str!("../golden/binary.json"),
        include_str!("../golden/classes.json"),
        include_str!("../golden/embeddings.json"),
        include_str!("../golden/ranking.json"),
        include_str!("../golden/linear.json"),
        include_str!("../golden/preference.json"),
        include_str!("../golden/sequence.json"),
    ] {
        cases.extend(serde_json::from_str::<Vec<Value>>(text).expect("the golden files are JSON"));
    }
    cases.retain(|case| gradus::losses::CATALOGUE.iter().any(|entry| case["loss"] == entry.name));
    cases
}

/// Relative errors of the worst reduced value, the worst unreduced one and the worst gradient over all cases.
fn worst(device: &Device) -> [Comparison; 3] {
    let (mut reduced, mut values, mut gradients) =
        (Comparison::default(), Comparison::default(), Comparison::default());
    for case in golden_cases() {
        let name = case["name"].as_str().expect("each case has a name").to_string();
        let found = cases::evaluate(&case, device).unwrap_or_else(|error| panic!("{name}: {error}"));
        let is_reduced = case["options"]["reduction"] != "none";
        let worst = if is_reduced { &mut reduced } else { &mut values };
        worst.merge(compare(&name, &case["expect"]["value"], &found["value"]));
        let expected = case["expect"]["gradients"].as_object().expect("each case has gradients");
        for (input, expected) in expected {
            gradients.merge(compare(&format!("{name} {input}"), expected, &found["gradients"][input]));
        }
    }
    [reduced, values, gradients]
}

#[test]
fn every_golden_case_holds_on_every_device() {
    for device in each_device() {
        let [reduced, value, gradient] = worst(&device);
        println!("{}: reduced {reduced}, value {value}, gradient {gradient}", device.describe());
        // The golden files hold 12 digits, which is up to 5e-12 of a number; the reference's own rounding is below.
        // In f32 a mean of few values carries a few roundings of 6e-8 each: 2e-6 leaves room for exp, whose error
        // WGSL allows to be 3 + 2|x| ulp. A gradient's cell is a difference of factors, each off by up to 4 ulp
        // (2.4e-7): a cell 400 times smaller than its factors keeps 1e-4. So is an unreduced value of some losses, of terms
        // each off by their last rounding (6e-8): x − y ln x of a Poisson mean, 300 times smaller than both, keeps 2e-5.
        let is_reference = device.name() == "reference";
        let [reduced_bound, value_bound, gradient_bound] = if is_reference { [6e-12; 3] } else { [2e-6, 2e-5, 1e-4] };
        assert!(reduced.relative <= reduced_bound, "{}: reduced value {reduced}", device.describe());
        assert!(value.relative <= value_bound, "{}: value {value}", device.describe());
        assert!(gradient.relative <= gradient_bound, "{}: gradient {gradient}", device.describe());
    }
}

#[test]
fn there_are_golden_cases_for_every_loss() {
    let cases = golden_cases();
    for entry in gradus::losses::CATALOGUE {
        assert!(cases.iter().any(|case| case["loss"] == entry.name), "{} has no golden case", entry.name);
    }
}
