//! Encoding of one table column as one or several numeric columns.

use std::collections::HashSet;

use ndarray::{ArrayViewMut2, Axis};
use serde::{Deserialize, Serialize};

use crate::data::encoding::categories::{AmongNumbers, Counts, most_frequent, places, truth};
use crate::data::encoding::encoded::Encoded;
use crate::data::encoding::lists::{are_distinct, holds_lists, lists, write_lists};
use crate::data::encoding::numbers::{LARGEST, Memory, Moments, Quantiles};
use crate::data::encoding::options::EncodingOptions;
use crate::data::encoding::report::{ColumnReport, EncodedColumn};
use crate::data::table::table::Table;
use crate::data::table::{Cells, Column};
use crate::{Error, Result};

/// A column and its encoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Feature {
    column: String,
    encoded: Encoded,
    /// Number of blanks among the rows that it was fitted on.
    blanks: usize,
    /// True if a blank is 0 in all of its encoded columns.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sparse: bool,
    /// True if its numbers merely identify the rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_identifier: bool,
}

impl Feature {
    /// Name of the table column.
    pub(super) fn name(&self) -> &str {
        &self.column
    }

    /// True if a cell is blank by the column's type in training: `-` is blank among numbers, and a
    /// word among words.
    fn is_blank(&self, column: &Column, row: usize) -> bool {
        match &self.encoded {
            Encoded::Words { .. } | Encoded::Truth { .. } | Encoded::Lists { .. } => {
                column.word(row).is_none()
            }
            _ => column.is_blank(row),
        }
    }

    /// True for numbers standardized to mean 0 and standard deviation 1.
    pub(super) fn is_standardized(&self) -> bool {
        matches!(&self.encoded, Encoded::Number { mean, scale, .. } if (*mean, *scale) != (0.0, 1.0))
    }

    /// Number of encoded columns.
    pub(super) fn width(&self) -> usize {
        let own = match &self.encoded {
            Encoded::Number { .. } | Encoded::Truth { .. } => 1,
            Encoded::Words { words, others, .. } => words.len() + usize::from(*others > 0),
            Encoded::Lists { words, .. } => words.len(),
            Encoded::Nothing { .. } => return 0,
        };
        own + usize::from(self.marks_blanks())
    }

    /// True if an extra column marks the filled blanks.
    fn marks_blanks(&self) -> bool {
        self.blanks > 0 && !self.sparse
    }

    /// Names of the encoded columns.
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

    /// The encoded columns, with the unit of the numbers.
    pub(super) fn encoded_columns(&self) -> Vec<EncodedColumn> {
        let unit = |place: usize| match &self.encoded {
            Encoded::Number { mean, scale, .. } if place == 0 => Some([*mean, *scale]),
            _ => None,
        };
        let column =
            |(place, name)| EncodedColumn { name, column: self.column.clone(), unit: unit(place) };
        self.names().into_iter().enumerate().map(column).collect()
    }

