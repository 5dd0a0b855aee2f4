//! Interactions from sparse matrices: CSR and COO, as scipy has them.

use std::fmt::Display;

use crate::recommend::interactions::Interactions;
use crate::{Error, Result};

/// Entries in order: the weight of a pair that occurs several times is the sum, in their order.
fn merged(mut entries: Vec<(u32, u32, f32)>) -> Vec<(u32, u32, f32)> {
    entries.sort_by_key(|&(user, item, _)| (user, item)); // stable
    entries.dedup_by(|next, kept| {
        let is_same = (next.0, next.1) == (kept.0, kept.1);
        if is_same {
            kept.2 += next.2;
        }
        is_same
    });
    entries.retain(|&(_, _, weight)| weight != 0.0);
    entries
}

fn refused(name: String, found: String, allowed: &str) -> Error {
    Error::Input { operation: "interactions".into(), name, found, allowed: allowed.into() }
}

/// An index as u32, which the constructor compares with the size.
fn index<I: Copy + Display + TryInto<u32>>(name: &str, number: usize, found: I) -> Result<u32> {
    found.try_into().map_err(|_| {
        let name = format!("the {name} of number {number}");
        refused(name, format!("is {found}"), "it must be 0 or more and fit 32 bits")
    })
}

fn check_lengths(names: [&str; 2], found: [usize; 2]) -> Result<()> {
    if found[0] == found[1] {
        return Ok(());
    }
    let allowed = "there must be as many of both";
    Err(refused(
        format!("{} and {}", names[0], names[1]),
        format!("are {} and {}", found[0], found[1]),
        allowed,
    ))
}

impl Interactions {
    /// From the entries of a sparse matrix [users, items] in coordinates: entry k is the weight of
    /// user `rows[k]` and item `columns[k]`, in any order. Weights of a pair that occurs several
    /// times are added up, and pairs of weight 0 are left out: scipy's `coo_array` (`row`, `col`,
    /// `data`; indices of i32 or i64).
    ///
    /// ```
    /// use gradus::recommend::Interactions;
    /// let chosen = Interactions::from_coo(2, 3, &[0, 1, 0, 1], &[2, 0, 2, 1], &[1.0, 1.0, 2.0, 0.0])?;
    /// assert_eq!(chosen, Interactions::weighted(2, 3, &[(0, 2, 3.0), (1, 0, 1.0)])?);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Interactions::weighted`] but for duplicates and zeros; [`Error::Input`] if the slices
    /// differ in length.
    pub fn from_coo<I: Copy + Display + TryInto<u32>>(
        users: usize,
        items: usize,
        rows: &[I],
        columns: &[I],
        weights: &[f32],
    ) -> Result<Self> {
        check_lengths(["rows", "columns"], [rows.len(), columns.len()])?;
        check_lengths(["columns", "weights"], [columns.len(), weights.len()])?;
        let entry = |number: usize| {
            let user = index("user", number, rows[number])?;
            Ok((user, index("item", number, columns[number])?, weights[number]))
        };
        let entries = (0..rows.len()).map(entry).collect::<Result<Vec<_>>>()?;
        Self::weighted(users, items, &merged(entries))
    }

    /// From a sparse matrix [users, items] in compressed rows: the entries of user u are those from
    /// `starts[u]` to `starts[u + 1]`, in any order. As [`Interactions::from_coo`]: scipy's `csr_array`
    /// (`indptr`, `indices`, `data`).
    ///
    /// ```
    /// use gradus::recommend::Interactions;
    /// let chosen = Interactions::from_csr(3, &[0, 2, 3], &[2, 2, 0], &[1.0, 2.0, 1.0])?;
    /// assert_eq!(chosen, Interactions::weighted(2, 3, &[(0, 2, 3.0), (1, 0, 1.0)])?);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Interactions::from_coo`]; [`Error::Input`] if the starts do not ascend from 0 to the number
    /// of entries.
    pub fn from_csr<I: Copy + Display + TryInto<u32>>(
        items: usize,
        starts: &[I],
        columns: &[I],
        weights: &[f32],
    ) -> Result<Self> {
        check_lengths(["columns", "weights"], [columns.len(), weights.len()])?;
        let number = |(user, &start): (usize, &I)| index("start", user, start).map(|s| s as usize);
        let starts = starts.iter().enumerate().map(number).collect::<Result<Vec<_>>>()?;
        let ascends = starts.windows(2).all(|two| two[0] <= two[1]);
        if starts.first() != Some(&0) || starts.last() != Some(&columns.len()) || !ascends {
            let found = format!("are {} numbers that do not fit", starts.len());
            let allowed = format!("they must ascend from 0 to {}, the entries", columns.len());
            return Err(refused("starts".into(), found, &allowed));
        }
        let users = starts.len() - 1;
        let of_user = |user: usize| starts[user]..starts[user + 1];
        let places = (0..users).flat_map(|user| of_user(user).map(move |place| (user, place)));
        let entry = |(user, place): (usize, usize)| {
            let user = index("user", place, user)?;
            Ok((user, index("item", place, columns[place])?, weights[place]))
        };
        let entries = places.map(entry).collect::<Result<Vec<_>>>()?;
        Self::weighted(users, items, &merged(entries))
    }
}
