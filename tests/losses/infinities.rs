//! Infinite inputs: impossible tokens and completions, embeddings with an infinite component. Each
//! device has the reference's NaN and infinities, and its numbers.

use crate::support::each_device;
use gradus::{Criterion, Device, Evaluation, Inputs, Reduction, losses};
use ndarray::{Array1, Array2, array};
use serde_json::{Value, json};

const NEVER: f32 = f32::NEG_INFINITY;

fn criterion(name: &str, options: &Value, device: &Device) -> Criterion {
    Criterion::from_boxed(losses::from_name(name, options).unwrap(), device)
        .unwrap()
        .reduction(Reduction::None)
}

/// The values, then the gradients.
fn numbers(found: &Evaluation<f64>) -> Vec<f64> {
    let others = found.others.iter().flat_map(|(_, gradient)| gradient.iter());
    found.values.iter().chain(found.gradient.iter()).chain(others).copied().collect()
}

fn assert_same(what: &str, device: &Device, expected: &[f64], found: &[f64]) {
    assert_eq!(expected.len(), found.len());
    for (place, (&e, &f)) in expected.iter().zip(found).enumerate() {
        // f32 rounds each of some ten steps by 6e-8 of terms of about 1, whose difference may be less.
        let is_same =
            e == f || e.is_nan() && f.is_nan() || (e - f).abs() <= 2e-6 * e.abs().max(1.0);
        assert!(is_same, "{} {what}: {place} is {f:e} instead of {e:e}", device.name());
    }
}

/// All rows of `width` numbers out of `numbers`.
fn combinations(numbers: &[f32], width: usize) -> Vec<Vec<f32>> {
    let mut rows = vec![Vec::new()];
    for _ in 0..width {
        rows = rows
            .iter()
            .flat_map(|row| numbers.iter().map(|&x| [row.as_slice(), &[x]].concat()))
            .collect();
    }
    rows
}

#[test]
fn impossible_tokens_have_no_ratio_on_any_device() {
    let rows = combinations(&[-0.5, -2.0, NEVER], 3);
    let column = |of: usize| Array2::from_shape_fn((rows.len(), 1), |(row, _)| rows[row][of]);
    let (log_probs, old, reference) = (column(0), column(1), column(2));
    for name in ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo"] {
        for advantage in [1.5, -0.5, 0.0] {
            let advantages = Array1::from_elem(rows.len(), advantage);
            let inputs = Inputs::named("log_probs", &log_probs).input("advantages", &advantages);
            let inputs = inputs.input("old_log_probs", &old).input("ref_log_probs", &reference);
            let evaluate = |device: &Device| {
                criterion(name, &json!({"beta": 0.5}), device).evaluate_f64(&inputs).unwrap()
            };
            let expected = evaluate(&Device::reference());
            for (row, value) in rows.iter().zip(&expected.values) {
                let is_undefined = row[0] == NEVER && (row[1] == NEVER || row[2] == NEVER);
                assert!(value.is_nan() || !is_undefined, "{name} {advantage} {row:?}: {value}");
            }
            for device in each_device() {
                let what = format!("{name} {advantage}");
                assert_same(&what, &device, &numbers(&expected), &numbers(&evaluate(&device)));
            }
        }
    }
}

/// The loss, its options, and its inputs with a number for each that does not vary.
fn preferences() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let dpo = ["policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected"];
    let types =
        ["sigmoid", "robust", "hinge", "ipo", "apo_zero", "apo_down", "nca_pair", "sppo_hard"];
    let mut found: Vec<_> =
        types.iter().map(|of| ("dpo", json!({"loss_type": of}), dpo.to_vec())).collect();
    let pair = || dpo[..2].to_vec();
    found.push(("dpo", json!({"label_smoothing": 0.1}), dpo.to_vec()));
    found.push(("simpo", json!({"label_smoothing": 0.1}), pair()));
    found.push(("cpo", json!({"label_smoothing": 0.1}), pair()));
    found.push(("cpo", json!({"alpha": 0.0}), pair()));
    found.push(("orpo", json!({}), pair()));
    found.push(("kto", json!({}), vec!["policy", "reference"]));
    found
}

