//! One column of a table as some columns of numbers.

use ndarray::{ArrayViewMut2, Axis};
use serde::{Deserialize, Serialize};

use super::super::table::{Cells, Column, Table};
use super::categories::{counted, most_frequent, places, truth};
use super::lists::{are_distinct, holds_lists, lists, write_lists};
use super::numbers::{mean_and_deviation, quantile, sorted};
use super::{ColumnReport, EncodingOptions};
use crate::Result;

/// Of a column of which so many cells are numbers a word is taken for a fault of the file.
const NEARLY_ALL: f64 = 0.9;

/// So many different numbers beside a word are no names of categories.
const MANY_NUMBERS: usize = 8;

/// A column and what is done with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Feature {
    column: String,
    encoded: Encoded,
    /// Blanks among the rows that it was fitted on.
    blanks: usize,
    /// Whether a blank is 0 in all of its columns.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sparse: bool,
}

/// What a column becomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoded {
    /// (x − mean) / scale.
    Number { mean: f64, scale: f64, fill: f64 },
    /// 1 for true, 0 for false.
    Truth { fill: bool },
    /// A column for each word, and one for all others if there were such.
    Words { words: Vec<String>, others: usize, fill: usize },
    /// A column for each word that a cell lists; some rarer ones may have none.
    Lists { words: Vec<String>, separator: char, rarer: usize },
    /// Nothing, and why.
    Nothing { reason: String },
}

impl Feature {
    pub(super) fn fit(
        table: &Table,
        place: usize,
        column: &Column,
        rows: &[usize],
        options: &EncodingOptions,
    ) -> Result<Self> {
        let blanks = rows.iter().filter(|&&row| column.is_blank(row)).count();
        let nothing = |reason: &str| Encoded::Nothing { reason: reason.into() };
        let encoded = match column.cells() {
            _ if blanks == rows.len() => nothing("blank in all rows"),
            Cells::Numbers(numbers) if place == 0 && is_index(column, numbers) => {
                nothing("the index of the rows, under no name")
            }
            Cells::Numbers(numbers) if options.sparse && are_flags(numbers, rows) => {
                Encoded::Number { mean: 0.0, scale: 1.0, fill: 0.0 }
            }
            Cells::Numbers(numbers) => number(table, column, numbers, rows, options.standardize)?,
            Cells::Words { .. } => match options.lists.filter(|&separator| holds_lists(column, rows, separator)) {
                Some(separator) => lists(column, rows, separator, options),
                None => words(table, column, rows, blanks, options)?,
            },
        };
        let encoded = match &encoded {
            Encoded::Number { scale, fill, .. } if *scale == 0.0 && blanks == 0 => {
                nothing(&format!("{fill} in all rows"))
            }
            Encoded::Words { words, .. } if words.len() == 1 && blanks == 0 => {
                nothing(&format!("`{}` in all rows", words[0]))
            }
            Encoded::Number { scale, mean, fill } if *scale == 0.0 => {
                // Where a blank is 0, what is not blank must be something else.
                Encoded::Number { scale: 1.0, mean: mean - f64::from(options.sparse), fill: *fill }
            }
            _ => encoded,
        };
        Ok(Feature { column: column.name().into(), encoded, blanks, sparse: options.sparse })
    }

    /// The table's column.
    pub(super) fn name(&self) -> &str {
        &self.column
    }

    /// Whether a cell is blank to what the column was in training: `-` is one among numbers, and a word among words.
    fn is_blank(&self, column: &Column, row: usize) -> bool {
        match &self.encoded {
            Encoded::Words { .. } | Encoded::Truth { .. } | Encoded::Lists { .. } => column.word(row).is_none(),
            _ => column.is_blank(row),
        }
    }

    /// Whether it is of numbers that are brought to mean 0 and deviation 1.
    pub(super) fn is_standardized(&self) -> bool {
        matches!(&self.encoded, Encoded::Number { mean, scale, .. } if (*mean, *scale) != (0.0, 1.0))
    }

    /// How many columns it becomes.
    pub(super) fn width(&self) -> usize {
        let own = match &self.encoded {
            Encoded::Number { .. } | Encoded::Truth { .. } => 1,
            Encoded::Words { words, others, .. } => words.len() + usize::from(*others > 0),
            Encoded::Lists { words, .. } => words.len(),
            Encoded::Nothing { .. } => return 0,
        };
        own + usize::from(self.marks_blanks())
    }

    /// Whether a column says where a blank was filled.
    fn marks_blanks(&self) -> bool {
        self.blanks > 0 && !self.sparse
    }

