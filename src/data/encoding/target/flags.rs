//! Binary target columns.

use ndarray::Array1;

use crate::Result;
use crate::data::encoding::categories::truth;
use crate::data::table::Column;
use crate::data::table::table::Table;

/// Index of the one column that is 1 in each row.
pub(super) fn one_hot(table: &Table, columns: &[&Column], rows: &[usize]) -> Result<Array1<i64>> {
    let label = |&row: &usize| {
        let flags: Vec<bool> =
            columns.iter().map(|column| flag(table, column, row)).collect::<Result<_>>()?;
        let set = flags.iter().filter(|flag| **flag).count();
        if set != 1 {
            let found = format!("{set} of the {} targets say yes", flags.len());
            let expected = "one, the row's class; rows with several labels want a loss such as bce_with_logits";
            return Err(table.wrong(&table.line_of(row), found, expected));
        }
        Ok(flags.iter().position(|flag| *flag).unwrap_or(0) as i64)
    };
    rows.iter().map(label).collect()
}

/// Parses a cell as yes or no.
pub(super) fn flag(table: &Table, column: &Column, row: usize) -> Result<bool> {
    let found = column.text(row).and_then(|text| match &*text {
        "1" => Some(true),
        "0" | "-1" => Some(false),
        word => truth(word),
    });
    found.ok_or_else(|| {
        table.wrong_cell(
            row,
            column.name(),
            table.shown(column, row),
            "0 or 1, true or false: the targets are labels that a row has or has not",
        )
    })
}

pub(super) fn check_flags(table: &Table, column: &Column) -> Result<()> {
    let mut known = (0..column.len()).filter(|&row| !column.is_blank(row));
    known.try_for_each(|row| flag(table, column, row).map(|_| ()))
}
