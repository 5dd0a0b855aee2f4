//! Parquet and Arrow IPC (Feather): columnar files with typed columns.
//!
//! Reading requires the feature `parquet`; without it the files are still distinguished from text
//! tables.

#[cfg(feature = "parquet")]
mod arrays;

use std::fs::File;
use std::io::Read;
use std::path::Path;

#[cfg(feature = "parquet")]
pub(super) use arrays::Layout;

use super::table::Table;
#[cfg(not(feature = "parquet"))]
use crate::Error;
use crate::Result;

/// Format of a columnar file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Parquet,
    Arrow,
}

/// File extensions.
const ENDS: [(&str, Format); 6] = [
    ("parquet", Format::Parquet),
    ("parq", Format::Parquet),
    ("pq", Format::Parquet),
    ("feather", Format::Arrow),
    ("arrow", Format::Arrow),
    ("ipc", Format::Arrow),
];

/// Magic bytes at the start of a file.
const MAGICS: [(&[u8], Format); 3] =
    [(b"PAR1", Format::Parquet), (b"ARROW1", Format::Arrow), (b"FEA1", Format::Arrow)];

impl Format {
    /// Detects the format from the first bytes of a file, or from its name if the file does not
    /// exist.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let by_name = ENDS
            .into_iter()
            .find(|(end, _)| super::extension(&name) == Some(end))
            .map(|(_, format)| format);
        // Do not peek into standard input: it would consume bytes.
        let mut start = Vec::new();
        if !super::is_stdin(path)
            && path.is_file()
            && let Ok(file) = File::open(path)
        {
            let _ = file.take(6).read_to_end(&mut start);
        }
        MAGICS
            .into_iter()
            .find(|(magic, _)| start.starts_with(magic))
            .map(|(_, format)| format)
            .or(by_name)
    }

    fn name(self) -> &'static str {
        match self {
            Format::Parquet => "Parquet",
            Format::Arrow => "Arrow IPC (Feather)",
        }
    }

    /// Reads the table in a file.
    #[cfg(feature = "parquet")]
    pub(super) fn read(self, path: &Path) -> Result<Table> {
        Layout::open(self, path)?.whole()
    }

    /// Error: this build does not read columnar files.
    #[cfg(not(feature = "parquet"))]
    pub(super) fn read(self, path: &Path) -> Result<Table> {
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
