//! The order of shuffled rows.

use crate::cpu::random::Permutation;
use crate::{Error, Result};

/// Shuffled row indices: `Permutation::new(rows, seed, 0)`, as in [`Dataset::shuffled`](crate::data::Dataset::shuffled).
///
/// # Errors
/// [`Error::TooLarge`] beyond 2³² rows.
pub fn shuffled_rows(rows: usize, seed: u64) -> Result<Vec<usize>> {
    let length = most_rows(rows)?;
    let permutation = Permutation::new(length, seed, 0);
    Ok((0..length).map(|index| permutation.at(index) as usize).collect())
}

/// Checks that the number of rows can be shuffled.
pub(super) fn most_rows(rows: usize) -> Result<u32> {
    u32::try_from(rows).map_err(|_| Error::TooLarge {
        name: "the order of the rows".into(),
        bytes: 4 * rows as u64,
        limit: 4 * u64::from(u32::MAX),
        advice: "take fewer rows".into(),
    })
}
