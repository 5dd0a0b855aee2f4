//! Header detection: compares the first row of a table with the rows below it.

use crate::data::table::column::is_blank;
use crate::data::table::number;
use crate::data::table::number::Decimal;

/// True if the first of these rows is a header, with the reason if it is not obvious.
///
/// * A first row of 0, 1, 2 … is a header, as in pandas, unless all cells below consist of digits.
/// * Words above a numeric column, or a missing name, are a header.
/// * A number above a numeric column is data.
/// * Among words, a header's cell must not occur again in its column.
pub(super) fn has_header(rows: &[Vec<String>], decimal: Decimal) -> (bool, Option<&'static str>) {
    let Some((first, below)) = rows.split_first() else { return (false, None) };
    let is_number = |cell: &str| number::number(cell, decimal).is_some();
    if has_indices(rows) {
        return (true, Some("the first row, 0, 1, 2 …, is taken for the names of the columns"));
    }
    if first.iter().all(|cell| is_number(cell) || is_blank(cell))
        && first.iter().any(|cell| is_number(cell))
    {
        // pandas writes the row index without a name: `,0,1`.
        let is_index = first[0].is_empty()
            && first[1..].iter().enumerate().all(|(place, cell)| *cell == place.to_string())
            && below.iter().all(|row| row.first().is_some_and(|cell| !cell.is_empty()));
        return (is_index, None);
    }
    let (mut words_above_numbers, mut numbers, mut again) = (false, false, false);
    for (column, name) in first.iter().enumerate() {
        let mut cells = below
            .iter()
            .filter_map(|row| row.get(column))
            .filter(|cell| !is_blank(cell))
            .peekable();
        let (is_name, has_cells) = (!is_number(name), cells.peek().is_some());
        if !has_cells || cells.clone().all(|cell| is_number(cell)) {
            words_above_numbers |= is_name && has_cells;
            numbers |= !is_name && !is_blank(name);
        } else {
            again |= is_name && cells.any(|cell| cell == name);
        }
    }
    match (words_above_numbers, numbers, again) {
        (true, _, _) => (true, None),
        (false, true, _) => (
            false,
            Some(
                "the first row holds numbers: it is a row, and columns are named by their indices",
            ),
        ),
        (false, false, true) => (
            false,
            Some(
                "cells of the first row stand again below: it is a row, and columns are named by their indices",
            ),
        ),
        (false, false, false) => (true, None),
    }
}

/// True if the first of these rows is 0, 1, 2 … and not all cells below consist of digits.
pub(super) fn has_indices(rows: &[Vec<String>]) -> bool {
    let Some((first, below)) = rows.split_first() else { return false };
    let counts =
        first.len() > 1 && first.iter().enumerate().all(|(place, cell)| *cell == place.to_string());
    counts && below.iter().flatten().any(|cell| !cell.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The names in a header; blank ones are named as in pandas.
pub(super) fn names(first: &[String]) -> Vec<String> {
    let name = |(place, name): (usize, &String)| {
        if name.is_empty() {
            format!("Unnamed: {place}")
        } else {
            super::column::visible(name).into_owned()
        }
    };
    first.iter().enumerate().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> bool {
        let rows: Vec<Vec<String>> =
            text.lines().map(|line| line.split(',').map(ToString::to_string).collect()).collect();
        has_header(&rows, Decimal::Point).0
    }

    #[test]
    fn headers_are_distinguished_from_rows() {
        for text in [
            "a,b\n1,2",
            "0,1,2\n-1.038,0.980,0\n1.2,3,1",
            "0,1\n0.5,x\n",
            "id,2019,2020\n1,5,6\n2,7,8",
            ",a\n0,x\n1,y",
            ",0,1\n0,1.5,2\n1,2.5,3",
            "user,item\nx,y\nz,w",
            "a,b",
            "name,y\nx,\nz,5",
            "5,b\n,1\n",
        ] {
            assert!(found(text), "{text:?}");
        }
        for text in [
            "1,2\n3,4",
            "0,1,2\n1,2,3\n2,3,4",
            "5.3,3.0,setosa\n5.0,3.2,setosa",
            "A1,B1,2.0\nA2,B1,3.0",
            "M,0.455,15\nF,0.5,7",
            "yes,no\nno,no\nyes,yes",
            "1,\n2,3",
            "",
        ] {
            assert!(!found(text), "{text:?}");
        }
    }
}
