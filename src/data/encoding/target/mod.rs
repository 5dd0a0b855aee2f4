//! What is to be predicted: classes by name, numbers in a unit, labels that a row has or has not.

mod classes;
mod fit;
mod flags;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::data::dataset::{Dataset, Target};
use crate::data::encoding::categories::some;
use crate::data::encoding::report::{ColumnReport, short};
use crate::data::encoding::target::classes::labels;
use crate::data::encoding::target::flags::{flag, one_hot};
use crate::data::table::{Cells, Column, Table};
pub(super) use fit::TargetFit;

/// What targets are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// Classes, named by what stands in the file, whatever that is: words, 5 and 7, −1 and +1. Several columns of 0 and 1 with a single 1 in
    /// each row are classes named by the columns.
    Classes,
    /// One or several numbers as they are; a column of words is classes all the same.
    Numbers,
    /// Numbers brought to mean 0 and deviation 1: for losses that are large where a few numbers are.
    Standardized,
    /// Numbers brought to median 0 and the quartiles of a normal distribution: heavy tails do not count.
    MedianStandardized,
    /// Several columns that say yes or no, by 1 and 0, as the losses of many labels take them; a single column is classes.
    Flags,
    /// The same by +1 and −1.
    Signs,
}

impl TargetKind {
    /// Whether targets are quantities, not names or labels.
    pub fn is_numbers(self) -> bool {
        matches!(
            self,
            TargetKind::Numbers | TargetKind::Standardized | TargetKind::MedianStandardized
        )
    }
}

/// How targets are encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetEncoding {
    /// There are none.
    Nothing,
    /// Classes by name.
    Classes {
        /// One column of names, or several of 0 and 1.
        columns: Vec<String>,
        /// The classes, by label.
        classes: Vec<String>,
    },
    /// (y − center) / scale of each column.
    Numbers {
        /// The columns.
        columns: Vec<String>,
        /// What is taken off.
        center: Vec<f64>,
        /// What is divided by: a unit of the encoded target is so many of the file's.
        scale: Vec<f64>,
    },
    /// Yes or no for each column.
    Flags {
        /// The columns.
        columns: Vec<String>,
        /// Whether no is −1; else 0.
        signs: bool,
    },
}

impl TargetEncoding {
    /// The targets of some rows.
    pub(super) fn encode(
        &self,
        table: &Table,
        columns: &[&Column],
        rows: &[usize],
    ) -> Result<Target> {
        self.check_blanks(table, columns, rows)?;
        match self {
            TargetEncoding::Nothing => Ok(Target::None),
            TargetEncoding::Classes { classes, .. } => {
                let labels = match columns {
                    [column] => labels(table, column, classes, rows)?,
                    several => one_hot(table, several, rows)?,
                };
                Ok(Target::Labels { labels, classes: classes.clone() })
            }
            TargetEncoding::Numbers { center, scale, .. } => {
                let mut values = Array2::zeros((rows.len(), columns.len()));
                for (place, column) in columns.iter().enumerate() {
                    for (at, &row) in rows.iter().enumerate() {
                        let number = finite(table, column, row)?;
                        values[[at, place]] = ((number - center[place]) / scale[place]) as f32;
                    }
                }
                Ok(Target::Values(values))
            }
            TargetEncoding::Flags { signs, .. } => {
                let mut values = Array2::zeros((rows.len(), columns.len()));
                for (place, column) in columns.iter().enumerate() {
                    for (at, &row) in rows.iter().enumerate() {
                        let flag = flag(table, column, row)?;
                        values[[at, place]] = if *signs && !flag { -1.0 } else { f32::from(flag) };
                    }
                }
                Ok(Target::Values(values))
            }
        }
    }

    /// Whether the target in a cell is missing: `-` is where it is no class.
    pub(super) fn is_blank(&self, column: &Column, row: usize) -> bool {
        column.is_blank(row) && !column.word(row).is_some_and(|word| self.names(&word))
    }

    /// Whether a cell of its one column can be that class.
    fn names(&self, word: &str) -> bool {
        matches!(self, TargetEncoding::Classes { columns, classes } if columns.len() == 1 && classes.iter().any(|class| class == word))
    }

