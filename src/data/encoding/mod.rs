//! Encoding of table columns as a network's inputs and targets, and decoding of predictions.

mod categories;
pub(crate) mod encoded;
mod feature;
pub(crate) mod fitted;
mod fitting;
mod lists;
mod numbers;
pub(crate) mod options;
mod report;
mod target;

use ndarray::{Array2, s};

use crate::Result;
use crate::data::dataset::{Dataset, Target};
use crate::data::encoding::feature::Feature;
use crate::data::encoding::fitting::{Fitting, no_rows};
use crate::data::encoding::numbers::Memory;
use crate::data::encoding::target::TargetFit;
use crate::data::table::Column;
use crate::data::table::table::Table;

pub use report::{ColumnReport, EncodedColumn};
pub use target::TargetEncoding;

pub use crate::data::encoding::fitted::Encoding;
pub use crate::data::encoding::options::{EncodingOptions, TargetKind};

impl Encoding {
    /// Fits a table: features on `rows` alone, target classes on all rows, so that rare classes are
    /// known.
    ///
    /// # Errors
    /// [`crate::Error::Unknown`] for a target that is not a column; [`crate::Error::Empty`] without
    /// rows; [`crate::Error::Data`] with line and column for a number that is not finite, text
    /// among numbers, and a target that its kind does not allow; also if no feature column remains.
    pub fn fit(table: &Table, rows: &[usize], options: &EncodingOptions) -> Result<Self> {
        // In file order, so that floating-point sums do not depend on the shuffling of the rows.
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        fitting::of_table(table, &rows, options)
    }

    /// As [`Encoding::fit`], for a table larger than memory that comes in chunks, each with its
    /// training rows.
    ///
    /// Means, standard deviations and classes are bitwise equal to those of [`Encoding::fit`].
    /// Medians and quartiles are too up to 4,096 rows; beyond, their rank error is less than a
    /// three-hundredth of the rows. In a column of more than 65,536 distinct words, those in fewer
    /// than a thirty-thousandth of the rows may be counted among the others.
    ///
    /// # Errors
    /// As [`Encoding::fit`]; errors of the chunks; [`crate::Error::Empty`] without a chunk.
    pub fn fit_pieces(
        pieces: impl IntoIterator<Item = Result<(Table, Vec<usize>)>>,
        options: &EncodingOptions,
    ) -> Result<Self> {
        let mut fitting: Option<Fitting> = None;
        for piece in pieces {
            let (table, rows) = piece?;
            let fitting = match &mut fitting {
                Some(fitting) => fitting,
                None => fitting.insert(Fitting::new(&table, options)?),
            };
            fitting.add(&table, &rows)?;
        }
        fitting.ok_or_else(no_rows)?.finish()
    }

    /// For rows given as arrays: only the targets are encoded.
    ///
    /// # Errors
    /// As [`Encoding::fit`] for targets.
    pub fn of_arrays(dataset: &Dataset, rows: &[usize], kind: TargetKind) -> Result<Self> {
        let table = target::as_table(dataset)?;
        let columns: Vec<&Column> = table.columns().iter().collect();
        let mut target = TargetFit::new(&table, &columns, kind, Memory::All)?;
        target.add(&table, &columns, rows)?;
        Ok(Encoding { features: None, has_header: true, target: target.finish()?, weight: None })
    }

    /// Encodes the targets of rows given as arrays; the features stay unchanged.
    ///
    /// # Errors
    /// [`crate::Error::Data`] for a class that was not present when the encoding was fitted.
    pub fn apply_to_arrays(&self, dataset: Dataset) -> Result<Dataset> {
        let table = target::as_table(&dataset)?;
        let columns: Vec<&Column> = table.columns().iter().collect();
        let target = if columns.is_empty() {
            Target::None
        } else {
            self.target.encode(&table, &columns, &all(&table))?
        };
        Ok(Dataset { target, ..dataset })
    }

    /// Encodes all rows of a table, with targets if the table has all of their columns.
    ///
    /// # Errors
    /// [`crate::Error::Unknown`] for a feature that is not a column of the table;
    /// [`crate::Error::Data`] with line and column for text in a numeric column, a number that is
    /// not finite, an unknown class, or a blank target.
    pub fn apply(&self, table: &Table) -> Result<Dataset> {
        self.apply_rows(table, &all(table))
    }

    /// As [`Encoding::apply`], for some rows in the given order.
    ///
    /// # Errors
    /// As [`Encoding::apply`].
    pub fn apply_rows(&self, table: &Table, rows: &[usize]) -> Result<Dataset> {
        let features = self.features(table, rows)?;
        let target = match self.target_columns(table) {
            Some(columns) => self.target.encode(table, &columns, rows)?,
            None => Target::None,
        };
        Dataset::with_names(features, target, self.names())
    }

