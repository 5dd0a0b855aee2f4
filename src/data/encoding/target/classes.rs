//! Classes by name, from all rows of a column.

use ndarray::Array1;

use super::super::super::table::{Cells, Column, Table};
use super::super::categories::{counted, places, some};
use super::super::numbers::sorted;
use crate::{Error, Result};

/// Different numbers that are not whole: more of them than this are quantities, not names of classes.
const MOST_FRACTIONS: usize = 20;

/// Classes above this are taken for something else, before memory is spent on them.
const MOST_CLASSES: usize = 1 << 20;

/// The names of the classes of a column, from all of its rows.
pub(super) fn classes(table: &Table, column: &Column) -> Result<Vec<String>> {
    let rows: Vec<usize> = (0..column.len()).collect();
    if let Cells::Numbers(numbers) = column.cells() {
        let mut different = sorted(numbers.iter().copied());
        different.dedup();
        let odd = numbers.iter().position(|number| number.is_infinite() || number.fract() != 0.0 && !number.is_nan());
        if let Some(row) = odd.filter(|&row| different.len() > MOST_FRACTIONS || numbers[row].is_infinite()) {
            let found = format!("{}, one of {} different numbers", table.shown(column, row), different.len());
            return Err(table.wrong_cell(row, column.name(), found, "the name of a class, a word or a whole number; to predict the number itself take a loss of numbers (--loss mse, --loss huber)"));
        }
        check_count(column, different.len())?;
    }
    let names: Vec<String> = counted(column, &rows).into_iter().map(|(name, _)| name).collect();
    check_count(column, names.len())?;
    Ok(names)
}

fn check_count(column: &Column, count: usize) -> Result<()> {
    if count <= MOST_CLASSES {
        return Ok(());
    }
    let found = format!("has {count} different values");
    let allowed = format!("at most {MOST_CLASSES} classes are taken");
    Err(Error::Input { operation: "data".into(), name: format!("target `{}`", column.name()), found, allowed })
}

pub(super) fn labels(table: &Table, column: &Column, classes: &[String], rows: &[usize]) -> Result<Array1<i64>> {
    let label = |place: Result<Option<usize>, usize>| match place {
        // Blanks were refused before.
        Ok(place) => Ok(place.map_or(-1, |place| place as i64)),
        Err(row) => {
            let class = column.word(row).unwrap_or_default();
            let expected = format!("one of the classes of the data to train on: {}", some(classes));
            Err(table.wrong_cell(row, column.name(), format!("class `{class}`"), &expected))
        }
    };
    places(column, classes, rows).into_iter().map(label).collect()
}
