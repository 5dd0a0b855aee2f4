//! Reference schedules of PyTorch and optax, values computed by hand, and rejected options.

use serde_json::{Value, json};

use crate::nn::schedules::*;

#[test]
fn schedules_are_those_of_pytorch_and_optax() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/golden/schedules.json")).unwrap();
    assert_eq!(cases.len(), 9);
    for case in &cases {
        let schedule = from_name(case["schedule"].as_str().unwrap(), &case["options"]).unwrap();
        for (step, expected) in case["steps"]
            .as_array()
            .unwrap()
            .iter()
            .zip(case["expect"]["learning_rate"].as_array().unwrap())
        {
            let (found, expected) =
                (schedule.rate(step.as_u64().unwrap()), expected.as_f64().unwrap());
            // The file holds 12 digits; where a cosine ends at 0, PyTorch's value is 1e-18 of its
            // amplitude.
            assert!(
                (found - expected).abs() <= 1e-11 * expected.abs().max(1e-6),
                "{}, {step}: {found}",
                case["name"]
            );
        }
    }
}

#[test]
fn options_written_out_make_the_same_again_and_names_are_sorted() {
    assert!(CATALOGUE.is_sorted_by_key(|entry| entry.name));
    for entry in CATALOGUE {
        let options = match entry.name {
            "join" => {
                json!({ "schedules": [{ "schedule": "constant" }, { "schedule": "step" }], "milestones": [3] })
            }
            _ => Value::Null,
        };
        let made = from_name(entry.name, &options).unwrap();
        assert_eq!(made.name(), entry.name);
        let again = from_name(entry.name, &made.options()).unwrap();
        assert_eq!(again.options(), made.options());
        assert!(
            (0..200).all(|step| again.rate(step) == made.rate(step) && made.rate(step) >= 0.0),
            "{}",
            entry.name
        );
        let written: Vec<String> = made.options().as_object().unwrap().keys().cloned().collect();
        let documented: Vec<&str> = entry.options.iter().map(|option| option.name).collect();
        assert_eq!(written, documented);
    }
}

#[test]
fn a_finite_schedule_stays_at_its_end() {
    for (name, options, end) in [
        ("cosine", json!({ "learning_rate": 0.1, "steps": 10, "minimum": 0.01 }), 0.01),
        ("linear", json!({ "initial": 0.1, "final": 0.02, "steps": 10 }), 0.02),
        ("one_cycle", json!({ "maximum": 0.1, "steps": 10 }), 4e-7),
        ("polynomial", json!({ "learning_rate": 0.1, "steps": 10, "minimum": 0.03 }), 0.03),
        ("warmup", json!({ "initial": 0.0, "peak": 0.1, "warmup_steps": 10 }), 0.1),
        (
            "warmup_cosine",
            json!({ "peak": 0.1, "warmup_steps": 3, "steps": 10, "minimum": 0.04 }),
            0.04,
        ),
    ] {
        let schedule = from_name(name, &options).unwrap();
        for step in [10, 11, 15, 20, 1_000_000, u64::MAX] {
            assert!(
                (schedule.rate(step) - end).abs() < 1e-15,
                "{name}, {step}: {}",
                schedule.rate(step)
            );
        }
    }
    // PyTorch's schedule rises again.
    let periodic = Cosine::new().learning_rate(0.1).steps(10_u64).periodic(true);
    assert!((periodic.rate(15) - 0.05).abs() < 1e-15 && (periodic.rate(20) - 0.1).abs() < 1e-15);
}

/// Values of PyTorch 2.15: `ReduceLROnPlateau(factor=0.5, patience=1, threshold=0.1, cooldown=2,
/// min_lr=0.02)` from 0.1.
#[test]
fn a_plateau_falls_as_pytorchs() {
    let losses =
        [1.0, 0.95, 0.92, 0.5, 0.49, 0.48, 0.47, 0.46, 0.46, 0.46, 0.46, 0.46, 0.2, 0.2, 0.2, 0.2];
    let expected = [
        0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.025, 0.02, 0.02, 0.02, 0.02, 0.02,
        0.02,
    ];
    let schedule = ReduceOnPlateau::new()
        .learning_rate(0.1)
        .factor(0.5)
        .patience(1_u32)
        .threshold(0.1)
        .cooldown(2_u32)
        .minimum(0.02);
    let mut watched = Watched::default();
    for (loss, expected) in losses.into_iter().zip(expected) {
        schedule.observe(&mut watched, loss);
        assert_eq!(schedule.rate_after(0, &watched), expected, "{loss}");
    }
}

/// Values of PyTorch 2.15: `OneCycleLR(0.1, total_steps=10, three_phase=True,
/// anneal_strategy="linear", pct_start=0.4)`.
#[test]
fn one_cycle_in_three_phases_is_pytorchs() {
    let schedule = OneCycle::new()
        .maximum(0.1)
        .steps(10_u64)
        .three_phase(true)
        .anneal_strategy(Anneal::Linear)
        .pct_start(0.4);
    let expected = [0.004, 0.036, 0.068, 0.1, 0.068, 0.036, 0.004, 0.0026668, 0.0013336, 4e-7];
    for (step, expected) in expected.into_iter().enumerate() {
        assert!(
            (schedule.rate(step as u64) - expected).abs() <= 1e-12,
            "{step}: {}",
            schedule.rate(step as u64)
        );
    }
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    for (name, options, expected) in [
        ("cosin", json!({}), "unknown schedule `cosin`; known: constant, cosine, cosine_restarts,"),
        (
            "cosine",
            json!({ "step": 3 }),
            "unknown option of cosine `step`; known: learning_rate, steps, minimum, periodic",
        ),
        ("step", json!({ "every": 0 }), "step: every is 0; it must be a whole number > 0"),
        ("linear", json!({ "final": -1 }), "linear: final is -1.0; it must be finite and >= 0"),
        (
            "warmup_cosine",
            json!({ "warmup_steps": 100 }),
            "warmup_steps is 100; it must be below steps",
        ),
        (
            "join",
            json!({ "schedules": [{ "schedule": "step" }], "milestones": [1] }),
            "milestones is [1] for 1 schedules",
        ),
        ("join", json!({ "schedules": [{ "schedule": "plateau" }] }), "go by their steps alone"),
    ] {
        let error = from_name(name, &options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