    /// Encodes some rows of a table column.
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
                        return Err(table.wrong_cell(
                            row,
                            &self.column,
                            table.shown(column, row),
                            expected,
                        ));
                    }
                }
            }
            Encoded::Truth { fill } => {
                for (cell, &row) in to.column_mut(0).iter_mut().zip(rows) {
                    let is_true = match column.word(row) {
                        None => *fill,
                        Some(text) => as_truth(&text).ok_or_else(|| {
                            let expected =
                                "true or false, as in the data that the model was trained on";
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
                        // An unknown word: all columns stay 0.
                        Err(_) => {}
                    }
                }
            }
            Encoded::Lists { words, separator, .. } => {
                write_lists(column, rows, words, *separator, &mut to)
            }
            Encoded::Nothing { .. } => {}
        }
        if self.sparse {
            let blank =
                to.axis_iter_mut(Axis(0)).zip(rows).filter(|(_, row)| self.is_blank(column, **row));
            blank.for_each(|(mut cells, _)| cells.fill(0.0));
        }
        Ok(())
    }

    /// Describes cells unlike any in the rows that it was fitted on.
    pub(super) fn surprise(&self, table: &Table, column: &Column) -> Option<String> {
        let rows: Vec<usize> = (0..column.len()).collect();
        if let Encoded::Words { words, others: 0, .. } = &self.encoded {
            let unknown: Vec<usize> =
                places(column, words, &rows).into_iter().filter_map(Result::err).collect();
            if let Some(&first) = unknown.first() {
                let (count, line) = (unknown.len(), table.line_of(first));
                let text = column.word(first).unwrap_or_default();
                return Some(format!(
                    "column `{}`: {count} row(s) hold words that were not there in training (`{text}` in {line}); they count as none of the known",
                    self.column
                ));
            }
        }
        let blank = rows
            .iter()
            .find(|&&row| self.is_blank(column, row))
            .filter(|_| self.blanks == 0 && !self.sparse)?;
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
        let report = ColumnReport::of_feature(
            &self.column,
            &self.encoded,
            (self.blanks, self.sparse),
            self.width(),
        );
        ColumnReport { is_identifier: self.is_identifier, ..report }
    }
}

/// Statistics of a column, accumulated row by row.
#[derive(Debug)]
pub(super) struct FeatureFit {
    column: String,
    /// Number of training rows, and of blanks among them.
    rows: usize,
    blanks: usize,
    /// The number in the first row, as long as the column may be the row index.
    index: Option<f64>,
    /// Number of rows seen, including those not trained on.
    seen: usize,
    numbering: Numbering,
    cells: CellsFit,
}

/// Detects columns whose numbers may be row numbers or ids.
#[derive(Debug)]
struct Numbering {
    /// The number in the first row, as long as each number is one more than the previous.
    first: Option<f64>,
    /// The numbers of a column with a name like `id`, as long as they are whole and distinct.
    different: Option<HashSet<u64>>,
}

impl Numbering {
    fn new(name: &str) -> Self {
        let name = name.to_lowercase();
        let is_named =
            ["id", "index", "row", "rowid", "uuid"].contains(&&*name) || name.ends_with("_id");
        Numbering { first: Some(f64::NAN), different: is_named.then(HashSet::new) }
    }

    fn add(&mut self, numbers: &[f64], seen: usize) {
        if let (0, Some(&number)) = (seen, numbers.first()) {
            self.first = [0.0, 1.0].contains(&number).then_some(number);
        }
        let counts = |first: &f64| {
            numbers.iter().zip(seen..).all(|(&number, row)| number == first + row as f64)
        };
        self.first = self.first.filter(counts);
        // Beyond this count the evidence is sufficient.
        if let Some(different) =
            self.different.as_mut().filter(|different| different.len() < MOST_NUMBERS)
        {
            let is_new = |number: &f64| number.fract() == 0.0 && different.insert(number.to_bits());
            if !numbers.iter().all(is_new) {
                self.different = None;
            }
        }
    }

    /// True if the column looks like an identifier of this many rows.
    fn is_one(&self, rows: usize) -> bool {
        rows >= FEWEST_ROWS && (self.first.is_some() || self.different.is_some())
    }
}

/// With fewer rows consecutive numbers are no evidence.
const FEWEST_ROWS: usize = 20;

/// Maximum number of values compared with each other.
const MOST_NUMBERS: usize = 1 << 20;

#[derive(Debug)]
enum CellsFit {
    Numbers(Moments, Quantiles, Flags),
    Words(Counts, AmongNumbers),
}

/// Set of the values seen, to detect columns of 0 and 1.
#[derive(Debug, Default)]
struct Flags {
    has_zero: bool,
    has_one: bool,
    has_other: bool,
}

impl Flags {
    fn add(&mut self, number: f64) {
        match number {
            0.0 => self.has_zero = true,
            1.0 => self.has_one = true,
            _ => self.has_other = true,
        }
    }

    /// True if all numbers are 0 or 1. A constant column is handled by its own rule.
    fn are_all(&self) -> bool {
        self.has_zero && self.has_one && !self.has_other
    }
}

