//! Tables: columns of numbers and of words, as they stand in a file.
//!
//! A [`Table`] says what is in a file and nothing about a model: blanks stay blank, words stay words. [`super::Encoding`] makes
//! numbers for a network out of it.

// Without the feature no file is read as a table: what takes cells apart then has no caller.
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

/// Columns of one length with a name each.
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

/// Where the rows of a table stand, for messages.
#[derive(Debug, Clone, Default, PartialEq)]
struct Place {
    path: PathBuf,
    /// A row and its line, wherever a line does not follow the one before.
    lines: Vec<(usize, u64)>,
}

/// A cell and what stands there.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    path: PathBuf,
    position: String,
    found: String,
}

impl Spot {
    /// An [`Error::Data`] there.
    pub(super) fn error(&self, expected: &str) -> Error {
        let Spot { path, position, found } = self.clone();
        Error::Data { path, position, found, expected: expected.into() }
    }

    /// With more said of what stands there.
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

    /// `line 7`, or `row 5` of a table that was not read from a file.
    fn of(&self, row: usize) -> String {
        let before = self.lines.partition_point(|&(first, _)| first <= row);
        match before.checked_sub(1).map(|place| self.lines[place]) {
            Some((first, line)) => format!("line {}", line + (row - first) as u64),
            None => format!("row {row}"),
        }
    }
}

/// What parts the fields of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// A byte such as `,`, `;`, tab or `|`.
    Byte(u8),
    /// Spaces and tabs, as many as there are.
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

/// Whether the first row of a file names the columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Header {
    /// Told from the first rows: see [`Table::read`].
    #[default]
    Auto,
    /// It does.
    Yes,
    /// It is a row as the others; columns are named by their indices from 0.
    No,
    /// It is a row as the others, unless it is 0, 1, 2 …, as pandas numbers columns without names: for files in the form of one that had no
    /// header.
    Indices,
}

/// How a file is read. The default tells everything from its beginning.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableOptions {
    /// Whether the first row names the columns.
    pub header: Header,
    /// What parts the fields.
    pub delimiter: Option<Delimiter>,
    /// The mark of decimals.
    pub decimal: Option<Decimal>,
    /// Names of columns that a model knows: a first row that holds all of them is a header, whatever it looks like.
    pub known: Vec<String>,
}

impl Table {
    /// A table of columns.
    ///
    /// # Errors
    /// [`Error::Shape`] if their lengths differ, [`Error::Input`] if two have one name.
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

    /// The columns of a file that has no lines.
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
            // The second one would be taken for the first, or tell the answer as a feature.
            Some(two) => Err(self.wrong(
                "the header",
                format!("two columns `{}`", two[0]),
                "a name of its own for each column",
            )),
            None => Ok(()),
        }
    }

    /// How many rows there are.
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

    /// Whether the names stood in the file; else they are indices from 0.
    pub fn has_header(&self) -> bool {
        self.has_header
    }

    /// What was found about the form of the file that a reader cannot see in the columns, one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The file that it was read from; empty if none.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// The place of the column of that name.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the names there are.
    pub fn position(&self, name: &str) -> Result<usize> {
        self.names().position(|found| found == name).ok_or_else(|| self.unknown(name))
    }

    /// The column of that name.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the names there are.
    pub fn column(&self, name: &str) -> Result<&Column> {
        Ok(&self.columns[self.position(name)?])
    }

    /// Without the columns of these names.
    ///
    /// # Errors
    /// [`Error::Unknown`] if one is not there.
    pub fn without(mut self, names: &[String]) -> Result<Self> {
        for name in names {
            let place = self.position(name)?;
            self.columns.remove(place);
        }
        Ok(self)
    }

    /// With the columns of these names alone, in the table's order.
    ///
    /// # Errors
    /// [`Error::Unknown`] if one is not there.
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

    /// A cell and what stands there, of which an error may be told when the table is gone.
    pub(super) fn spot(&self, row: usize, column: &str, found: String) -> Spot {
        let position = format!("{}, column `{column}`", self.place.of(row));
        Spot { path: self.place.path.clone(), position, found }
    }

    /// Where a row stands in its file: `line 7`; `row 5` of a table that was not read from one.
    pub fn line_of(&self, row: usize) -> String {
        self.place.of(row)
    }

    /// An [`Error::Data`] at a place.
    pub(super) fn wrong(&self, position: &str, found: String, expected: &str) -> Error {
        let position = position.to_string();
        Error::Data { path: self.place.path.clone(), position, found, expected: expected.into() }
    }
}
