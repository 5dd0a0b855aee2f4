//! Data from files, by one door: [`read`] takes a folder of IDX files, a CSV table, NumPy arrays or SVMlight's lines and gives a [`Split`].
//!
//! | what is read | features | targets |
//! |---|---|---|
//! | a folder with MNIST's names, plain or .gz | images as rows, bytes scaled by 1/255 | the label files |
//! | `.csv`, `.tsv`, `.txt`, plain or .gz | all other columns, numeric | the column `target`: numbers, or text as classes |
//! | `.npy` | dimensions after the first joined | `targets`, or the file beside it with `y` for `x` |
//! | `.svm`, `.svmlight`, `.libsvm`, or what begins as such; plain or .gz | `index:value`, what is left out is 0 | the labels; queries by `qid:` or the file beside it with `.query` behind its name |
//! | `.npz` | `x_train`, `x` or `features`; `x_test` | `y_train`, `y` or `targets`; `y_test` |
//!
//! Ratings for a recommender have a reader of their own: `read_ratings`.
//!
//! A file that is cut off, damaged or of another kind gives [`Error::Data`]: the file, the place, what stands there and what is
//! expected. NaN, infinities and empty cells are refused, never filled in. .gz, CSV and .npz need the feature `data`.

mod dataset;
mod elements;
mod idx;
mod npy;
#[cfg(feature = "data")]
mod npz;
#[cfg(feature = "data")]
mod ratings;
mod source;
mod standardization;
mod svmlight;
#[cfg(feature = "data")]
mod table;

use std::path::{Path, PathBuf};

use ndarray::Array2;

pub use dataset::{Dataset, Target};
pub use idx::{Idx, read_idx, read_idx_folder};
pub use npy::read_npy;
#[cfg(feature = "data")]
pub use npz::read_npz;
#[cfg(feature = "data")]
pub use ratings::{Ratings, read_ratings};
pub use standardization::Standardization;
pub use svmlight::read_svmlight;
#[cfg(feature = "data")]
pub use table::read_csv;

use crate::{Error, Result};

/// What a path holds: the rows to learn from and, if the source has its own, those to test on.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// The rows to learn from.
    pub train: Dataset,
    /// The rows to test on.
    pub test: Option<Dataset>,
}

/// Where the targets are. The default names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The target's column in a table: its name, or its index from 0 if the file has no header.
    pub target: Option<String>,
    /// The file of the targets, for `.npy`.
    pub targets: Option<PathBuf>,
    /// The file of the number of rows of each query, for SVMlight.
    pub groups: Option<PathBuf>,
    /// How many features a row has, for SVMlight; without it the largest index says.
    pub features: Option<usize>,
    /// Whether indices count from 0, for SVMlight; without it they do if one of them is 0.
    pub zero_based: Option<bool>,
}

impl ReadOptions {
    /// The target's column in a table: its name, or its index from 0 if the file has no header.
    pub fn target(mut self, column: impl Into<String>) -> Self {
        self.target = Some(column.into());
        self
    }

    /// The file of the targets, for `.npy`.
    pub fn targets(mut self, path: impl Into<PathBuf>) -> Self {
        self.targets = Some(path.into());
        self
    }

    /// The file of the number of rows of each query, for SVMlight.
    pub fn groups(mut self, path: impl Into<PathBuf>) -> Self {
        self.groups = Some(path.into());
        self
    }

    /// How many features a row has, for SVMlight; without it the largest index says.
    pub fn features(mut self, features: usize) -> Self {
        self.features = Some(features);
        self
    }

    /// Whether indices count from 0, for SVMlight; without it they do if one of them is 0.
    pub fn zero_based(mut self, zero_based: bool) -> Self {
        self.zero_based = Some(zero_based);
        self
    }

    /// Refuses an option that the format has no use for: ignored, it would train on other targets than asked for.
    fn only(&self, format: &str, target: bool, targets: bool) -> Result<()> {
        let allowed = |place: &str| format!("left out: {format} has its targets in {place}");
        if format != SVMLIGHT {
            self.no_svmlight(format)?;
        }
        if let (Some(column), false) = (&self.target, target) {
            return Err(Error::option("data", "target", column, &allowed("files or arrays of their own")));
        }
        if let (Some(path), false) = (&self.targets, targets) {
            return Err(Error::option("data", "targets", path.display(), &allowed("the same place as the features")));
        }
        Ok(())
    }

