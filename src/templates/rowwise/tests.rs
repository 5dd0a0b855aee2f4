//! Rows of labels that take the fast paths, against the reference.

use crate::losses::{self, OneInput, Template};
use crate::templates::rowwise::rows::Rows;
use crate::templates::rowwise::target::Targets;

/// Losses of labels with a fast path, and options with which they take it.
const LOSSES: [(&str, &str); 19] = [
    ("cross_entropy", "{}"),
    ("cross_entropy", r#"{"label_smoothing": 0.2, "z_loss": 0.01}"#),
    ("focal", "{}"),
    ("focal", r#"{"gamma": 1.7, "alpha": 0.25}"#),
    ("poly1_cross_entropy", "{}"),
    ("poly_cross_entropy", "{}"),
    ("generalized_cross_entropy", "{}"),
    ("nll", "{}"),
    ("multi_margin", "{}"),
    ("multi_margin", r#"{"p": 2, "margin": 0.5}"#),
    ("multiclass_hinge", "{}"),
    ("categorical_hinge", "{}"),
    ("sparsemax", "{}"),
    ("entmax", "{}"),
    ("entmax", r#"{"alpha": 1.25}"#),
    ("ldam", r#"{"scale": 4.0}"#),
    ("logit_adjusted_cross_entropy", "{}"),
    ("sampled_softmax", "{}"),
    ("ordinal", "{}"),
];

/// More than a tile. One row is masked; others hold NaN, ∞, only −∞, −∞ at the label or elsewhere,
/// equal numbers.
const ROWS: usize = 70;

struct Problem {
    logits: Vec<f32>,
    labels: Vec<i32>,
    mask: Vec<bool>,
    numbers: Vec<f32>,
}

fn problem(columns: usize, has_numbers: bool) -> Problem {
    let number = |i: usize| ((i * 7919) % 2003) as f32 / 250.0 - 4.0;
    let mut logits: Vec<f32> = (0..ROWS * columns).map(number).collect();
    let labels: Vec<i32> = (0..ROWS).map(|row| (row * 31 % columns) as i32).collect();
    let mut mask = vec![true; ROWS];
    mask[64] = false;
    logits[5 * columns] = f32::NAN;
    logits[66 * columns + columns / 2] = f32::INFINITY;
    logits[67 * columns..68 * columns].fill(f32::NEG_INFINITY);
    logits[8 * columns + labels[8] as usize] = f32::NEG_INFINITY;
    logits[9 * columns + (labels[9] as usize + 1) % columns] = f32::NEG_INFINITY;
    logits[68 * columns..69 * columns].fill(0.5);
    let numbers = (0..columns).map(|class| 0.25 + (class % 5) as f32).collect();
    Problem { logits, labels, mask, numbers: if has_numbers { numbers } else { Vec::new() } }
}

fn run(name: &str, options: &str, problem: &Problem, columns: usize) -> [Vec<f64>; 4] {
    let loss = losses::from_name(name, &serde_json::from_str(options).unwrap()).unwrap();
    let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let (logits, numbers) = (wide(&problem.logits), wide(&problem.numbers));
    let rows = problem.labels.len();
    let (mut gradient, mut values) = (vec![9.0_f32; rows * columns], vec![9.0_f32; rows]);
    let (mut exact_gradient, mut exact) = (vec![9.0_f64; rows * columns], vec![9.0_f64; rows]);
    macro_rules! rows {
        ($logits:expr, $numbers:expr, $one:expr) => {
            Rows {
                logits: $logits,
                columns,
                targets: Targets::Labels(&problem.labels),
                ignored: loss.ignored(),
                class_weight: $numbers,
                item_weight: &[],
                pos_weight: &[],
                class_mask: &[],
                weight: &[],
                mask: &problem.mask,
                factor: $one,
                upstream: $one,
                upstreams: &[],
            }
        };
    }
    let Template::OneInput(OneInput::Rowwise(host)) = loss.template() else {
        panic!("{name} is not a loss of rows")
    };
    let single = rows!(&problem.logits, &problem.numbers, 1.0);
    host.run_f32(&single, &mut gradient, &mut values, &mut []).unwrap();
    host.run_f64(&rows!(&logits, &numbers, 1.0), &mut exact_gradient, &mut exact, &mut []).unwrap();
    [wide(&gradient), wide(&values), exact_gradient, exact]
}

/// True for a loss with a number of each class: a weight, a prior, a count.
fn takes_numbers(name: &str) -> bool {
    let loss = losses::from_name(name, &serde_json::Value::Null).unwrap();
    loss.inputs().iter().any(|input| input.name.starts_with("class_") && input.name != "class_mask")
}

fn is_close(found: f64, exact: f64) -> bool {
    if !exact.is_finite() {
        return found == exact || (found.is_nan() && exact.is_nan());
    }
    // Logits are within ±4, so differences are below 8 and rounded at 2⁻²². An exponential of them
    // has a relative error of 8 half units of 2⁻²³ and 1 ulp; a logarithm, a power and the
    // factors follow, the square at most doubles, and ldam multiplies by 4: 80 units of 2⁻²⁴ cover
    // the sum, relative to what is at most 1 in a gradient, or to the value.
    (found - exact).abs() <= 80.0 * 2.0_f64.powi(-24) * exact.abs().max(1.0)
}

#[test]
fn fast_paths_agree_with_the_reference_in_every_kind_of_row() {
    for columns in [2, 3, 4, 5, 10, 16, 63, 64, 65, 100] {
        for (name, options) in LOSSES {
            for has_numbers in [false, true] {
                let problem = problem(columns, has_numbers && takes_numbers(name));
                let [gradient, values, exact_gradient, exact] =
                    run(name, options, &problem, columns);
                let title = format!("{name} {options}, {columns} classes, numbers {has_numbers}");
                for (row, (&found, &exact)) in values.iter().zip(&exact).enumerate() {
                    assert!(is_close(found, exact), "{title}: row {row}: {found} {exact}");
                }
                for (cell, (&found, &exact)) in gradient.iter().zip(&exact_gradient).enumerate() {
                    let place = (cell / columns, cell % columns);
                    assert!(is_close(found, exact), "{title}: {place:?}: {found} {exact}");
                }
            }
        }
    }
}

#[test]
fn the_comparison_can_fail() {
    assert!(is_close(1.0, 1.0) && is_close(f64::NAN, f64::NAN));
    assert!(!is_close(1.0, 1.0 + 1e-5) && !is_close(f64::NAN, 1.0) && !is_close(1.0, f64::NAN));
    assert!(!is_close(f64::INFINITY, f64::NEG_INFINITY) && !is_close(0.0, 1e-5));
}

#[test]
fn a_row_is_the_same_bits_alone_and_among_others() {
    for columns in [2, 7, 10] {
        for (name, options) in LOSSES {
            let whole = problem(columns, takes_numbers(name));
            let [gradient, values, ..] = run(name, options, &whole, columns);
            for row in [0, 1, 17, 63, 69] {
                let alone = Problem {
                    logits: whole.logits[row * columns..][..columns].to_vec(),
                    labels: vec![whole.labels[row]],
                    mask: vec![whole.mask[row]],
                    numbers: whole.numbers.clone(),
                };
                let [alone_gradient, alone_values, ..] = run(name, options, &alone, columns);
                let title = format!("{name} {options}, {columns} classes, row {row}");
                assert_eq!(gradient[row * columns..][..columns], alone_gradient, "{title}");
                assert_eq!(values[row], alone_values[0], "{title}");
            }
        }
    }
}
