//! Tables: columns of numbers and of words, as stored in a file.
//!
//! A [`Table`] represents the file's content, independent of any model: blanks stay blank, words
//! stay words. [`super::Encoding`] turns it into numbers for a network.

// Without the feature tables are not read from files, and the parsers are unused.
#[cfg(feature = "data")]
mod chunks;
#[cfg_attr(not(feature = "data"), allow(dead_code))]
mod column;
#[cfg(feature = "data")]
mod dialect;
#[cfg(feature = "data")]
mod form;
#[cfg(feature = "data")]
mod fragment;
#[cfg(feature = "data")]
mod header;
#[cfg(feature = "data")]
mod large;
#[cfg_attr(not(feature = "data"), allow(dead_code))]
mod number;
#[cfg(feature = "data")]
mod read;
#[cfg(feature = "data")]
mod records;
mod strict;
#[cfg(feature = "data")]
mod text;

use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(feature = "parquet")]
pub(super) use column::{Builder, Kind};
pub use column::{Cells, Column};
#[cfg(feature = "data")]
pub use large::{LargeTable, TablePieces, table_bytes, table_head};
pub use number::Decimal;
#[cfg(feature = "data")]
pub(super) use records::Records;
#[cfg(feature = "data")]
pub use strict::read_csv;

use crate::{Error, Result};

/// Named columns of equal length.
///
/// ```
/// use gradus::data::{Cells, Column, Table};
///
/// let rooms = Column::numbers("rooms", vec![3.0, f64::NAN, 5.0]);
/// let ocean = Column::words("ocean", ["near", "far", "near"]);
/// let table = Table::new(vec![rooms, ocean])?;
/// assert_eq!(table.rows(), 3);
/// assert!(matches!(table.column("ocean")?.cells(), Cells::Words { .. }));
/// assert!(table.column("oceans").is_err());
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: Vec<Column>,
    rows: usize,
    has_header: bool,
    place: Place,
    notes: Vec<String>,
}

/// Position of a table's rows in the file, for messages.
#[derive(Debug, Clone, Default, PartialEq)]
struct Place {
    path: PathBuf,
    /// A row and its line, wherever a line does not directly follow the previous one.
    lines: Vec<(usize, u64)>,
}

/// A cell and its content, for an error message.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    path: PathBuf,
    position: String,
    found: String,
}

impl Spot {
    /// An [`Error::Data`] at this cell.
    pub(super) fn error(&self, expected: &str) -> Error {
        let Spot { path, position, found } = self.clone();
        Error::Data { path, position, found, expected: expected.into() }
    }

    /// Appends to the description of the content.
    pub(super) fn with(mut self, more: &str) -> Self {
        self.found += more;
        self
    }
}

impl Place {
    #[cfg(feature = "data")]
    fn add(&mut self, row: usize, line: u64) {
        let next = self.lines.last().map(|&(first, line)| line + (row - first) as u64);
        if next != Some(line) {
            self.lines.push((row, line));
        }
    }

    /// `line 7`, or `row 5` for a table that was not read from a file.
    fn of(&self, row: usize) -> String {
        let before = self.lines.partition_point(|&(first, _)| first <= row);
        match before.checked_sub(1).map(|place| self.lines[place]) {
            Some((first, line)) => format!("line {}", line + (row - first) as u64),
            None => format!("row {row}"),
        }
    }
}

/// Field separator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// A byte, e.g. `,`, `;`, tab or `|`.
    Byte(u8),
    /// Any number of spaces and tabs.
    Spaces,
    /// `::`, as in MovieLens 1M.
    Colons,
}

impl fmt::Display for Delimiter {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Delimiter::Byte(b'\t') => write!(to, "tabs"),
            Delimiter::Byte(byte) => write!(to, "`{}`", char::from(*byte)),
            Delimiter::Spaces => write!(to, "spaces"),
            Delimiter::Colons => write!(to, "`::`"),
        }
    }
}

/// Presence of a header row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Header {
    /// Detected from the first rows: see [`Table::read`].
    #[default]
    Auto,
    /// The first row names the columns.
    Yes,
    /// The first row is data; columns are named by their indices from 0.
    No,
    /// The first row is data, unless it is 0, 1, 2 …, as pandas numbers columns without names: for
    /// files in the format of one without a header.
    Indices,
}

/// Options for reading a table. By default everything is detected from the beginning of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableOptions {
    /// Presence of a header row.
    pub header: Header,
    /// Field separator.
    pub delimiter: Option<Delimiter>,
    /// Decimal mark.
    pub decimal: Option<Decimal>,
    /// Names of columns that a model knows: a first row that contains all of them is always a
    /// header.
    pub known: Vec<String>,
}