    /// Refuses what SVMlight's form alone has a use for.
    fn no_svmlight(&self, format: &str) -> Result<()> {
        let allowed = format!("left out: {format} says it itself; it is for SVMlight's lines");
        let refuse = |name: &str, found: String| Err(Error::option("data", name, found, &allowed));
        match (&self.groups, self.features, self.zero_based) {
            (Some(path), _, _) => refuse("groups", path.display().to_string()),
            (_, Some(features), _) => refuse("features", features.to_string()),
            (_, _, Some(zero_based)) => refuse("zero_based", zero_based.to_string()),
            _ => Ok(()),
        }
    }
}

#[cfg(feature = "data")]
const FORMATS: &str = "a folder of IDX files with MNIST's names, .csv, .tsv, .txt, .svm (each also .gz), .npy, .npz";
#[cfg(not(feature = "data"))]
const FORMATS: &str =
    "a folder of IDX files with MNIST's names, .svm, .npy; with the feature `data` also .gz, .csv, .npz";

/// The format in messages.
const SVMLIGHT: &str = "SVMlight";

/// Reads a data set; what it is told by is a folder or the end of the file's name.
///
/// ```no_run
/// use gradus::data::{self, ReadOptions};
///
/// # fn main() -> gradus::Result<()> {
/// let images = data::read("data/fashion-mnist-12k", &ReadOptions::default())?;
/// let houses = data::read("housing.csv", &ReadOptions::default().target("median_house_value"))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Unknown`] with the formats there are; [`Error::Io`] if nothing is there; [`Error::Data`] if a file is not what its
/// format says; [`Error::Option`] for an option that the format has no use for.
pub fn read(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Split> {
    let path = path.as_ref();
    let metadata = std::fs::metadata(path).map_err(|source| Error::Io { path: path.into(), source })?;
    if metadata.is_dir() {
        options.only("a folder of IDX files", false, false)?;
        return read_idx_folder(path);
    }
    let alone = |train| Split { train, test: None };
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let svmlight = || {
        options.only(SVMLIGHT, false, false)?;
        read_svmlight(path, options).map(alone)
    };
    match extension(&name) {
        _ if is_svmlight(path) => svmlight(),
        #[cfg(feature = "data")]
        Some("csv" | "tsv" | "txt") => {
            options.only("a table", true, false)?;
            read_csv(path, options.target.as_deref()).map(alone)
        }
        Some("npy") => {
            options.only(".npy", false, true)?;
            read_npy(path, options.targets.as_deref()).map(alone)
        }
        #[cfg(feature = "data")]
        Some("npz") => {
            options.only(".npz", false, false)?;
            read_npz(path)
        }
        _ => {
            Err(Error::Unknown { kind: "data format".into(), found: path.display().to_string(), known: FORMATS.into() })
        }
    }
}

/// The files that [`read`] opens for a path, as far as they are there: what must not be written over.
pub fn sources(path: impl AsRef<Path>, options: &ReadOptions) -> Vec<PathBuf> {
    let path = path.as_ref();
    if path.is_dir() {
        return idx::files(path);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let beside = match extension(&name) {
        Some("npy") => options.targets.clone().or_else(|| npy::sibling(path)),
        _ if is_svmlight(path) => options.groups.clone().or_else(|| svmlight::companion(path)),
        _ => None,
    };
    [Some(path.to_path_buf()), beside].into_iter().flatten().filter(|path| path.exists()).collect()
}

/// Whether [`read`] takes a file for one of SVMlight's lines: by its name, or if it has another name than the other formats have and
/// begins so. LETOR's files end in `.txt`, LightGBM's in `.train`.
pub fn is_svmlight(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    match extension(&name) {
        Some("svm" | "svmlight" | "libsvm") => true,
        Some("csv" | "tsv" | "npy" | "npz") => false,
        _ => path.is_file() && svmlight::begins(path),
    }
}

/// The end of a file's name that says its format.
fn extension(name: &str) -> Option<&str> {
    name.trim_end_matches(".gz").rsplit_once('.').map(|(_, extension)| extension)
}

/// That all numbers read from a file are finite.
fn finite_in_file(path: &Path, inside: &str, values: &Array2<f32>) -> Result<()> {
    match dataset::first_non_finite(values) {
        None => Ok(()),
        Some((row, column, value)) => Err(Error::Data {
            path: path.into(),
            position: format!("row {row}, column {column}{inside}"),
            found: value.to_string(),
            expected: "a number that is finite in f32; clean or drop such rows".into(),
        }),
    }
}
