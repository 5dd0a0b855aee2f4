//! The format of a columnar file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::data::names::{extension, is_stdin};

/// Format of a columnar file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum Format {
    Parquet,
    Arrow,
}

/// File extensions.
pub(super) const ENDS: [(&str, Format); 6] = [
    ("parquet", Format::Parquet),
    ("parq", Format::Parquet),
    ("pq", Format::Parquet),
    ("feather", Format::Arrow),
    ("arrow", Format::Arrow),
    ("ipc", Format::Arrow),
];

/// Magic bytes at the start of a file.
pub(super) const MAGICS: [(&[u8], Format); 3] =
    [(b"PAR1", Format::Parquet), (b"ARROW1", Format::Arrow), (b"FEA1", Format::Arrow)];

impl Format {
    /// Detects the format from the first bytes of a file, or from its name if the file does not
    /// exist.
    pub(in crate::data) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let by_name = ENDS
            .into_iter()
            .find(|(end, _)| extension(&name) == Some(end))
            .map(|(_, format)| format);
        // Do not peek into standard input: it would consume bytes.
        let mut start = Vec::new();
        if !is_stdin(path)
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

    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Parquet => "Parquet",
            Format::Arrow => "Arrow IPC (Feather)",
        }
    }
}
