//! Data from files, by one door: [`read`] takes a folder of IDX files, a CSV table, NumPy arrays or SVMlight's lines and gives a [`Split`].
//!
//! | what is read | features | targets |
//! |---|---|---|
//! | a folder with MNIST's names, plain or .gz | images as rows, bytes scaled by 1/255 | the label files |
//! | `.parquet`, `.feather`, `.arrow`, or what begins so, with the feature `parquet` | as tables of text | as tables of text |
//! | `.csv`, `.tsv`, `.txt`, plain or .gz | all other columns, numeric | the column `target`: numbers, or text as classes |
//! | a folder of `x.npy` and `y.npy` | as `.npy` | as `.npy` |
//! | `.npy` | dimensions after the first joined | `targets`, or the file beside it with `y` for `x` |
//! | `.svm`, `.svmlight`, `.libsvm`, or what begins as such; plain or .gz | `index:value`, what is left out is 0 | the labels; queries by `qid:` or the file beside it with `.query` behind its name |
//! | `.npz` | `x_train`, `X`, `features`, `train_images`, `data`, `arr_0` …; `x_test` … | `y_train`, `y`, `targets`, `train_labels`, `target`, `arr_1` …; `y_test` … |
//!
//! Ratings for a recommender have readers of their own: `read_ratings`, and `read_entities` for what is known of users and items.
//!
//! A file that is cut off, damaged or of another kind gives [`Error::Data`]: the file, the place, what stands there and what is
//! expected. NaN, infinities and empty cells are refused, never filled in. .gz, CSV and .npz need the feature `data`.

mod blocks;
#[cfg(feature = "data")]
mod columnar;
mod dataset;
mod elements;
mod encoding;
#[cfg(feature = "data")]
mod entities;
mod fingerprint;
mod idx;
#[cfg(feature = "data")]
mod large_split;
mod npy;
#[cfg(feature = "data")]
mod npz;
#[cfg(feature = "data")]
mod ratings;
#[cfg(feature = "data")]
mod rows;
mod source;
mod standardization;
mod svmlight;
mod table;
#[cfg(feature = "data")]
mod titles;

use std::path::{Path, PathBuf};

use ndarray::Array2;

pub use blocks::{Blocks, WeighedBlock};
pub use dataset::{Dataset, Target};
pub use encoding::{ColumnReport, Encoding, EncodingOptions, TargetEncoding, TargetKind};
#[cfg(feature = "data")]
pub use entities::{Entities, EntityKind, read_entities};
pub use idx::{Idx, read_idx, read_idx_folder, read_idx_pair};
#[cfg(feature = "data")]
pub use large_split::{KeptBlocks, LargeSplit, TableBlocks};
pub use npy::read_npy;
#[cfg(feature = "data")]
pub use npz::read_npz;
#[cfg(feature = "data")]
pub use ratings::{Duplicates, Ratings, RatingsOptions, read_ratings, read_ratings_with};
pub use standardization::Standardization;
pub use svmlight::read_svmlight;
pub use table::{Cells, Column, Decimal, Delimiter, Header, Table, TableOptions};
#[cfg(feature = "data")]
pub use table::{LargeTable, TablePieces, read_csv, table_bytes, table_head};
#[cfg(feature = "data")]
pub use titles::read_titles;

pub(crate) use fingerprint::Fingerprint;