    /// What they are called.
    pub(super) fn names(&self) -> Vec<String> {
        let column = &self.column;
        let mut names = match &self.encoded {
            Encoded::Number { .. } | Encoded::Truth { .. } => vec![column.clone()],
            Encoded::Words { words, .. } | Encoded::Lists { words, .. } => {
                words.iter().map(|word| format!("{column}={word}")).collect()
            }
            Encoded::Nothing { .. } => return Vec::new(),
        };
        if matches!(&self.encoded, Encoded::Words { others, .. } if *others > 0) {
            names.push(format!("{column}=(others)"));
        }
        if self.marks_blanks() {
            names.push(format!("{column} is blank"));
        }
        names
    }

    /// Writes the columns of some rows of a table's column.
    pub(super) fn encode(
        &self,
        table: &Table,
        column: &Column,
        rows: &[usize],
        mut to: ArrayViewMut2<f32>,
    ) -> Result<()> {
        if self.marks_blanks() {
            let last = to.ncols() - 1;
            for (cell, &row) in to.column_mut(last).iter_mut().zip(rows) {
                *cell = f32::from(self.is_blank(column, row));
            }
        }
        match &self.encoded {
            Encoded::Number { mean, scale, fill } => {
                let values = values(table, column, rows)?;
                for ((cell, value), &row) in to.column_mut(0).iter_mut().zip(values).zip(rows) {
                    let value = if value.is_nan() { *fill } else { value };
                    *cell = ((value - mean) / scale) as f32;
                    if !cell.is_finite() {
                        let expected = "a number that is finite in f32; clean or drop such rows";
                        return Err(table.wrong_cell(row, &self.column, table.shown(column, row), expected));
                    }
                }
            }
            Encoded::Truth { fill } => {
                for (cell, &row) in to.column_mut(0).iter_mut().zip(rows) {
                    let is_true = match column.word(row) {
                        None => *fill,
                        Some(text) => as_truth(&text).ok_or_else(|| {
                            let expected = "true or false, as in the data that the model was trained on";
                            table.wrong_cell(row, &self.column, table.shown(column, row), expected)
                        })?,
                    };
                    *cell = f32::from(is_true);
                }
            }
            Encoded::Words { words, others, fill } => {
                let places = places(column, words, rows);
                for (mut row, place) in to.axis_iter_mut(Axis(0)).zip(places) {
                    match place {
                        Ok(place) => row[place.unwrap_or(*fill)] = 1.0,
                        Err(_) if *others > 0 => row[words.len()] = 1.0,
                        // None of the words is what it is.
                        Err(_) => {}
                    }
                }
            }
            Encoded::Lists { words, separator, .. } => write_lists(column, rows, words, *separator, &mut to),
            Encoded::Nothing { .. } => {}
        }
        if self.sparse {
            let blank = to.axis_iter_mut(Axis(0)).zip(rows).filter(|(_, row)| self.is_blank(column, **row));
            blank.for_each(|(mut cells, _)| cells.fill(0.0));
        }
        Ok(())
    }

    /// What stands in a column that did not in the rows that were fitted.
    pub(super) fn surprise(&self, table: &Table, column: &Column) -> Option<String> {
        let rows: Vec<usize> = (0..column.len()).collect();
        if let Encoded::Words { words, others: 0, .. } = &self.encoded {
            let unknown: Vec<usize> = places(column, words, &rows).into_iter().filter_map(Result::err).collect();
            if let Some(&first) = unknown.first() {
                let (count, line) = (unknown.len(), table.line_of(first));
                let text = column.word(first).unwrap_or_default();
                return Some(format!(
                    "column `{}`: {count} row(s) hold words that were not there in training (`{text}` in {line}); they count as none of the known",
                    self.column
                ));
            }
        }
        let blank =
            rows.iter().find(|&&row| self.is_blank(column, row)).filter(|_| self.blanks == 0 && !self.sparse)?;
        let count = rows.iter().filter(|&&row| self.is_blank(column, row)).count();
        let with = match &self.encoded {
            Encoded::Number { fill, .. } => fill.to_string(),
            Encoded::Truth { fill } => fill.to_string(),
            Encoded::Words { words, fill, .. } => format!("`{}`", words[*fill]),
            Encoded::Lists { .. } | Encoded::Nothing { .. } => return None,
        };
        let line = table.line_of(*blank);
        Some(format!(
            "column `{}`: {count} blank(s), the first in {line}, filled with {with}; training had none",
            self.column
        ))
    }

    pub(super) fn report(&self) -> ColumnReport {
        ColumnReport::of_feature(&self.column, &self.encoded, (self.blanks, self.sparse), self.width())
    }
}

/// Whether all numbers are 0 or 1.
fn are_flags(numbers: &[f64], rows: &[usize]) -> bool {
    let is_flag = |number: f64| number == 0.0 || number == 1.0 || number.is_nan();
    // A single value is left to the rule for such.
    rows.iter().all(|&row| is_flag(numbers[row]))
        && [0.0, 1.0].iter().all(|flag| rows.iter().any(|&row| numbers[row] == *flag))
}

