//! Interactions from the slices of sparse matrices.

use gradus::Result;
use gradus::recommend::Interactions;

#[test]
fn pairs_are_merged_in_any_order() {
    let expected = Interactions::weighted(2, 3, &[(0, 2, 3.0), (1, 0, 1.0)]).unwrap();
    let (rows, columns, weights) = ([0_u32, 1, 0, 1], [2_u32, 0, 2, 1], [1.0, 1.0, 2.0, 0.0]);
    assert_eq!(Interactions::from_coo(2, 3, &rows, &columns, &weights).unwrap(), expected);
    let (starts, columns, weights) = ([0_i32, 2, 4], [2_i32, 2, 1, 0], [1.0, 2.0, 0.0, 1.0]);
    assert_eq!(Interactions::from_csr(3, &starts, &columns, &weights).unwrap(), expected);
}

#[test]
fn entries_that_are_no_matrix_are_refused_by_name() {
    let message = |found: Result<Interactions>| found.unwrap_err().to_string();
    let found = message(Interactions::from_coo(2, 2, &[0, -1], &[0, 0], &[1.0, 1.0]));
    assert!(found.contains("the user of number 1 is -1"), "{found}");
    let found = message(Interactions::from_coo(2, 2, &[0_i64], &[0, 1], &[1.0]));
    assert!(found.contains("rows and columns are 1 and 2"), "{found}");
    let found = message(Interactions::from_coo(2, 2, &[0], &[2], &[1.0]));
    assert!(found.contains("0 to 1"), "{found}");
    for starts in [&[0, 2][..], &[1, 1], &[0, 2, 1], &[]] {
        let found = message(Interactions::from_csr(2, starts, &[0], &[1.0]));
        assert!(found.contains("ascend from 0 to 1"), "{found}");
    }
    let found = message(Interactions::from_csr(2, &[0, 1], &[0], &[f32::NAN]));
    assert!(found.contains("NaN"), "{found}");
}

#[test]
fn weights_that_add_up_to_nothing_are_left_out() {
    let found = Interactions::from_csr(3, &[0_i64, 3, 3], &[1, 1, 0], &[1.5, -1.5, -2.0]);
    assert_eq!(found.unwrap(), Interactions::weighted(2, 3, &[(0, 0, -2.0)]).unwrap());
}