use crate::cpu::random::Permutation;
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
            return Err(Error::option(
                "data",
                "target",
                column,
                &allowed("files or arrays of their own"),
            ));
        }
        if let (Some(path), false) = (&self.targets, targets) {
            return Err(Error::option(
                "data",
                "targets",
                path.display(),
                &allowed("the same place as the features"),
            ));
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
const FORMATS: &str = "a folder of IDX files with MNIST's names, .csv, .tsv, .tab, .txt, .data, .svm (each also .gz), .npy, .npz";
#[cfg(not(feature = "data"))]
const FORMATS: &str = "a folder of IDX files with MNIST's names, .svm, .npy; with the feature `data` also .gz, .csv, .npz";

/// The ends of tables' names.
const TABLES: [&str; 5] = ["csv", "tsv", "tab", "txt", "data"];

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
    let metadata =
        std::fs::metadata(path).map_err(|source| Error::Io { path: path.into(), source })?;
    if metadata.is_dir() {
        if let Some(arrays) = folder_of_arrays(path) {
            options.only(".npy", false, true)?;
            return read_npy(arrays, options.targets.as_deref())
                .map(|train| Split { train, test: None });
        }
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
        Some(ending) if TABLES.contains(&ending) || is_columnar(path) => {
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
        _ => Err(Error::Unknown {
            kind: "data format".into(),
            found: path.display().to_string(),
            known: FORMATS.into(),
        }),
    }
}

/// The features of a folder of `x.npy` and `y.npy`.
fn folder_of_arrays(folder: &Path) -> Option<PathBuf> {
    let names = ["x.npy", "X.npy", "x_train.npy", "X_train.npy", "features.npy"];
    names
        .into_iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
        .filter(|_| idx::files(folder).is_empty())
}

/// Whether a path is a folder of images in IDX files, which are scaled where they are read.
pub fn is_idx_folder(path: impl AsRef<Path>) -> bool {
    path.as_ref().is_dir() && folder_of_arrays(path.as_ref()).is_none()
}

/// The files that [`read`] opens for a path, as far as they are there: what must not be written over.
pub fn sources(path: impl AsRef<Path>, options: &ReadOptions) -> Vec<PathBuf> {
    let path = path.as_ref();
    if is_stdin(path) {
        return Vec::new();
    }
    if path.is_dir() {
        let arrays = folder_of_arrays(path);
        let targets =
            arrays.as_ref().and_then(|path| options.targets.clone().or_else(|| npy::sibling(path)));
        return if arrays.is_some() {
            arrays.into_iter().chain(targets).collect()
        } else {
            idx::files(path)
        };
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let beside = match extension(&name) {
        Some("npy") => options.targets.clone().or_else(|| npy::sibling(path)),
        _ if is_svmlight(path) => options.groups.clone().or_else(|| svmlight::companion(path)),
        _ => None,
    };
    [Some(path.to_path_buf()), beside].into_iter().flatten().filter(|path| path.exists()).collect()
}

/// Whether a path is that of standard input, also where a file has that name: `./-` is the file.
fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Whether [`read`] takes a file for one of SVMlight's lines: by its name, or if it has another name than the other formats have and
/// begins so. LETOR's files end in `.txt`, LightGBM's in `.train`.
pub fn is_svmlight(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    match extension(&name) {
        Some("svm" | "svmlight" | "libsvm") => true,
        Some("csv" | "tsv" | "tab" | "npy" | "npz") => false,
        // What is looked at here would be missing where it is read.
        _ if is_stdin(path) => false,
        _ => path.is_file() && svmlight::begins(path),
    }
}

/// Whether a path is that of a table: `-`, which is standard input, or a file that ends as tables do and is none of SVMlight's.
pub fn is_table(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    is_stdin(path)
        || is_columnar(path)
        || TABLES.contains(&extension(&name).unwrap_or_default()) && !is_svmlight(path)
}

/// Whether a path is that of a table in Parquet or Arrow IPC, which the feature `parquet` reads.
pub fn is_columnar(path: impl AsRef<Path>) -> bool {
    #[cfg(feature = "data")]
    let is_one = columnar::Format::of(path.as_ref()).is_some();
    #[cfg(not(feature = "data"))]
    let is_one = path.as_ref().extension().is_some_and(|end| end == "parquet" || end == "feather");
    is_one
}

/// The rows in an order of their own: `Permutation::new(rows, seed, 0)`, as [`Dataset::shuffled`] has them.
///
/// # Errors
/// [`Error::TooLarge`] beyond 2³² rows.
pub fn shuffled_rows(rows: usize, seed: u64) -> Result<Vec<usize>> {
    let length = most_rows(rows)?;
    let permutation = Permutation::new(length, seed, 0);
    Ok((0..length).map(|index| permutation.at(index) as usize).collect())
}

/// A number of rows that can be put in another order.
fn most_rows(rows: usize) -> Result<u32> {
    u32::try_from(rows).map_err(|_| Error::TooLarge {
        name: "the order of the rows".into(),
        bytes: 4 * rows as u64,
        limit: 4 * u64::from(u32::MAX),
        advice: "take fewer rows".into(),
    })
}

/// The end of a file's name that says its format.
fn extension(name: &str) -> Option<&str> {
    name.trim_end_matches(".gz").rsplit_once('.').map(|(_, extension)| extension)
}

/// The order of ids: whole numbers by value, of any length, then text by its letters.
pub(crate) fn compare_ids(one: &str, other: &str) -> std::cmp::Ordering {
    let key = |id: &str| {
        let is_whole = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        let digits = if is_whole { id.trim_start_matches('0').len() } else { 0 };
        (!is_whole, digits)
    };
    key(one)
        .cmp(&key(other))
        .then_with(|| one.trim_start_matches('0').cmp(other.trim_start_matches('0')))
        .then_with(|| one.cmp(other))
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
