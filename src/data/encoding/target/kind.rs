//! Kinds of targets and their encodings.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::data::dataset::Target;
use crate::data::encoding::categories::some;
use crate::data::encoding::report::{ColumnReport, short};
use crate::data::encoding::target::classes::labels;
use crate::data::encoding::target::flags::{flag, one_hot};
use crate::data::table::table::Table;
use crate::data::table::{Cells, Column};

/// Encoding of the targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetEncoding {
    /// No targets.
    Nothing,
    /// Named classes.
    Classes {
        /// One column of names, or several of 0 and 1.
        columns: Vec<String>,
        /// Class names, indexed by label.
        classes: Vec<String>,
    },
    /// (y − center) / scale for each column.
    Numbers {
        /// Target columns.
        columns: Vec<String>,
        /// Subtracted from each column.
        center: Vec<f64>,
        /// Divisor of each column: the size of one encoded unit in the file's unit.
        scale: Vec<f64>,
    },
    /// A binary label per column.
    Flags {
        /// Target columns.
        columns: Vec<String>,
        /// True if "no" is −1, false if it is 0.
        signs: bool,
    },
}

impl TargetEncoding {
    /// The targets of some rows.
    pub(in crate::data::encoding) fn encode(
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

    /// True if the target in a cell is missing; `-` is missing unless it is a class.
    pub(in crate::data::encoding) fn is_blank(&self, column: &Column, row: usize) -> bool {
        column.is_blank(row) && !column.word(row).is_some_and(|word| self.names(&word))
    }

    /// True if the word is a class of its single column.
    pub(super) fn names(&self, word: &str) -> bool {
        matches!(self, TargetEncoding::Classes { columns, classes } if columns.len() == 1 && classes.iter().any(|class| class == word))
    }

    pub(super) fn check_blanks(
        &self,
        table: &Table,
        columns: &[&Column],
        rows: &[usize],
    ) -> Result<()> {
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

    pub(in crate::data::encoding) fn decode(&self, predictions: &Array2<f32>) -> Array2<f64> {
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

    /// Target columns of the file.
    pub fn columns(&self) -> &[String] {
        match self {
            TargetEncoding::Nothing => &[],
            TargetEncoding::Classes { columns, .. }
            | TargetEncoding::Numbers { columns, .. }
            | TargetEncoding::Flags { columns, .. } => columns,
        }
    }

    /// Class names by label; empty if there are no classes.
    pub fn classes(&self) -> &[String] {
        match self {
            TargetEncoding::Classes { classes, .. } => classes,
            _ => &[],
        }
    }

    /// The size of one encoded unit in the file's unit, if it is the same for all columns.
    pub fn unit(&self) -> Option<f64> {
        match self {
            TargetEncoding::Numbers { scale, .. } => {
                let first = *scale.first()?;
                scale.iter().all(|&scale| scale == first).then_some(first)
            }
            _ => None,
        }
    }

    pub(in crate::data::encoding) fn report(&self) -> Vec<ColumnReport> {
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
                        "numbers, standardized: (y − {}) / {}; reported in their own unit",
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

pub(super) fn finite(table: &Table, column: &Column, row: usize) -> Result<f64> {
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