    /// The features of some rows, without their targets.
    ///
    /// # Errors
    /// As [`Encoding::apply`].
    pub fn features(&self, table: &Table, rows: &[usize]) -> Result<Array2<f32>> {
        let mut values = Array2::zeros((rows.len(), self.width()));
        let mut first = 0;
        for (column, feature) in self.columns_of(table)?.into_iter().zip(self.kept()) {
            let width = feature.width();
            feature.encode(table, column, rows, values.slice_mut(s![.., first..first + width]))?;
            first += width;
        }
        Ok(values)
    }

    /// Describes cells unlike any that the encoding was fitted on, one sentence per column.
    ///
    /// # Errors
    /// [`crate::Error::Unknown`] for a feature that is not a column of the table.
    pub fn surprises(&self, table: &Table) -> Result<Vec<String>> {
        let columns = self.columns_of(table)?.into_iter().zip(self.kept());
        Ok(columns.filter_map(|(column, feature)| feature.surprise(table, column)).collect())
    }

    /// Predictions in the unit of the targets: standardized numbers are scaled back, all others are
    /// unchanged.
    pub fn decode(&self, predictions: &Array2<f32>) -> Array2<f64> {
        self.target.decode(predictions)
    }

    /// The column with the weight of each row in training.
    pub fn weight(&self) -> Option<&str> {
        self.weight.as_deref()
    }

    /// Encoding of the targets.
    pub fn target(&self) -> &TargetEncoding {
        &self.target
    }

    /// Names of the encoded feature columns; empty for arrays.
    pub fn names(&self) -> Vec<String> {
        self.kept().flat_map(Feature::names).collect()
    }

    /// The encoded feature columns, with the column of the table that each is made of and the unit
    /// of its numbers; empty for arrays.
    pub fn encoded_columns(&self) -> Vec<EncodedColumn> {
        self.kept().flat_map(Feature::encoded_columns).collect()
    }

    /// The required table columns, in order.
    pub fn wanted(&self) -> Vec<String> {
        self.kept().map(|feature| feature.name().to_string()).collect()
    }

    /// True if the file that it was fitted on had column names; otherwise columns are named by
    /// their indices.
    pub fn has_header(&self) -> bool {
        self.has_header
    }

    /// True if it takes tables, false for arrays.
    pub fn takes_tables(&self) -> bool {
        self.features.is_some()
    }

    /// True if a numeric column is standardized.
    pub fn standardizes(&self) -> bool {
        self.kept().any(Feature::is_standardized)
    }

    /// Describes the encoding of each column.
    pub fn report(&self) -> Vec<ColumnReport> {
        self.features.iter().flatten().map(Feature::report).chain(self.target.report()).collect()
    }

    fn in_words(&self) -> String {
        let columns: Vec<String> =
            self.features.iter().flatten().map(|feature| feature.report().to_string()).collect();
        columns.join("; ")
    }

    /// The target columns, if the table has all of them.
    fn target_columns<'t>(&self, table: &'t Table) -> Option<Vec<&'t Column>> {
        if self.is_in_order(table) {
            return None;
        }
        let names = self.target.columns();
        let found: Option<Vec<&Column>> =
            names.iter().map(|name| table.column(name).ok()).collect();
        found.filter(|found| !found.is_empty())
    }

    /// The rows of a table without a blank target; all rows if the table has no targets.
    pub fn rows_with_target(&self, table: &Table) -> Vec<usize> {
        let columns = self.target_columns(table).unwrap_or_default();
        (0..table.rows())
            .filter(|&row| !columns.iter().any(|column| self.target.is_blank(column, row)))
            .collect()
    }

    fn kept(&self) -> impl Iterator<Item = &Feature> {
        self.features.iter().flatten().filter(|feature| feature.width() > 0)
    }

    fn width(&self) -> usize {
        self.kept().map(Feature::width).sum()
    }

    /// True if a table without column names has only the features, whose indices then differ from
    /// those in training.
    fn is_in_order(&self, table: &Table) -> bool {
        let all = self.features.as_ref().map_or(0, Vec::len);
        !self.has_header && !table.has_header() && table.columns().len() == all
    }

    /// The column of each encoded feature: by name, or by order if neither file has column names
    /// and the targets are missing.
    fn columns_of<'t>(&self, table: &'t Table) -> Result<Vec<&'t Column>> {
        let all = self.features.as_deref().unwrap_or_default();
        if self.is_in_order(table) {
            let pairs = table.columns().iter().zip(all);
            return Ok(pairs
                .filter(|(_, feature)| feature.width() > 0)
                .map(|(column, _)| column)
                .collect());
        }
        self.kept().map(|feature| table.column(feature.name())).collect()
    }
}

fn all(table: &Table) -> Vec<usize> {
    (0..table.rows()).collect()
}
