//! Purely numeric tables as a [`Dataset`], without encoding or imputation.

use ndarray::{Array1, Array2};

use crate::Result;
use crate::data::dataset::{Dataset, Target};
use crate::data::table::column::{Cells, Column};
#[cfg(feature = "data")]
use crate::data::table::options::TableOptions;
use crate::data::table::table::Table;

impl Table {
    /// All columns but `target` as numeric features, and the target: numbers, or words as classes
    /// sorted by name; with `None` all columns are features. [`super::super::Encoding`] handles any
    /// table.
    ///
    /// # Errors
    /// [`crate::Error::Data`] with line and column for a blank, an infinity, or text where a number
    /// is needed; [`crate::Error::Unknown`] with the available columns if `target` is none of them.
    pub fn to_dataset(&self, target: Option<&str>) -> Result<Dataset> {
        let target = target.map(|name| self.position(name)).transpose()?;
        let features: Vec<&Column> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(place, _)| Some(*place) != target)
            .map(|(_, column)| column)
            .collect();
        if features.is_empty() {
            return Err(self.wrong(
                "the header",
                "no column but the target".into(),
                "at least one column of features",
            ));
        }
        let mut values = Array2::zeros((self.rows, features.len()));
        let expected = "a number; the column is a feature: encode text, fill or drop rows";
        for (mut to, column) in values.columns_mut().into_iter().zip(&features) {
            for (row, number) in self.numbers(column, expected)?.into_iter().enumerate() {
                to[row] = number;
            }
        }
        let names = features.iter().map(|column| column.name().to_string()).collect();
        let target = target.map_or(Ok(Target::None), |place| self.target(&self.columns[place]))?;
        Dataset::with_names(values, target, names)
    }

    fn target(&self, column: &Column) -> Result<Target> {
        let expected = "a target; drop such rows";
        if let Some(row) = (0..self.rows).find(|&row| column.is_blank(row)) {
            return Err(self.wrong_cell(row, column.name(), self.shown(column, row), expected));
        }
        let Cells::Words { codes, words } = column.cells() else {
            let numbers = self.numbers(column, "a target")?;
            return Ok(Target::Values(Array2::from_shape_fn((self.rows, 1), |(row, _)| {
                numbers[row]
            })));
        };
        let mut classes = words.clone();
        classes.sort_unstable();
        let label: Vec<i64> = words
            .iter()
            .map(|word| classes.binary_search(word).map_or(-1, |place| place as i64))
            .collect();
        Ok(Target::Labels {
            labels: Array1::from_iter(codes.iter().map(|&code| label[code as usize])),
            classes,
        })
    }

    /// The cells as numbers that are finite in f32.
    fn numbers(&self, column: &Column, expected: &str) -> Result<Vec<f32>> {
        let numbers: Vec<f32> = match column.cells() {
            Cells::Numbers(numbers) => numbers.iter().map(|&number| number as f32).collect(),
            Cells::Words { codes, words } => {
                let value: Vec<f32> =
                    words.iter().map(|word| word.parse().unwrap_or(f32::NAN)).collect();
                codes
                    .iter()
                    .map(|&code| value.get(code as usize).copied().unwrap_or(f32::NAN))
                    .collect()
            }
        };
        match numbers.iter().position(|number| !number.is_finite()) {
            Some(row) => {
                Err(self.wrong_cell(row, column.name(), self.shown(column, row), expected))
            }
            None => Ok(numbers),
        }
    }

    /// A cell in a message.
    pub(in crate::data) fn shown(&self, column: &Column, row: usize) -> String {
        match column.word(row) {
            None => "a blank cell".into(),
            Some(text) => format!("`{}`", text.chars().take(60).collect::<String>().escape_debug()),
        }
    }
}

/// Reads a table with numeric features: [`Table::read`] and [`Table::to_dataset`].
///
/// # Errors
/// As both.
#[cfg(feature = "data")]
pub fn read_csv(path: impl AsRef<std::path::Path>, target: Option<&str>) -> Result<Dataset> {
    Table::read(path, &TableOptions::default())?.to_dataset(target)
}
