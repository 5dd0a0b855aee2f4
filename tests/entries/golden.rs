//! Golden values: results of PyTorch, Keras and optax in f64, compared on each device.

use crate::support::{Comparison, compare};
use gradus::{Device, cases};
use libtest_mimic::Failed;
use serde_json::Value;

/// The cases of all files, each with the name of its loss.
pub fn all() -> Vec<Value> {
    let files = [
        include_str!("../golden/pointwise.json"),
        include_str!("../golden/binary.json"),
        include_str!("../golden/classes.json"),
        include_str!("../golden/boxes.json"),
        include_str!("../golden/embeddings.json"),
        include_str!("../golden/ranking.json"),
        include_str!("../golden/linear.json"),
        include_str!("../golden/preference.json"),
        include_str!("../golden/sequence.json"),
        include_str!("../golden/calls.json"),
        include_str!("../golden/calls_ranking.json"),
    ];
    files
        .iter()
        .flat_map(|text| {
            serde_json::from_str::<Vec<Value>>(text).expect("the golden files are JSON")
        })
        .collect()
}

/// The largest relative errors of reduced values, of unreduced values and of gradients.
#[derive(Default)]
struct Worst {
    reduced: Comparison,
    values: Comparison,
    gradients: Comparison,
}

/// The golden cases of one loss on a device. Fails if there are none.
pub fn check(cases: &[Value], device: &Device) -> Result<(), Failed> {
    if cases.is_empty() {
        return Err("there is no golden case of this loss".into());
    }
    let mut worst = Worst::default();
    for case in cases {
        let name = case["name"].as_str().ok_or("each case has a name")?;
        let found = cases::evaluate(case, device).map_err(|error| format!("{name}: {error}"))?;
        let is_reduced = case["options"]["reduction"] != "none";
        let value = if is_reduced { &mut worst.reduced } else { &mut worst.values };
        value.merge(compare(name, &case["expect"]["value"], &found["value"]));
        let expected = case["expect"]["gradients"].as_object().ok_or("each case has gradients")?;
        for (input, expected) in expected {
            worst.gradients.merge(compare(
                &format!("{name} {input}"),
                expected,
                &found["gradients"][input],
            ));
        }
    }
    // The golden files hold 12 digits, which is up to 5e-12 of a number; the reference's own
    // rounding is below. In f32 a mean of few values carries a few roundings of 6e-8 each: 2e-6
    // leaves room for exp, whose error WGSL allows to be 3 + 2|x| ulp. A gradient's cell is a
    // difference of factors, each off by up to 4 ulp (2.4e-7): a cell 400 times smaller than its
    // factors keeps 1e-4. The same holds for an unreduced value of some losses, of terms each off
    // by their last rounding (6e-8): x - y ln x of a Poisson mean, 300 times smaller than both,
    // keeps 2e-5.
    let is_reference = device.name() == "reference";
    let [reduced, values, gradients] = if is_reference { [6e-12; 3] } else { [2e-6, 2e-5, 1e-4] };
    for (what, found, bound) in [
        ("reduced value", &worst.reduced, reduced),
        ("value", &worst.values, values),
        ("gradient", &worst.gradients, gradients),
    ] {
        if found.relative.is_nan() || found.relative > bound {
            return Err(format!("{}: {what} {found}, allowed {bound:e}", device.describe()).into());
        }
    }
    Ok(())
}