impl FeatureFit {
    /// Starts with the column at an index of the table.
    pub(super) fn new(place: usize, column: &Column, memory: Memory) -> Self {
        let (numbers, is_index) = match column.cells() {
            Cells::Numbers(numbers) => (Some(numbers), place == 0 && column.name() == "Unnamed: 0"),
            Cells::Words { .. } => (None, false),
        };
        let index = numbers
            .filter(|_| is_index)
            .map(|numbers| numbers.first().copied().unwrap_or(f64::NAN));
        let cells = match numbers {
            Some(_) => {
                CellsFit::Numbers(Moments::default(), Quantiles::new(memory), Flags::default())
            }
            None => CellsFit::Words(Counts::new(memory), AmongNumbers::default()),
        };
        FeatureFit {
            column: column.name().into(),
            rows: 0,
            blanks: 0,
            index,
            seen: 0,
            numbering: Numbering::new(column.name()),
            cells,
        }
    }

    /// Adds a chunk of the table; `rows` are its training rows.
    pub(super) fn add(&mut self, table: &Table, column: &Column, rows: &[usize]) -> Result<()> {
        self.rows += rows.len();
        self.blanks += rows.iter().filter(|&&row| column.is_blank(row)).count();
        match (column.cells(), &mut self.cells) {
            (Cells::Numbers(numbers), CellsFit::Numbers(moments, quantiles, flags)) => {
                // pandas writes the row index as a first column without a name.
                let counts = |first: &f64| {
                    let mut rows = numbers.iter().zip(self.seen..);
                    rows.all(|(&number, row)| number == first + row as f64)
                };
                self.index = self.index.filter(counts);
                self.numbering.add(numbers, self.seen);
                for &row in rows.iter().filter(|&&row| !numbers[row].is_nan()) {
                    if numbers[row].abs() > LARGEST {
                        let expected = "a finite number up to 1e150; clean or drop such rows, or leave the cell empty";
                        return Err(table.wrong_cell(
                            row,
                            column.name(),
                            table.shown(column, row),
                            expected,
                        ));
                    }
                    moments.add(numbers[row]);
                    flags.add(numbers[row]);
                    quantiles.add(numbers[row]);
                }
            }
            (Cells::Words { .. }, CellsFit::Words(counts, among_numbers)) => {
                counts.add(column, rows);
                among_numbers.add(table, column);
            }
            _ => return Err(changed(table, column)),
        }
        self.seen += column.len();
        Ok(())
    }

    pub(super) fn finish(self, options: &EncodingOptions) -> Result<Feature> {
        let FeatureFit { column, rows, blanks, index, seen, numbering, cells } = self;
        let nothing = |reason: String| Encoded::Nothing { reason };
        let encoded = match cells {
            _ if blanks == rows => nothing("blank in all rows".into()),
            CellsFit::Numbers(..) if index.is_some() => {
                nothing("the index of the rows, under no name".into())
            }
            CellsFit::Numbers(_, _, flags) if options.sparse && flags.are_all() => {
                Encoded::Number { mean: 0.0, scale: 1.0, fill: 0.0 }
            }
            CellsFit::Numbers(moments, quantiles, _) => {
                number(&moments, quantiles, options.standardize)
            }
            CellsFit::Words(counts, among_numbers) => {
                let counted = counts.sorted();
                match options.lists.filter(|&separator| holds_lists(&counted.0, separator)) {
                    Some(separator) => lists(counted.0, separator, options),
                    None => words(counted, &among_numbers, rows - blanks, options)?,
                }
            }
        };
        let encoded = match &encoded {
            Encoded::Number { scale, fill, .. } if *scale == 0.0 && blanks == 0 => {
                nothing(format!("{fill} in all rows"))
            }
            Encoded::Words { words, others: 0, .. } if words.len() == 1 && blanks == 0 => {
                nothing(format!("`{}` in all rows", words[0]))
            }
            Encoded::Number { scale, mean, fill } if *scale == 0.0 => {
                // Blanks are 0, so other cells must not be.
                Encoded::Number { scale: 1.0, mean: mean - f64::from(options.sparse), fill: *fill }
            }
            _ => encoded,
        };
        let is_identifier = matches!(encoded, Encoded::Number { .. }) && numbering.is_one(seen);
        Ok(Feature { column, encoded, blanks, sparse: options.sparse, is_identifier })
    }
}

