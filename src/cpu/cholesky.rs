//! Small symmetric positive definite systems.

use ndarray::{Array1, Array2};

/// Solves a symmetric positive definite system by Cholesky's decomposition; `None` if it is singular
/// or not positive.
pub(crate) fn solve_positive(
    mut matrix: Array2<f64>,
    mut right: Array1<f64>,
) -> Option<Array1<f64>> {
    let size = right.len();
    for column in 0..size {
        for row in column..size {
            let mut sum = matrix[[row, column]];
            for k in 0..column {
                sum -= matrix[[row, k]] * matrix[[column, k]];
            }
            if row == column {
                if sum.is_nan() || sum <= 0.0 {
                    return None;
                }
                matrix[[row, row]] = sum.sqrt();
            } else {
                matrix[[row, column]] = sum / matrix[[column, column]];
            }
        }
    }
    for row in 0..size {
        let mut sum = right[row];
        for k in 0..row {
            sum -= matrix[[row, k]] * right[k];
        }
        right[row] = sum / matrix[[row, row]];
    }
    for row in (0..size).rev() {
        let mut sum = right[row];
        for k in row + 1..size {
            sum -= matrix[[k, row]] * right[k];
        }
        right[row] = sum / matrix[[row, row]];
    }
    right.iter().all(|value| value.is_finite()).then_some(right)
}
