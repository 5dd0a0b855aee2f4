//! The targets as the file has them.

use std::collections::HashMap;

use crate::data::{Cells, Column};

/// The targets of the rows that have all of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answers {
    /// A word for each row: its place among the names.
    Words { codes: Vec<usize>, names: Vec<String> },
    /// Numbers: a list for each target column.
    Numbers { columns: Vec<String>, values: Vec<Vec<f64>> },
}

impl Answers {
    /// The targets of some rows of columns, none of them blank there.
    pub(super) fn of(columns: &[&Column], rows: &[usize]) -> Self {
        if let [column] = columns
            && let Cells::Words { .. } = column.cells()
        {
            let mut places: HashMap<String, usize> = HashMap::new();
            let mut names = Vec::new();
            let code = |&row: &usize| {
                let text = column.text(row).unwrap_or_default().into_owned();
                *places.entry(text.clone()).or_insert_with(|| {
                    names.push(text);
                    names.len() - 1
                })
            };
            let codes = rows.iter().map(code).collect();
            return Answers::Words { codes, names };
        }
        let values = columns.iter().map(|column| numbers(column, rows)).collect();
        let columns = columns.iter().map(|column| column.name().to_string()).collect();
        Answers::Numbers { columns, values }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        match self {
            Answers::Words { codes, .. } => codes.len(),
            Answers::Numbers { values, .. } => values.first().map_or(0, Vec::len),
        }
    }
}

/// Numbers of a column; words such as `true` are 1 and 0, others NaN.
fn numbers(column: &Column, rows: &[usize]) -> Vec<f64> {
    let number = |&row: &usize| match column.cells() {
        Cells::Numbers(numbers) => numbers[row],
        Cells::Words { .. } => {
            match column.text(row).as_deref().map(str::to_lowercase).as_deref() {
                Some("true" | "yes" | "t" | "y" | "1") => 1.0,
                Some("false" | "no" | "f" | "n" | "0" | "-1") => 0.0,
                _ => f64::NAN,
            }
        }
    };
    rows.iter().map(number).collect()
}

/// The different values in ascending order, with the number of rows of each.
pub(super) fn levels(values: &[f64]) -> Vec<(f64, usize)> {
    let sorted = crate::advise::moments::sorted(values);
    sorted.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len())).collect()
}

/// The place of each value among the levels.
pub(super) fn codes(values: &[f64], levels: &[(f64, usize)]) -> Vec<usize> {
    // By value: −0 and 0 are one level, whichever of them names it.
    let place = |value: &f64| levels.partition_point(|(level, _)| level < value);
    values.iter().map(|value| place(value).min(levels.len() - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_either_sign_are_one_level() {
        for zeros in [[0.0, -0.0], [-0.0, 0.0]] {
            let values = [zeros[0], -1.0, zeros[1], 2.0];
            let found = levels(&values);
            assert_eq!(found.len(), 3);
            assert_eq!(codes(&values, &found), [1, 0, 1, 2]);
        }
    }
}