impl Table {
    /// A table of columns.
    ///
    /// # Errors
    /// [`Error::Shape`] if their lengths differ; [`Error::Input`] if two have the same name.
    pub fn new(columns: Vec<Column>) -> Result<Self> {
        let rows = columns.first().map_or(0, Column::len);
        if let Some(other) = columns.iter().find(|column| column.len() != rows) {
            return Err(Error::Shape {
                operation: "table".into(),
                found: format!(
                    "column `{}` has {rows} rows but `{}` has {}",
                    columns[0].name(),
                    other.name(),
                    other.len()
                ),
                allowed: "all columns must have as many".into(),
            });
        }
        let table =
            Table { columns, rows, has_header: true, place: Place::default(), notes: Vec::new() };
        table.check_names()?;
        Ok(table)
    }

    /// A table from a file without lines.
    #[cfg(feature = "parquet")]
    pub(super) fn of_file(path: &Path, columns: Vec<Column>, notes: Vec<String>) -> Result<Self> {
        let place = Place { path: path.into(), lines: Vec::new() };
        let rows = columns.first().map_or(0, Column::len);
        let table = Table { columns, rows, has_header: true, place, notes };
        table.check_names()?;
        Ok(table)
    }

    fn check_names(&self) -> Result<()> {
        let mut names: Vec<&str> = self.names().collect();
        names.sort_unstable();
        match names.windows(2).find(|two| two[0] == two[1]) {
            // The second one would be taken for the first, or leak the target as a feature.
            Some(two) => Err(self.wrong(
                "the header",
                format!("two columns `{}`", two[0]),
                "a name of its own for each column",
            )),
            None => Ok(()),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The names of the columns in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(Column::name)
    }

    /// True if the names are from the file; otherwise they are indices from 0.
    pub fn has_header(&self) -> bool {
        self.has_header
    }

    /// Notes on the file's format that the columns do not show, one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The source file; empty if there is none.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// The index of a column by name.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the available names.
    pub fn position(&self, name: &str) -> Result<usize> {
        self.names().position(|found| found == name).ok_or_else(|| self.unknown(name))
    }

    /// A column by name.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the available names.
    pub fn column(&self, name: &str) -> Result<&Column> {
        Ok(&self.columns[self.position(name)?])
    }

    /// Drops the columns with these names.
    ///
    /// # Errors
    /// [`Error::Unknown`] if one does not exist.
    pub fn without(mut self, names: &[String]) -> Result<Self> {
        for name in names {
            let place = self.position(name)?;
            self.columns.remove(place);
        }
        Ok(self)
    }

    /// Selects the columns with these names, in the table's order.
    ///
    /// # Errors
    /// [`Error::Unknown`] if one does not exist.
    pub fn only(mut self, names: &[String]) -> Result<Self> {
        for name in names {
            self.position(name)?;
        }
        self.columns.retain(|column| names.iter().any(|name| name == column.name()));
        Ok(self)
    }

    fn unknown(&self, name: &str) -> Error {
        let most = 40;
        let mut known = self.names().take(most).collect::<Vec<_>>().join(", ");
        if self.columns.len() > most {
            known = format!("{known} … ({} in all)", self.columns.len());
        }
        if !self.has_header {
            known += " (the file has no header; --header yes takes its first row for one)";
        }
        Error::Unknown {
            kind: format!("column of {}", self.place.path.display()),
            found: name.into(),
            known,
        }
    }

    /// An [`Error::Data`] at a cell.
    pub(super) fn wrong_cell(
        &self,
        row: usize,
        column: &str,
        found: String,
        expected: &str,
    ) -> Error {
        self.spot(row, column, found).error(expected)
    }

    /// A cell and its content, for an error that may be reported after the table was dropped.
    pub(super) fn spot(&self, row: usize, column: &str, found: String) -> Spot {
        let position = format!("{}, column `{column}`", self.place.of(row));
        Spot { path: self.place.path.clone(), position, found }
    }

    /// Position of a row in its file: `line 7`, or `row 5` for a table that was not read from one.
    pub fn line_of(&self, row: usize) -> String {
        self.place.of(row)
    }

    /// An [`Error::Data`] at a position.
    pub(super) fn wrong(&self, position: &str, found: String, expected: &str) -> Error {
        let position = position.to_string();
        Error::Data { path: self.place.path.clone(), position, found, expected: expected.into() }
    }
}
