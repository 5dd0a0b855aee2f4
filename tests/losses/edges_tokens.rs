//! Edge cases of the losses over tokens, survival times and covariances: NaN and infinities, padding,
//! nothing to average, huge numbers.

use crate::support::each_device;
use gradus::losses::{Cox, Loss, Ties};
use gradus::{Criterion, Device, Evaluation, Inputs, losses};
use ndarray::{Array1, Array2, Axis, array};
use serde_json::{Value, json};

const INF: f32 = f32::INFINITY;
const POLICIES: [&str; 6] = ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo"];

fn evaluate(name: &str, options: &Value, device: &Device, inputs: &Inputs) -> Evaluation<f64> {
    let criterion = Criterion::from_boxed(losses::from_name(name, options).unwrap(), device);
    criterion.unwrap().evaluate_f64(inputs).unwrap()
}

/// Two completions of three tokens, drawn by a policy that has since moved by `moved`.
fn policy(
    name: &str,
    device: &Device,
    moved: [f32; 6],
    mask: [f32; 6],
    gain: f32,
) -> Evaluation<f64> {
    let old = Array2::from_elem((2, 3), -1.0_f32);
    let log_probs = &old + &Array2::from_shape_vec((2, 3), moved.to_vec()).unwrap();
    let (advantages, mask) =
        (array![gain, -0.5], Array2::from_shape_vec((2, 3), mask.to_vec()).unwrap());
    let inputs = Inputs::named("log_probs", &log_probs).input("advantages", &advantages);
    let inputs = inputs.input("old_log_probs", &old).input("completion_mask", &mask);
    evaluate(name, &Value::Null, device, &inputs)
}

const ALL: [f32; 6] = [1.0; 6];

#[test]
fn nan_makes_its_token_nan_unless_the_mask_leaves_it_out() {
    let moved = [0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0];
    for device in each_device() {
        for name in POLICIES {
            let found = policy(name, &device, moved, ALL, 1.0);
            let nan: Vec<bool> = found.gradient.iter().map(|x| x.is_nan()).collect();
            assert!(found.value().is_nan(), "{} {name}", device.name());
            assert_eq!(nan, [false, true, false, false, false, false], "{} {name}", device.name());
            let found = policy(name, &device, moved, [1.0, 0.0, 1.0, 1.0, 1.0, 1.0], 1.0);
            assert!(found.value().is_finite(), "{} {name}: {}", device.name(), found.value());
            assert_eq!(found.gradient[[0, 1]], 0.0, "{} {name}", device.name());
            let found = policy(name, &device, [0.0; 6], [1.0, f32::NAN, 1.0, 1.0, 1.0, 1.0], 1.0);
            assert!(found.value().is_nan(), "{} {name}: a NaN in the mask", device.name());
        }
    }
}

#[test]
fn a_ratio_beyond_all_bounds_is_cut_where_the_objective_would_gain() {
    for device in each_device() {
        for name in POLICIES {
            // Impossible, as good as impossible, and ratios that overflow f32 and f64, for a
            // positive advantage; the negative one is where the policy has not moved.
            for far in [-INF, -1e20, 200.0, 1e20] {
                let moved = [far, 0.0, 0.0, 0.0, 0.0, 0.0];
                let found = policy(name, &device, moved, ALL, 1.0);
                let own = found.gradient[[0, 0]];
                // The weight of CISPO is held constant, and its value is the log-probability's.
                let is_open = name == "cispo" && far > 0.0;
                assert!(is_open || own == 0.0, "{} {name} {far}: {own}", device.name());
                assert!(found.value().is_finite(), "{} {name} {far}", device.name());
                assert!(found.gradient.iter().all(|x| x.is_finite()), "{} {name}", device.name());
            }
            let found = policy(name, &device, [1e20, 0.0, 0.0, 0.0, 0.0, 0.0], ALL, 0.0);
            assert_eq!(found.gradient[[0, 0]], 0.0, "{} {name}: no advantage", device.name());
        }
    }
}

#[test]
fn completions_without_tokens_have_no_value() {
    for device in each_device() {
        for name in POLICIES {
            let by_token = ["bnpo", "dapo", "cispo"].contains(&name);
            let found = policy(name, &device, [0.0; 6], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0], 1.0);
            assert_eq!(found.count, if by_token { 1 } else { 2 }, "{} {name}", device.name());
            assert!(
                found.gradient.index_axis(Axis(0), 1).iter().all(|&x| x == 0.0),
                "{} {name}",
                device.name()
            );
            let found = policy(name, &device, [0.0; 6], [0.0; 6], 1.0);
            assert_eq!(found.value(), 0.0, "{} {name}", device.name());
            assert!(found.gradient.iter().all(|&x| x == 0.0), "{} {name}", device.name());
        }
    }
}

#[test]
fn an_impossible_token_is_infinitely_far_from_the_reference() {
    let (log_probs, advantages) = (array![[-INF, -1.0]], array![1.0_f32]);
    let reference = array![[-1.0_f32, -1.0]];
    for device in each_device() {
        let inputs = Inputs::named("log_probs", &log_probs).input("advantages", &advantages);
        let inputs = inputs.input("old_log_probs", &reference).input("ref_log_probs", &reference);
        let found = evaluate("grpo", &Value::Null, &device, &inputs);
        assert_eq!(found.value(), f64::INFINITY, "{}", device.name());
        assert_eq!(found.gradient[[0, 0]], f64::NEG_INFINITY, "{}", device.name());
        // β = 0: without a weight it is left out.
        let found = evaluate("grpo", &json!({"beta": 0.0}), &device, &inputs);
        assert_eq!(found.value(), -0.5, "{}", device.name());
    }
}

