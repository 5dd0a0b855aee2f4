//! Parquet and Arrow IPC (Feather): columnar files with typed columns.
//!
//! Reading requires the feature `parquet`; without it the files are still distinguished from text
//! tables.

#[cfg(feature = "parquet")]
pub(super) mod arrays;
pub(super) mod format;

use std::path::Path;

use crate::Result;
use crate::data::columnar::format::Format;
use crate::data::table::table::Table;

#[cfg(feature = "parquet")]
use crate::data::columnar::arrays::Layout;

#[cfg(not(feature = "parquet"))]
use crate::Error;

impl Format {
    /// Reads the table in a file.
    #[cfg(feature = "parquet")]
    pub(in crate::data) fn read(self, path: &Path) -> Result<Table> {
        Layout::open(self, path)?.whole()
    }

    /// Error: this build does not read columnar files.
    #[cfg(not(feature = "parquet"))]
    pub(in crate::data) fn read(self, path: &Path) -> Result<Table> {
        std::fs::metadata(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Err(Error::Input {
            operation: "data".into(),
            name: path.display().to_string(),
            found: format!("is {}", self.name()),
            allowed: "build gradus with its feature `parquet` (cargo install gradus --features parquet) to read it, or save it as CSV"
                .into(),
        })
    }
}