/// pandas writes the index of the rows as a first column without a name.
fn is_index(column: &Column, numbers: &[f64]) -> bool {
    let first = numbers.first().copied().unwrap_or(f64::NAN);
    column.name() == "Unnamed: 0" && numbers.iter().enumerate().all(|(row, &number)| number == first + row as f64)
}

fn number(table: &Table, column: &Column, numbers: &[f64], rows: &[usize], standardize: bool) -> Result<Encoded> {
    let known: Vec<f64> = rows.iter().map(|&row| numbers[row]).filter(|number| !number.is_nan()).collect();
    if let Some(&row) = rows.iter().find(|&&row| numbers[row].is_infinite()) {
        let expected = "a finite number; clean or drop such rows, or leave the cell empty";
        return Err(table.wrong_cell(row, column.name(), table.shown(column, row), expected));
    }
    let (mean, deviation) = mean_and_deviation(&known);
    let fill = quantile(&sorted(known.iter().copied()), 0.5);
    // A column of one value is told by its scale of 0 until its blanks were looked at.
    let (mean, scale) = if standardize || deviation == 0.0 { (mean, deviation) } else { (0.0, 1.0) };
    Ok(Encoded::Number { mean, scale, fill })
}

fn words(table: &Table, column: &Column, rows: &[usize], blanks: usize, options: &EncodingOptions) -> Result<Encoded> {
    let counted = counted(column, rows);
    let known = rows.len() - blanks;
    let most = |counted: &[(String, usize)]| {
        let best = counted.iter().map(|(_, count)| *count).max();
        counted.iter().position(|(_, count)| Some(*count) == best).unwrap_or(0)
    };
    if counted.iter().all(|(word, _)| truth(word).is_some()) && counted.len() == 2 {
        return Ok(Encoded::Truth { fill: truth(&counted[most(&counted)].0).unwrap_or(false) });
    }
    check_numbers(table, column)?;
    let different = |counted: usize| Encoded::Nothing { reason: format!("{counted} different words in {known} rows") };
    if options.sparse && are_distinct(counted.len(), known) {
        return Ok(different(counted.len()));
    }
    if counted.len() <= options.categories {
        let fill = most(&counted);
        return Ok(Encoded::Words { words: counted.into_iter().map(|(word, _)| word).collect(), others: 0, fill });
    }
    if 2 * counted.len() > known {
        return Ok(different(counted.len()));
    }
    let all = counted.len();
    let kept = most_frequent(counted, options.categories);
    let others = all - kept.len();
    let fill = most(&kept);
    Ok(Encoded::Words { words: kept.into_iter().map(|(word, _)| word).collect(), others, fill })
}

/// Refuses a word in a column that is of numbers otherwise: as a category of its own it would make one of each number.
pub(super) fn check_numbers(table: &Table, column: &Column) -> Result<()> {
    let Cells::Words { codes, words } = column.cells() else { return Ok(()) };
    let is_number: Vec<bool> = words.iter().map(|word| word.parse::<f64>().is_ok_and(f64::is_finite)).collect();
    let different = is_number.iter().filter(|is| **is).count();
    let is_known = |row: &usize| !column.is_blank(*row);
    let known = (0..codes.len()).filter(is_known).count();
    let numbers = (0..codes.len()).filter(is_known).filter(|&row| is_number[codes[row] as usize]).count();
    if different < MANY_NUMBERS || (numbers as f64) < NEARLY_ALL * known as f64 {
        return Ok(());
    }
    let Some(row) = (0..codes.len()).filter(is_known).find(|&row| !is_number[codes[row] as usize]) else {
        return Ok(());
    };
    let expected = format!(
        "a number, as in {numbers} of the {known} cells; mend it, leave it empty, say --decimal if it is one, or leave the column out"
    );
    Err(table.wrong_cell(row, column.name(), table.shown(column, row), &expected))
}

fn as_truth(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => truth(text),
    }
}

/// The cells as numbers, blanks as NaN.
fn values(table: &Table, column: &Column, rows: &[usize]) -> Result<Vec<f64>> {
    match column.cells() {
        Cells::Numbers(numbers) => Ok(rows.iter().map(|&row| numbers[row]).collect()),
        Cells::Words { codes, words } => {
            let value: Vec<Option<f64>> =
                words.iter().map(|word| word.parse().ok().filter(|number: &f64| number.is_finite())).collect();
            let expected = "a number, as in the data that the model was trained on";
            let of = |&row: &usize| match column.is_blank(row) {
                true => Ok(f64::NAN),
                false => value[codes[row] as usize]
                    .ok_or_else(|| table.wrong_cell(row, column.name(), table.shown(column, row), expected)),
            };
            rows.iter().map(of).collect()
        }
    }
}
