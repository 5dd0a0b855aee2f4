//! Matrix product of views with strides, on the calling thread: the inner step of operations that
//! split their work over threads themselves.

use crate::cpu::real::Real;
use crate::{Error, Result};

/// A matrix in a slice: element (i, j) is at `i * row + j * column`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a, R> {
    pub values: &'a [R],
    pub row: usize,
    pub column: usize,
}

/// As [`View`], written.
#[derive(Debug)]
pub(crate) struct ViewMut<'a, R> {
    pub values: &'a mut [R],
    pub row: usize,
    pub column: usize,
}

/// True if a matrix of these sides lies inside a slice of this length.
fn fits([rows, columns]: [usize; 2], [row, column]: [usize; 2], length: usize) -> bool {
    if rows == 0 || columns == 0 {
        return true;
    }
    let last = (rows - 1).checked_mul(row).zip((columns - 1).checked_mul(column));
    last.and_then(|(down, across)| down.checked_add(across)).is_some_and(|last| last < length)
}

/// `output[m, n] = left[m, k] · right[k, n]`, or `+=` with `accumulate`. f32 uses the crate `gemm`,
/// f64 plain loops. The order of the sum depends only on the shape.
///
/// # Errors
/// [`Error::Shape`] if a view reaches beyond its slice.
pub(crate) fn product<R: Real>(
    [m, n, k]: [usize; 3],
    left: View<R>,
    right: View<R>,
    output: ViewMut<R>,
    accumulate: bool,
) -> Result<()> {
    let is_inside = fits([m, k], [left.row, left.column], left.values.len())
        && fits([k, n], [right.row, right.column], right.values.len())
        && fits([m, n], [output.row, output.column], output.values.len());
    if !is_inside {
        return Err(Error::Shape {
            operation: "a product of views".into(),
            found: format!(
                "slices of {}, {} and {} elements",
                left.values.len(),
                right.values.len(),
                output.values.len()
            ),
            allowed: format!("matrices {m} x {k}, {k} x {n} and {m} x {n} inside them"),
        });
    }
    if m == 0 || n == 0 || (k == 0 && accumulate) {
        return Ok(());
    }
    let (rows, columns) = (output.row, output.column);
    match (R::as_single(left.values), R::as_single(right.values)) {
        (Some(a), Some(b)) if k > 0 => {
            if let Some(c) = R::as_single_mut(output.values) {
                // SAFETY: every element of the three matrices lies inside its slice (checked
                // above); `c` is borrowed mutably, so it overlaps neither operand; slices are below
                // isize::MAX bytes, so the casts of strides that stay inside them are exact (a
                // stride along a side of one element is never used).
                unsafe {
                    gemm::gemm(
                        m,
                        n,
                        k,
                        c.as_mut_ptr(),
                        columns as isize,
                        rows as isize,
                        accumulate,
                        a.as_ptr(),
                        left.column as isize,
                        left.row as isize,
                        b.as_ptr(),
                        right.column as isize,
                        right.row as isize,
                        1.0, // output ← 1·output + 1·left·right; the first only if accumulating
                        1.0,
                        false,
                        false,
                        false,
                        gemm::Parallelism::None,
                    );
                }
            }
        }
        _ => {
            for i in 0..m {
                for j in 0..n {
                    let place = i * rows + j * columns;
                    let mut sum = if accumulate { output.values[place] } else { R::ZERO };
                    for p in 0..k {
                        sum += left.values[i * left.row + p * left.column]
                            * right.values[p * right.row + j * right.column];
                    }
                    output.values[place] = sum;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_precisions_give_the_product_of_views_and_refuse_what_is_outside() {
        // [1 2 3; 4 5 6] stored by columns, times columns 1 and 2 of a matrix of 4 columns.
        let left = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0];
        let right = [0.0, 7.0, 8.0, 0.0, 0.0, 9.0, 10.0, 0.0, 0.0, 11.0, 12.0];
        let single = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (left_single, right_single) = (single(&left), single(&right));
        for accumulate in [false, true] {
            let (mut exact, mut found) = ([1.0_f64; 6], [1.0_f32; 6]);
            let left = View { values: &left, row: 1, column: 2 };
            let right = View { values: &right[1..], row: 4, column: 1 };
            let output = ViewMut { values: &mut exact[..], row: 3, column: 1 };
            product([2, 2, 3], left, right, output, accumulate).unwrap();
            let left = View { values: &left_single[..], row: 1, column: 2 };
            let right = View { values: &right_single[1..], row: 4, column: 1 };
            let output = ViewMut { values: &mut found[..], row: 3, column: 1 };
            product([2, 2, 3], left, right, output, accumulate).unwrap();
            let one = f64::from(u8::from(accumulate));
            let expected = [58.0 + one, 64.0 + one, 1.0, 139.0 + one, 154.0 + one, 1.0];
            assert_eq!(exact, expected);
            assert_eq!(found.map(f64::from), expected);
            let short = View { values: &left_single[..5], row: 1, column: 2 };
            let output = ViewMut { values: &mut found[..], row: 3, column: 1 };
            let error = product([2, 2, 3], short, right, output, accumulate).unwrap_err();
            assert!(error.to_string().contains("slices of 5, 10 and 6 elements"), "{error}");
        }
    }
}
