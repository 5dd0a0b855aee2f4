//! From the columns of a table to the numbers of a network, and back.

mod categories;
mod feature;
mod fitting;
mod lists;
mod numbers;
mod report;
mod target;

use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

pub use report::ColumnReport;
pub use target::{TargetEncoding, TargetKind};

use super::dataset::{Dataset, Target};
use super::table::{Column, Table};
use crate::Result;
use feature::Feature;
use fitting::{Fitting, no_rows};
use numbers::Memory;
use target::TargetFit;

/// Words of a column that get a column of their own each, unless [`EncodingOptions::categories`] says otherwise.
const CATEGORIES: usize = 64;

/// As [`CATEGORIES`], where a row holds few of them: each costs an embedding alone.
const SPARSE_CATEGORIES: usize = 1000;

/// How the columns of a table become numbers: fitted on the rows to train on, saved with the model, applied to every other file.
///
/// | a column of | becomes |
/// |---|---|
/// | numbers | (x − mean) / deviation, computed in f64 and rounded to f32 once; a blank is filled with the median |
/// | `True` and `False` | 1 and 0; a blank is filled with the more frequent |
/// | words | a column for each word, 1 where it stands; beyond [`EncodingOptions::categories`] the most frequent have one and the others share one |
/// | words of which nearly every row has its own | nothing |
/// | one value in all rows, or none; the index of the rows under no name | nothing |
///
/// A column with blanks has one more behind it, which is 1 where a blank was filled. What became of each column is told by
/// [`Encoding::report`]. Targets: [`TargetKind`].
///
/// ```
/// use gradus::data::{Column, Encoding, EncodingOptions, Table};
///
/// let table = Table::new(vec![
///     Column::numbers("rooms", vec![3.0, f64::NAN, 5.0, 4.0]),
///     Column::words("ocean", ["near", "far", "near", "far"]),
///     Column::words("sold", ["yes", "no", "no", "yes"]),
/// ])?;
/// let encoding = Encoding::fit(&table, &[0, 1, 2, 3], &EncodingOptions::default().target("sold"))?;
/// let houses = encoding.apply(&table)?;
/// assert_eq!(houses.feature_names, ["rooms", "rooms is blank", "ocean=far", "ocean=near"]);
/// assert_eq!(houses.features.row(1).to_vec(), [0.0, 1.0, 1.0, 0.0]);
/// assert_eq!((houses.labels()?.to_vec(), houses.classes()?), (vec![1, 0, 0, 1], vec!["no".into(), "yes".into()]));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoding {
    /// None where the rows came as arrays, which are taken as they are.
    features: Option<Vec<Feature>>,
    /// Whether the file had names for its columns.
    has_header: bool,
    target: TargetEncoding,
    /// The column that says how much each row counts in a training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<String>,
}

/// What an [`Encoding`] is fitted for.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodingOptions {
    /// The columns of the targets; none where there are no targets.
    pub targets: Vec<String>,
    /// What they are taken for.
    pub kind: TargetKind,
    /// Whether numbers are brought to mean 0 and deviation 1.
    pub standardize: bool,
    /// How many words of a column get a column of their own.
    pub categories: usize,
    /// Columns that are no features.
    pub left_out: Vec<String>,
    /// The column that says how much each row counts in a training; it is no feature. It is kept with the encoding, so that a training that
    /// goes on finds it.
    pub weight: Option<String>,
    /// What parts the words of a cell that lists several, each of which gets a column of its own; without it a list is one word.
    pub lists: Option<char>,
    /// For models that add up what a row has, so that what it has not must be 0: a blank is 0 in all columns, numbers that are all
    /// 0 or 1 stay so, and words of which nearly every row has its own are left out however few rows there are above 20.
    pub sparse: bool,
}

impl Default for EncodingOptions {
    fn default() -> Self {
        EncodingOptions {
            targets: Vec::new(),
            kind: TargetKind::Classes,
            standardize: true,
            categories: CATEGORIES,
            left_out: Vec::new(),
            weight: None,
            lists: None,
            sparse: false,
        }
    }
}

impl EncodingOptions {
    /// For side features of a recommender, one row for each user or item: lists are parted by `|`, up to 1,000 words of a column
    /// have one of their own, what a row has not is 0.
    ///
    /// ```
    /// use gradus::data::{Column, Encoding, EncodingOptions, Table};
    ///
    /// let genres = Column::words("genres", ["Children|Comedy", "Drama", "Comedy", ""]);
    /// let years = Column::numbers("year", vec![1995.0, 1997.0, f64::NAN, 1996.0]);
    /// let films = Table::new(vec![genres, years])?;
    /// let encoding = Encoding::fit(&films, &[0, 1, 2, 3], &EncodingOptions::side_features())?;
    /// assert_eq!(encoding.names(), ["genres=Children", "genres=Comedy", "genres=Drama", "year"]);
    /// let found = encoding.features(&films, &[0, 2])?;
    /// assert_eq!(found.row(0).to_vec(), [1.0, 1.0, 0.0, -1.2247449]);
    /// assert_eq!(found.row(1).to_vec(), [0.0, 1.0, 0.0, 0.0]); // of a year that is not known
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn side_features() -> Self {
        EncodingOptions {
            categories: SPARSE_CATEGORIES,
            lists: Some('|'),
            sparse: true,
            ..Self::default()
        }
    }

    /// Adds a column of targets.
    pub fn target(mut self, column: impl Into<String>) -> Self {
        self.targets.push(column.into());
        self
    }