fn cox(device: &Device, scores: &[f32], times: &[f32], events: &[f32]) -> Evaluation<f64> {
    let [scores, times, events] = [scores, times, events].map(|x| Array1::from(x.to_vec()));
    let inputs = Inputs::named("predictions", &scores).input("times", &times);
    let criterion = Cox::new().ties(Ties::Efron).on(device).unwrap();
    criterion.evaluate_f64(&inputs.input("events", &events)).unwrap()
}

#[test]
fn lists_without_events_and_padding_have_no_part() {
    for device in each_device() {
        let found = cox(&device, &[1.0, 2.0], &[1.0, 2.0], &[0.0, 0.0]);
        assert_eq!((found.value(), found.count), (0.0, 0), "{}", device.name());
        assert!(found.gradient.iter().all(|&x| x == 0.0), "{}", device.name());
        // The third is padding, whatever its score and event.
        let found = cox(&device, &[0.0, 0.0, f32::NAN], &[1.0, 2.0, -1.0], &[1.0, 0.0, 1.0]);
        assert!(
            (found.value() - 2.0_f64.ln()).abs() < 1e-7,
            "{}: {}",
            device.name(),
            found.value()
        );
        assert_eq!(found.gradient[2], 0.0, "{}", device.name());
    }
}

#[test]
fn infinite_and_huge_hazards() {
    for device in each_device() {
        // One that is never at risk: as if it were not there.
        let found = cox(&device, &[0.0, -INF, 0.0], &[1.0, 2.0, 3.0], &[1.0, 0.0, 1.0]);
        assert!((found.value() - 0.5 * 2.0_f64.ln()).abs() < 1e-7, "{}", device.name());
        assert_eq!(found.gradient[1], 0.0, "{}", device.name());
        let found = cox(&device, &[0.0, -INF], &[2.0, 1.0], &[0.0, 1.0]);
        assert_eq!(found.value(), f64::INFINITY, "{}", device.name());
        for score in [INF, f32::NAN] {
            let found = cox(&device, &[0.0, score], &[1.0, 2.0], &[1.0, 0.0]);
            assert!(found.value().is_nan(), "{} {score}", device.name());
            assert!(found.gradient.iter().all(|x| x.is_nan()), "{} {score}", device.name());
        }
        let found = cox(&device, &[1e20, -1e20], &[2.0, 1.0], &[1.0, 1.0]);
        assert_eq!(found.value(), f64::from(1e20_f32), "{}", device.name()); // (2e20 + 0)/2
        let found = cox(&device, &[1e4, 1e4], &[1.0, 1.0], &[1.0, 1.0]);
        // Two tied events of two: ln 2 and ln 1.
        assert!((found.value() - 0.5 * 2.0_f64.ln()).abs() < 1e-7, "{}", device.name());
    }
}

#[test]
fn correlations_have_no_scale_and_one_row_has_none() {
    let first = Array2::from_shape_fn((7, 3), |(i, j)| ((5 * i + 3 * j) % 7) as f32 - 2.0);
    let second = Array2::from_shape_fn((7, 3), |(i, j)| ((3 * i + 2 * j) % 5) as f32 - 1.0);
    let (large, single) = (&first * 1e20, first.slice(ndarray::s![..1, ..]).to_owned());
    for device in each_device() {
        let options = json!({"epsilon": 1e-12});
        let at = |first: &Array2<f32>| {
            let inputs = Inputs::named("first", first).input("second", &second);
            evaluate("barlow_twins", &options, &device, &inputs)
        };
        let (small, large) = (at(&first), at(&large));
        let off = (small.value() - large.value()).abs();
        assert!(off < 1e-5 * small.value(), "{}: {off}", device.name());
        assert!(large.gradient.iter().all(|x| x.is_finite()), "{}", device.name());
        for (name, value) in [("barlow_twins", 3.0), ("vicreg", 25.0 * 0.99)] {
            let inputs = Inputs::named("first", &single).input("second", &single);
            let found = evaluate(name, &Value::Null, &device, &inputs);
            // Nothing varies: no correlations; 1 − √ε is missed in each column.
            assert!((found.value() - value).abs() < 1e-5, "{} {name}", device.name());
            assert!(found.gradient.iter().all(|&x| x == 0.0), "{} {name}", device.name());
        }
        for name in ["barlow_twins", "vicreg"] {
            let mut broken = first.clone();
            broken[[2, 1]] = f32::NAN;
            let inputs = Inputs::named("first", &broken).input("second", &second);
            let found = evaluate(name, &Value::Null, &device, &inputs);
            assert!(found.value().is_nan(), "{} {name}", device.name());
            assert!(
                found.gradient.index_axis(Axis(1), 1).iter().all(|x| x.is_nan()),
                "{} {name}",
                device.name()
            );
        }
    }
}
