//! Data from files: [`read`] takes a folder of IDX files, a CSV table, NumPy arrays or SVMlight
//! files and returns a [`Split`].
//!
//! * Folder with MNIST's names, plain or .gz: images as rows, bytes scaled by 1/255; targets from
//!   the label files.
//! * `.csv`, `.tsv`, `.txt`, plain or .gz: all other columns, numeric; targets from the column
//!   `target`, numbers, or text as classes.
//! * `.parquet`, `.feather`, `.arrow`, or a file that begins like one, with the feature `parquet`:
//!   as text tables.
//! * `.npy`: dimensions after the first flattened; targets from `targets`, or from the file beside
//!   it with `y` for `x`.
//! * Folder of `x.npy` and `y.npy`: as `.npy`.
//! * `.npz`: features from `x_train`, `X`, `features`, `train_images`, `data`, `arr_0` …; `x_test`
//!   …; targets from `y_train`, `y`, `targets`, `train_labels`, `target`, `arr_1` …; `y_test` ….
//! * `.svm`, `.svmlight`, `.libsvm`, or a file that begins like one; plain or .gz: `index:value`,
//!   omitted features are 0; targets from the labels; queries from `qid:` or the file beside it
//!   with `.query` appended.
//!
//! A recommender's files have their own readers: `read_ratings`, and `read_entities` for side
//! features of users and items.
//!
//! A truncated, damaged or mismatched file gives [`Error::Data`]: the file, the position, the
//! content found and the content expected. NaN, infinities and empty cells are rejected, never
//! filled in. .gz, CSV and .npz need the feature `data`.

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
mod names;
mod npy;
#[cfg(feature = "data")]
mod npz;
mod options;
#[cfg(feature = "data")]
mod ratings;
#[cfg(feature = "data")]
mod rows;
mod shuffle;
mod source;
mod standardization;
mod svmlight;
mod table;
pub mod text;
#[cfg(feature = "data")]
mod titles;

use std::path::{Path, PathBuf};

use crate::data::names::{extension, is_stdin};
use crate::data::options::SVMLIGHT;
use crate::{Error, Result};

pub use blocks::{Blocks, WeighedBlock};
pub use dataset::{Dataset, Target};
pub use encoding::{
    ColumnReport, EncodedColumn, Encoding, EncodingOptions, TargetEncoding, TargetKind,
};
#[cfg(feature = "data")]
pub use entities::{Entities, EntityKind, read_entities};
pub use idx::{Idx, read_idx, read_idx_folder, read_idx_pair};
#[cfg(feature = "data")]
pub use large_split::{KeptBlocks, LargeSplit, TableBlocks};
pub(crate) use names::compare_ids;
pub use npy::{npy_shape, read_npy};
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

pub use crate::data::options::{ReadOptions, Split};
pub use crate::data::shuffle::shuffled_rows;

#[cfg(feature = "data")]
const FORMATS: &str = "a folder of IDX files with MNIST's names, .csv, .tsv, .tab, .txt, .data, .svm (each also .gz), .npy, .npz";
#[cfg(not(feature = "data"))]
const FORMATS: &str = "a folder of IDX files with MNIST's names, .svm, .npy; with the feature `data` also .gz, .csv, .npz";

/// Extensions of table files.
const TABLES: [&str; 5] = ["csv", "tsv", "tab", "txt", "data"];

/// Reads a data set; the format follows from the folder's content or the file's extension.
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
/// [`Error::Unknown`] with the known formats; [`Error::Io`] if the path does not exist;
/// [`Error::Data`] if a file violates its format; [`Error::Option`] for an option that the format
/// does not use.
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

/// True if a path is a folder of images in IDX files, which are scaled when read.
pub fn is_idx_folder(path: impl AsRef<Path>) -> bool {
    path.as_ref().is_dir() && folder_of_arrays(path.as_ref()).is_none()
}

/// The existing files that [`read`] opens for a path, which must not be overwritten.
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

/// True if [`read`] interprets a file as SVMlight: by its extension, or by its first lines if the
/// extension is not that of another format. LETOR's files end in `.txt`, LightGBM's in `.train`.
pub fn is_svmlight(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    match extension(&name) {
        Some("svm" | "svmlight" | "libsvm") => true,
        Some("csv" | "tsv" | "tab" | "npy" | "npz") => false,
        // Bytes read here would be missing later.
        _ if is_stdin(path) => false,
        _ => path.is_file() && svmlight::begins(path),
    }
}

/// True for the path of a table: `-`, standard input, or a file with a table's extension that is
/// not SVMlight.
pub fn is_table(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    is_stdin(path)
        || is_columnar(path)
        || TABLES.contains(&extension(&name).unwrap_or_default()) && !is_svmlight(path)
}

/// True for the path of a table in Parquet or Arrow IPC, which the feature `parquet` reads.
pub fn is_columnar(path: impl AsRef<Path>) -> bool {
    #[cfg(feature = "data")]
    let is_one = columnar::format::Format::of(path.as_ref()).is_some();
    #[cfg(not(feature = "data"))]
    let is_one = path.as_ref().extension().is_some_and(|end| end == "parquet" || end == "feather");
    is_one
}