/// Error for a chunk of a file whose column type differs from that of the earlier chunks.
pub(super) fn changed(table: &Table, column: &Column) -> Error {
    let position = format!("column `{}`", column.name());
    table.wrong(
        &position,
        "another kind of cells than before".into(),
        "a file that stays as it is while it is read",
    )
}

fn number(moments: &Moments, quantiles: Quantiles, standardize: bool) -> Encoded {
    let (mean, deviation) = moments.mean_and_deviation();
    let [fill] = quantiles.at([0.5]);
    // A constant column is marked by scale 0 until its blanks were examined.
    let (mean, scale) =
        if standardize || deviation == 0.0 { (mean, deviation) } else { (0.0, 1.0) };
    Encoded::Number { mean, scale, fill }
}

fn words(
    (counted, forgotten): (Vec<(String, usize)>, usize),
    among_numbers: &AmongNumbers,
    known: usize,
    options: &EncodingOptions,
) -> Result<Encoded> {
    let most = |counted: &[(String, usize)]| {
        let best = counted.iter().map(|(_, count)| *count).max();
        counted.iter().position(|(_, count)| Some(*count) == best).unwrap_or(0)
    };
    if counted.iter().all(|(word, _)| truth(word).is_some()) && counted.len() == 2 {
        return Ok(Encoded::Truth { fill: truth(&counted[most(&counted)].0).unwrap_or(false) });
    }
    among_numbers.check()?;
    let different = counted.len() + forgotten;
    let are_dates = counted.iter().all(|(word, _)| is_date(word));
    let dates = if are_dates {
        ", which are dates: write them as a number, such as days, to learn from them"
    } else {
        ""
    };
    let nothing = || Encoded::Nothing {
        reason: format!("{different} different words in {known} rows{dates}"),
    };
    if options.sparse && are_distinct(different, known) {
        return Ok(nothing());
    }
    if different <= options.categories {
        let fill = most(&counted);
        return Ok(Encoded::Words {
            words: counted.into_iter().map(|(word, _)| word).collect(),
            others: 0,
            fill,
        });
    }
    if 2 * different > known {
        return Ok(nothing());
    }
    let kept = most_frequent(counted, options.categories);
    let others = different - kept.len();
    let fill = most(&kept);
    Ok(Encoded::Words { words: kept.into_iter().map(|(word, _)| word).collect(), others, fill })
}

/// True if a word begins with a date of ISO 8601, `2016-10-17`.
fn is_date(word: &str) -> bool {
    let parts: Vec<&str> = word.get(..10).unwrap_or_default().split('-').collect();
    let number = |place: usize, digits: usize| {
        let part = parts
            .get(place)
            .filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()));
        part.and_then(|part| part.parse::<u32>().ok())
    };
    number(0, 4).is_some()
        && number(1, 2).is_some_and(|month| (1..=12).contains(&month))
        && number(2, 2).is_some_and(|day| (1..=31).contains(&day))
        && !word[10..].starts_with(|letter: char| letter.is_ascii_digit())
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
            let value: Vec<Option<f64>> = words
                .iter()
                .map(|word| word.parse().ok().filter(|number: &f64| number.is_finite()))
                .collect();
            let expected = "a number, as in the data that the model was trained on";
            let of = |&row: &usize| match column.is_blank(row) {
                true => Ok(f64::NAN),
                false => value[codes[row] as usize].ok_or_else(|| {
                    table.wrong_cell(row, column.name(), table.shown(column, row), expected)
                }),
            };
            rows.iter().map(of).collect()
        }
    }
}
