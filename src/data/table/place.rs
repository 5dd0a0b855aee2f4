//! Position of a row or a cell in its file.

use std::path::PathBuf;

use crate::Error;

/// Position of a table's rows in the file, for messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// A row and its line, wherever a line does not directly follow the previous one.
    pub(super) lines: Vec<(usize, u64)>,
}

/// A cell and its content, for an error message.
#[derive(Debug, Clone)]
pub(in crate::data) struct Spot {
    pub(super) path: PathBuf,
    pub(super) position: String,
    pub(super) found: String,
}

impl Spot {
    /// An [`Error::Data`] at this cell.
    pub(in crate::data) fn error(&self, expected: &str) -> Error {
        let Spot { path, position, found } = self.clone();
        Error::Data { path, position, found, expected: expected.into() }
    }

    /// Appends to the description of the content.
    pub(in crate::data) fn with(mut self, more: &str) -> Self {
        self.found += more;
        self
    }
}

impl Place {
    #[cfg(feature = "data")]
    pub(super) fn add(&mut self, row: usize, line: u64) {
        let next = self.lines.last().map(|&(first, line)| line + (row - first) as u64);
        if next != Some(line) {
            self.lines.push((row, line));
        }
    }

    /// `line 7`, or `row 5` for a table that was not read from a file.
    pub(super) fn of(&self, row: usize) -> String {
        let before = self.lines.partition_point(|&(first, _)| first <= row);
        match before.checked_sub(1).map(|place| self.lines[place]) {
            Some((first, line)) => format!("line {}", line + (row - first) as u64),
            None => format!("row {row}"),
        }
    }
}
