//! Parquet and Arrow IPC (Feather): files that hold their columns with their types.
//!
//! Behind the feature `parquet`; without it such a file is told from a table of text all the same.

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

/// What such a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Parquet,
    Arrow,
}

/// The ends of such files' names.
const ENDS: [(&str, Format); 6] = [
    ("parquet", Format::Parquet),
    ("parq", Format::Parquet),
    ("pq", Format::Parquet),
    ("feather", Format::Arrow),
    ("arrow", Format::Arrow),
    ("ipc", Format::Arrow),
];

/// What a file begins with.
const MAGICS: [(&[u8], Format); 3] =
    [(b"PAR1", Format::Parquet), (b"ARROW1", Format::Arrow), (b"FEA1", Format::Arrow)];

impl Format {
    /// What a path is by its first bytes, or by its name where there is no such file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let by_name = ENDS
            .into_iter()
            .find(|(end, _)| super::extension(&name) == Some(end))
            .map(|(_, format)| format);
        // To look into a pipe would take its bytes away.
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

    /// The table in a file.
    #[cfg(feature = "parquet")]
    pub(super) fn read(self, path: &Path) -> Result<Table> {
        Layout::open(self, path)?.whole()
    }

    /// That this build reads no such file.
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
