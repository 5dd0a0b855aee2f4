//! Long and short rows against the reference and the general path.

use crate::cpu::real::Real;
use crate::losses::CrossEntropy;
use crate::templates::rowwise::RowwiseCpu;
use crate::templates::rowwise::rows::Rows;
use crate::templates::rowwise::target::Targets;

/// 70 rows: one is ignored, one masked, and four use the general path: NaN, ∞, only −∞, and a label
/// at −∞.
const ROWS: usize = 70;

struct Problem {
    logits: Vec<f32>,
    labels: Vec<i32>,
    mask: Vec<bool>,
}

fn problem(columns: usize) -> Problem {
    let number = |i: usize| ((i * 7919) % 2003) as f32 / 250.0 - 4.0;
    let mut logits: Vec<f32> = (0..ROWS * columns).map(number).collect();
    let mut labels: Vec<i32> = (0..ROWS).map(|row| (row * 31 % columns) as i32).collect();
    let mut mask = vec![true; ROWS];
    (labels[3], mask[64]) = (-100, false);
    logits[5 * columns] = f32::NAN;
    logits[66 * columns + columns / 2] = f32::INFINITY;
    logits[67 * columns..68 * columns].fill(f32::NEG_INFINITY);
    logits[8 * columns + labels[8] as usize] = f32::NEG_INFINITY;
    logits[9 * columns + (labels[9] as usize + 1) % columns] = f32::NEG_INFINITY;
    Problem { logits, labels, mask }
}

fn rows<'a, R: Real>(problem: &'a Problem, logits: &'a [R], columns: usize) -> Rows<'a, R> {
    Rows {
        logits,
        columns,
        targets: Targets::Labels(&problem.labels),
        ignored: &[-100],
        class_weight: &[],
        pos_weight: &[],
        class_mask: &[],
        item_weight: &[],
        weight: &[],
        mask: &problem.mask,
        factor: R::ONE,
        upstream: R::ONE,
        upstreams: &[],
    }
}

fn close(found: f32, exact: f64, limit: f64) -> bool {
    let exact_is_odd = !exact.is_finite();
    if exact_is_odd {
        found.is_nan() == exact.is_nan() && (exact.is_nan() || f64::from(found) == exact)
    } else {
        (f64::from(found) - exact).abs() <= limit
    }
}

#[test]
fn rows_of_every_width_and_kind_agree_with_the_reference() {
    for columns in [2, 3, 10, 16, 63, 64, 65, 100, 511, 512, 513, 1000] {
        let problem = problem(columns);
        let wide: Vec<f64> = problem.logits.iter().map(|&x| f64::from(x)).collect();
        for loss in [CrossEntropy::new(), CrossEntropy::new().label_smoothing(0.2).z_loss(0.01)] {
            let (mut gradient, mut values) = (vec![9.0_f32; ROWS * columns], vec![9.0_f32; ROWS]);
            let (mut exact_gradient, mut exact) =
                (vec![0.0_f64; ROWS * columns], vec![0.0_f64; ROWS]);
            loss.run_f32(
                &rows(&problem, &problem.logits, columns),
                &mut gradient,
                &mut values,
                &mut [],
            )
            .unwrap();
            let wide = rows(&problem, &wide, columns);
            loss.run_f64(&wide, &mut exact_gradient, &mut exact, &mut []).unwrap();
            for (row, (&found, &exact)) in values.iter().zip(&exact).enumerate() {
                // Logits are within ±4: x − m is below 8 and rounded at 2⁻²²; ln T and λ lse² are
                // rounded at their size, below 16 and 1.2. With 2 ulp each for ln and exp, the
                // total is below 16·4 + 16 units of 2⁻²⁴.
                assert!(
                    close(found, exact, 80.0 * 2.0_f64.powi(-24)),
                    "{columns}, row {row}: {found} {exact}"
                );
            }
            for (cell, (&found, &exact)) in gradient.iter().zip(&exact_gradient).enumerate() {
                // A power has an error of |x − m| ≤ 8 half units of 2⁻²³ and 1 ulp, and their sum
                // has no larger error. Four roundings follow. A cell is at most 1.2.
                let place = (cell / columns, cell % columns);
                assert!(
                    close(found, exact, 1.2 * 32.0 * 2.0_f64.powi(-24)),
                    "{columns}, {place:?}: {found} {exact}"
                );
            }
        }
    }
}

#[test]
fn a_row_is_the_same_bits_wherever_it_stands() {
    for columns in [10, 100] {
        let problem = problem(columns);
        let alone = |row: usize| {
            let (mut gradient, mut value) = (vec![0.0; columns], [0.0]);
            let one = Problem {
                logits: Vec::new(),
                labels: vec![problem.labels[row]],
                mask: vec![problem.mask[row]],
            };
            let logits = &problem.logits[row * columns..][..columns];
            CrossEntropy::new()
                .run_f32(&rows(&one, logits, columns), &mut gradient, &mut value, &mut [])
                .unwrap();
            (gradient, value[0])
        };
        let (mut gradient, mut values) = (vec![0.0; ROWS * columns], vec![0.0; ROWS]);
        CrossEntropy::new()
            .run_f32(&rows(&problem, &problem.logits, columns), &mut gradient, &mut values, &mut [])
            .unwrap();
        for row in [0, 1, 17, 63, 69] {
            assert_eq!(
                (gradient[row * columns..][..columns].to_vec(), values[row]),
                alone(row),
                "row {row} of {columns}"
            );
        }
    }
}