    /// What the targets are taken for.
    pub fn kind(mut self, kind: TargetKind) -> Self {
        self.kind = kind;
        self
    }
}

impl Encoding {
    /// Learns from a table: of the features from `rows` alone, of the targets the classes from all rows, so that a rare one is known.
    ///
    /// # Errors
    /// [`crate::Error::Unknown`] for a target that is no column; [`crate::Error::Empty`] without rows; [`crate::Error::Data`] with line and column for a number that is
    /// not finite, a text among numbers, and a target that its kind cannot take; if no column is left as a feature.
    pub fn fit(table: &Table, rows: &[usize], options: &EncodingOptions) -> Result<Self> {
        // In the order of the file: sums of numbers do not hang on how the rows were shuffled.
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        fitting::of_table(table, &rows, options)
    }

    /// As [`Encoding::fit`], of a table that comes in pieces, each with those of its rows to train on: one that memory does not hold.
    ///
    /// Means, deviations and classes are those of [`Encoding::fit`] to the last bit. Medians and quartiles are those up to 4,096 rows, and
    /// beyond off by less than a three-hundredth of the rows in rank; of a column of more than 65,536 different words those that stand in
    /// fewer than a thirty-thousandth of the rows may be taken for one of the others.
    ///
    /// # Errors
    /// As [`Encoding::fit`]; those of the pieces; [`crate::Error::Empty`] without a piece.
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

    /// For rows that came as arrays: the targets alone are encoded.
    ///
    /// # Errors
    /// As [`Encoding::fit`] of targets.
    pub fn of_arrays(dataset: &Dataset, rows: &[usize], kind: TargetKind) -> Result<Self> {
        let table = target::as_table(dataset)?;
        let columns: Vec<&Column> = table.columns().iter().collect();
        let mut target = TargetFit::new(&table, &columns, kind, Memory::All)?;
        target.add(&table, &columns, rows)?;
        Ok(Encoding { features: None, has_header: true, target: target.finish()?, weight: None })
    }

    /// The same rows with their targets encoded, of arrays.
    ///
    /// # Errors
    /// [`crate::Error::Data`] for a class that was not there when the encoding was fitted.
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

    /// All rows of a table as numbers, with their targets if the table has all of their columns.
    ///
    /// # Errors
    /// [`crate::Error::Unknown`] for a feature that is no column of the table; [`crate::Error::Data`] with line and column for a text where numbers were, a
    /// number that is not finite, a class that was not there, a target that is blank.
    pub fn apply(&self, table: &Table) -> Result<Dataset> {
        self.apply_rows(table, &all(table))
    }

    /// As [`Encoding::apply`], of some rows in this order.
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

    /// What stands in a table that did not when the encoding was fitted, a sentence for each column.
    ///
    /// # Errors
    /// [`crate::Error::Unknown`] for a feature that is no column of the table.
    pub fn surprises(&self, table: &Table) -> Result<Vec<String>> {
        let columns = self.columns_of(table)?.into_iter().zip(self.kept());
        Ok(columns.filter_map(|(column, feature)| feature.surprise(table, column)).collect())
    }

    /// Predictions in the unit of the targets: standardized numbers become numbers again, everything else stays.
    pub fn decode(&self, predictions: &Array2<f32>) -> Array2<f64> {
        self.target.decode(predictions)
    }

    /// The column that says how much each row counted in the training.
    pub fn weight(&self) -> Option<&str> {
        self.weight.as_deref()
    }

    /// How the targets are encoded.
    pub fn target(&self) -> &TargetEncoding {
        &self.target
    }

    /// The columns of the encoded features; empty for arrays.
    pub fn names(&self) -> Vec<String> {
        self.kept().flat_map(Feature::names).collect()
    }

    /// The columns that a table must have, in order.
    pub fn wanted(&self) -> Vec<String> {
        self.kept().map(|feature| feature.name().to_string()).collect()
    }

    /// Whether the file that it was fitted on had names for its columns; else they are called by their indices.
    pub fn has_header(&self) -> bool {
        self.has_header
    }

    /// Whether it takes tables; else arrays.
    pub fn takes_tables(&self) -> bool {
        self.features.is_some()
    }

    /// Whether a column of numbers is standardized.
    pub fn standardizes(&self) -> bool {
        self.kept().any(Feature::is_standardized)
    }

    /// What became of each column.
    pub fn report(&self) -> Vec<ColumnReport> {
        self.features.iter().flatten().map(Feature::report).chain(self.target.report()).collect()
    }

    fn in_words(&self) -> String {
        let report: Vec<String> =
            self.features.iter().flatten().map(|feature| feature.report().to_string()).collect();
        report.join("; ")
    }

    /// The columns of the targets, if the table has them all.
    fn target_columns<'t>(&self, table: &'t Table) -> Option<Vec<&'t Column>> {
        if self.is_in_order(table) {
            return None;
        }
        let names = self.target.columns();
        let found: Option<Vec<&Column>> =
            names.iter().map(|name| table.column(name).ok()).collect();
        found.filter(|found| !found.is_empty())
    }

    /// The rows of a table of which no target is blank; all where the table has none.
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

    /// Whether a table without names has the features alone, whose indices then are others than they were.
    fn is_in_order(&self, table: &Table) -> bool {
        let all = self.features.as_ref().map_or(0, Vec::len);
        !self.has_header && !table.has_header() && table.columns().len() == all
    }

    /// The column of each feature that is kept: by name; where neither file has names and the targets are missing, by order.
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
