//! Options of an encoding.

/// Options for fitting an [`Encoding`](crate::data::Encoding).
#[derive(Debug, Clone, PartialEq)]
pub struct EncodingOptions {
    /// Target columns; empty if there are no targets.
    pub targets: Vec<String>,
    /// Interpretation of the targets.
    pub kind: TargetKind,
    /// Standardize numbers to mean 0 and standard deviation 1.
    pub standardize: bool,
    /// Maximum number of words per column that get their own encoded column.
    pub categories: usize,
    /// Columns to leave out of the features.
    pub left_out: Vec<String>,
    /// The column with the weight of each row in training, not used as a feature. It is saved with
    /// the encoding, so that resumed training finds it.
    pub weight: Option<String>,
    /// Separator of words in cells that list several, each with its own encoded column; by default
    /// a list is a single word.
    pub lists: Option<char>,
    /// For models that sum over a row's features, so that absent ones must be 0: blanks are 0 in
    /// all columns, numbers that are all 0 or 1 stay unscaled, and words that differ in nearly
    /// every row are left out whenever there are more than 20 rows.
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
    /// Options for a recommender's side features, one row per user or item: lists are separated by
    /// `|`, up to 1,000 words per column have their own encoded column, and absent features are 0.
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

    /// Adds a target column.
    pub fn target(mut self, column: impl Into<String>) -> Self {
        self.targets.push(column.into());
        self
    }

    /// Sets the interpretation of the targets.
    pub fn kind(mut self, kind: TargetKind) -> Self {
        self.kind = kind;
        self
    }
}

/// Default maximum of words per column that get their own encoded column; see
/// [`EncodingOptions::categories`].
pub(super) const CATEGORIES: usize = 64;

/// As [`CATEGORIES`], if each row has few words: a word costs no more than its embedding.
pub(super) const SPARSE_CATEGORIES: usize = 1000;

/// Interpretation of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// Classes named by the cells, whatever they contain: words, 5 and 7, −1 and +1. Several
    /// columns of 0 and 1 with a single 1 in each row are classes named by the columns.
    Classes,
    /// One or several unscaled numbers; a column of words is still classes.
    Numbers,
    /// Numbers standardized to mean 0 and standard deviation 1, for losses dominated by a few large
    /// numbers.
    Standardized,
    /// Numbers scaled to median 0 and the quartiles of a normal distribution, robust against heavy
    /// tails.
    MedianStandardized,
    /// SeveralInputs binary columns as 1 and 0, for multi-label losses; a single column is classes.
    Flags,
    /// The same as +1 and −1.
    Signs,
}

impl TargetKind {
    /// True if targets are quantities, not names or labels.
    pub fn is_numbers(self) -> bool {
        matches!(
            self,
            TargetKind::Numbers | TargetKind::Standardized | TargetKind::MedianStandardized
        )
    }
}