#[test]
fn impossible_completions_have_no_difference_on_any_device() {
    for (name, options, inputs) in preferences() {
        let rows = combinations(&[-0.5, -2.0, NEVER], inputs.len());
        let columns: Vec<Array1<f32>> =
            (0..inputs.len()).map(|of| rows.iter().map(|row| row[of]).collect()).collect();
        let desirable: Array1<f32> =
            (0..rows.len()).map(|row| if row % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let given = inputs.iter().zip(&columns);
        let first = Inputs::named(inputs[0], &columns[0]);
        let mut call = given.skip(1).fold(first, |call, (name, column)| call.input(name, column));
        if name == "kto" {
            call = call.input("targets", &desirable);
        }
        let evaluate =
            |device: &Device| criterion(name, &options, device).evaluate_f64(&call).unwrap();
        let expected = evaluate(&Device::reference());
        let both = rows.iter().position(|row| row.iter().all(|&x| x == NEVER)).unwrap();
        // Equal odds have the difference 0, also of two probabilities of 0.
        assert_eq!(expected.values[both].is_nan(), name != "orpo", "{name} {options}");
        for device in each_device() {
            let what = format!("{name} {options}");
            assert_same(&what, &device, &numbers(&expected), &numbers(&evaluate(&device)));
        }
    }
}

fn embeddings(rows: usize, columns: usize, size: f32) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(r, c)| {
        size * (1.7 * r as f32 + 2.3 * (c * c) as f32 + 0.4).sin()
    })
}

/// Losses, their options, and their inputs; the last is one of labels if it is called so.
fn of_embeddings() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let mut found = vec![
        ("cosine_similarity", json!({}), vec!["predictions", "targets"]),
        ("cosine_embedding", json!({}), vec!["first", "second", "truth"]),
        ("contrastive", json!({}), vec!["first", "second", "truth"]),
        ("info_nce", json!({}), vec!["first", "second"]),
        ("info_nce", json!({"symmetric": true}), vec!["first", "second"]),
        ("info_nce", json!({"normalize": false}), vec!["first", "second"]),
        ("n_pairs", json!({}), vec!["first", "second"]),
        ("barlow_twins", json!({}), vec!["first", "second"]),
        ("vicreg", json!({}), vec!["first", "second"]),
    ];
    for options in [json!({}), json!({"p": 1.0}), json!({"p": 3.0}), json!({"swap": true})] {
        found.push(("triplet_margin", options, vec!["anchor", "positive", "negative"]));
    }
    for name in ["sup_con", "nt_xent", "multi_similarity", "circle", "batch_triplet"] {
        found.push((name, json!({}), vec!["predictions", "labels"]));
    }
    found
}

#[test]
fn an_infinite_component_of_an_embedding_gives_no_number() {
    let labels = array![0_i64, 1, 0, 1, 0, 1];
    let truths = array![1.0, -1.0, 1.0, -1.0, 1.0, 1.0];
    let truths_of_contrastive = truths.mapv(|truth: f32| truth.max(0.0));
    for (name, options, inputs) in of_embeddings() {
        for infinity in [f32::INFINITY, f32::NEG_INFINITY] {
            let mut first = embeddings(6, 5, 1.0);
            first[[2, 3]] = infinity;
            let others = [embeddings(6, 5, 2.0), embeddings(6, 5, 0.5)];
            for device in each_device() {
                let criterion = criterion(name, &options, &device);
                let arguments: Vec<&str> =
                    criterion.loss().arguments().iter().map(|argument| argument.name).collect();
                let mut call = Inputs::named(arguments[0], &first);
                for (place, (&argument, &kind)) in arguments.iter().zip(&inputs).enumerate().skip(1)
                {
                    call = match (kind, name) {
                        ("labels", _) => call.input(argument, &labels),
                        ("truth", "contrastive") => call.input(argument, &truths_of_contrastive),
                        ("truth", _) => call.input(argument, &truths),
                        _ => call.input(argument, &others[place - 1]),
                    };
                }
                let found = criterion.evaluate_f64(&call).unwrap();
                let what = format!("{} {name} {options} {infinity}", device.name());
                // The row itself, or all rows at once.
                let row = if found.values.len() == 1 { 0 } else { 2 };
                let value = found.values.as_slice().unwrap()[row];
                assert!(!value.is_finite(), "{what}: {value}");
                let cells = &found.gradient.as_slice().unwrap()[10..15];
                // A covariance is one of two columns: the others have derivatives of their own.
                let is_by_column = found.values.len() == 1;
                let cells = if is_by_column { &cells[3..4] } else { cells };
                assert!(cells.iter().all(|x| !x.is_finite()), "{what}: {cells:?}");
                let others = found.values.iter().filter(|x| !x.is_nan()).count();
                let expected = match criterion.loss().arguments() {
                    // Vectors: the other rows stay as they are.
                    _ if found.values.len() == 1 => 0,
                    _ if [
                        "cosine_similarity",
                        "cosine_embedding",
                        "contrastive",
                        "triplet_margin",
                    ]
                    .contains(&name) =>
                    {
                        5
                    }
                    // Every row has it for a candidate, unless it is on the side of the rows.
                    _ if ["info_nce", "n_pairs"].contains(&name)
                        && options["symmetric"] != json!(true) =>
                    {
                        5
                    }
                    _ => 0,
                };
                assert_eq!(others, expected, "{what}: {}", found.values);
            }
        }
    }
}
