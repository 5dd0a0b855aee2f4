//! Named classes from all rows of a column.

use std::borrow::Cow;
use std::collections::HashSet;

use ndarray::Array1;

use crate::data::encoding::categories::{order, places, some};
use crate::data::table::table::Table;
use crate::data::table::{Cells, Column, Spot};
use crate::{Error, Result};

/// More distinct fractional numbers than this are quantities, not class names.
const MOST_FRACTIONS: usize = 20;

/// More classes than this are rejected as implausible, before memory is allocated for them.
const MOST_CLASSES: usize = 1 << 20;

/// The classes of a column, from all of its rows.
#[derive(Debug, Default)]
pub(super) struct ClassesFit {
    names: HashSet<String>,
    /// Bits of the distinct numeric classes.
    numbers: HashSet<u64>,
    /// The first number that is not whole, and whether it is infinite.
    odd: Option<(Spot, bool)>,
}

impl ClassesFit {
    pub(super) fn add(&mut self, table: &Table, column: &Column) -> Result<()> {
        match column.cells() {
            Cells::Numbers(numbers) => self.add_numbers(table, column, numbers),
            Cells::Words { codes, words } => {
                let mut stands = vec![false; words.len()];
                codes.iter().for_each(|&code| {
                    stands.get_mut(code as usize).into_iter().for_each(|it| *it = true)
                });
                self.names.extend(
                    words
                        .iter()
                        .zip(stands)
                        .filter(|(_, stands)| *stands)
                        .map(|(word, _)| word.clone()),
                );
            }
        }
        // Numbers that are not whole get a different error at the end.
        if self.odd.is_some() { Ok(()) } else { self.check_count(column.name()) }
    }

    fn add_numbers(&mut self, table: &Table, column: &Column, numbers: &[f64]) {
        let odd = numbers
            .iter()
            .position(|number| number.is_infinite() || number.fract() != 0.0 && !number.is_nan());
        if let (None, Some(row)) = (&self.odd, odd) {
            let spot = table.spot(row, column.name(), table.shown(column, row));
            self.odd = Some((spot, numbers[row].is_infinite()));
        }
        let has_written = column.has_written();
        for (row, number) in numbers.iter().enumerate().filter(|(_, number)| !number.is_nan()) {
            // Adding 0.0 turns −0 into 0.
            let is_new =
                self.numbers.len() <= MOST_CLASSES && self.numbers.insert((number + 0.0).to_bits());
            // `007` and `7` are two names of one number.
            if (is_new || has_written) && self.names.len() <= MOST_CLASSES {
                self.names.extend(column.text(row).map(Cow::into_owned));
            }
        }
    }

    fn check_count(&self, column: &str) -> Result<()> {
        check_count(column, self.names.len().max(self.numbers.len()))
    }

    /// The sorted names.
    pub(super) fn finish(self, column: &str) -> Result<Vec<String>> {
        let different = self.numbers.len();
        if let Some((spot, _)) =
            self.odd.clone().filter(|(_, is_infinite)| different > MOST_FRACTIONS || *is_infinite)
        {
            let spot = spot.with(&format!(", one of {different} different numbers"));
            return Err(spot.error("the name of a class, a word or a whole number; to predict the number itself take a loss of numbers (--loss mse, --loss huber)"));
        }
        self.check_count(column)?;
        let mut names: Vec<String> = self.names.into_iter().collect();
        names.sort_unstable_by(|one, other| order(one, other));
        Ok(names)
    }
}

fn check_count(column: &str, count: usize) -> Result<()> {
    if count <= MOST_CLASSES {
        return Ok(());
    }
    let found = format!("has {count} different values");
    let allowed = format!("at most {MOST_CLASSES} classes are taken");
    Err(Error::Input {
        operation: "data".into(),
        name: format!("target `{column}`"),
        found,
        allowed,
    })
}

pub(super) fn labels(
    table: &Table,
    column: &Column,
    classes: &[String],
    rows: &[usize],
) -> Result<Array1<i64>> {
    let label = |place: Result<Option<usize>, usize>| match place {
        // Blanks were rejected before.
        Ok(place) => Ok(place.map_or(-1, |place| place as i64)),
        Err(row) => {
            let class = column.word(row).unwrap_or_default();
            let expected = format!("one of the classes of the data to train on: {}", some(classes));
            Err(table.wrong_cell(row, column.name(), format!("class `{class}`"), &expected))
        }
    };
    places(column, classes, rows).into_iter().map(label).collect()
}