    fn check_blanks(&self, table: &Table, columns: &[&Column], rows: &[usize]) -> Result<()> {
        for column in columns {
            if let Some(&row) = rows.iter().find(|&&row| self.is_blank(column, row)) {
                return Err(table.wrong_cell(
                    row,
                    column.name(),
                    table.shown(column, row),
                    "a target",
                ));
            }
        }
        Ok(())
    }

    pub(super) fn decode(&self, predictions: &Array2<f32>) -> Array2<f64> {
        let mut decoded = predictions.mapv(f64::from);
        if let TargetEncoding::Numbers { center, scale, .. } = self {
            for ((mut column, center), scale) in
                decoded.columns_mut().into_iter().zip(center).zip(scale)
            {
                column.mapv_inplace(|value| value * scale + center);
            }
        }
        decoded
    }

    /// The columns of the file.
    pub fn columns(&self) -> &[String] {
        match self {
            TargetEncoding::Nothing => &[],
            TargetEncoding::Classes { columns, .. }
            | TargetEncoding::Numbers { columns, .. }
            | TargetEncoding::Flags { columns, .. } => columns,
        }
    }

    /// The classes by label, if there are such.
    pub fn classes(&self) -> &[String] {
        match self {
            TargetEncoding::Classes { classes, .. } => classes,
            _ => &[],
        }
    }

    /// The unit of an encoded number in the file's own, where all columns have one.
    pub fn unit(&self) -> Option<f64> {
        match self {
            TargetEncoding::Numbers { scale, .. } => {
                let first = *scale.first()?;
                scale.iter().all(|&scale| scale == first).then_some(first)
            }
            _ => None,
        }
    }

    pub(super) fn report(&self) -> Vec<ColumnReport> {
        let report = |column: &String, became: String| ColumnReport {
            column: column.clone(),
            taken_for: "target",
            became,
            columns: 1,
            is_identifier: false,
        };
        match self {
            TargetEncoding::Nothing => Vec::new(),
            TargetEncoding::Classes { columns, classes } => {
                let became = format!("{} classes ({})", classes.len(), some(classes));
                vec![ColumnReport { columns: classes.len(), ..report(&columns.join(", "), became) }]
            }
            TargetEncoding::Numbers { columns, center, scale } => {
                let became = |place: usize| match (center[place], scale[place]) {
                    (0.0, 1.0) => "numbers, as they are".into(),
                    (center, scale) => format!(
                        "numbers, standardized: (y − {}) / {}; told in their own unit",
                        short(center),
                        short(scale)
                    ),
                };
                columns
                    .iter()
                    .enumerate()
                    .map(|(place, column)| report(column, became(place)))
                    .collect()
            }
            TargetEncoding::Flags { columns, .. } => {
                columns.iter().map(|column| report(column, "yes or no".into())).collect()
            }
        }
    }
}

/// Targets that came as arrays, as a table.
pub(super) fn as_table(dataset: &Dataset) -> Result<Table> {
    match &dataset.target {
        Target::None => Table::new(Vec::new()),
        Target::Labels { labels, classes } => {
            let name = |&label: &i64| {
                usize::try_from(label)
                    .ok()
                    .and_then(|label| classes.get(label))
                    .map_or("", |name| name)
            };
            Table::new(vec![Column::words("target", labels.iter().map(name))])
        }
        Target::Values(values) => {
            let name = |place: usize| {
                if values.ncols() == 1 { "target".into() } else { place.to_string() }
            };
            let column = |(place, column): (usize, ndarray::ArrayView1<f32>)| {
                Column::numbers(
                    name(place),
                    column.iter().map(|&number| f64::from(number)).collect(),
                )
            };
            Table::new(values.columns().into_iter().enumerate().map(column).collect())
        }
    }
}

fn finite(table: &Table, column: &Column, row: usize) -> Result<f64> {
    let number = match column.cells() {
        Cells::Numbers(numbers) => numbers[row],
        Cells::Words { codes, words } => words[codes[row] as usize].parse().unwrap_or(f64::NAN),
    };
    if number.is_finite() {
        return Ok(number);
    }
    Err(table.wrong_cell(
        row,
        column.name(),
        table.shown(column, row),
        "a finite number; clean or drop such rows",
    ))
}
