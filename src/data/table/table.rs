//! Named columns of equal length.

use std::path::Path;

use crate::data::table::column::Column;
use crate::data::table::place::{Place, Spot};
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
    pub(super) columns: Vec<Column>,
    pub(super) rows: usize,
    pub(super) has_header: bool,
    pub(super) place: Place,
    pub(super) notes: Vec<String>,
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
    pub(in crate::data) fn of_file(
        path: &Path,
        columns: Vec<Column>,
        notes: Vec<String>,
    ) -> Result<Self> {
        let place = Place { path: path.into(), lines: Vec::new() };
        let rows = columns.first().map_or(0, Column::len);
        let table = Table { columns, rows, has_header: true, place, notes };
        table.check_names()?;
        Ok(table)
    }

    pub(super) fn check_names(&self) -> Result<()> {
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

    pub(super) fn unknown(&self, name: &str) -> Error {
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
    pub(in crate::data) fn wrong_cell(
        &self,
        row: usize,
        column: &str,
        found: String,
        expected: &str,
    ) -> Error {
        self.spot(row, column, found).error(expected)
    }

    /// A cell and its content, for an error that may be reported after the table was dropped.
    pub(in crate::data) fn spot(&self, row: usize, column: &str, found: String) -> Spot {
        let position = format!("{}, column `{column}`", self.place.of(row));
        Spot { path: self.place.path.clone(), position, found }
    }

    /// Position of a row in its file: `line 7`, or `row 5` for a table that was not read from one.
    pub fn line_of(&self, row: usize) -> String {
        self.place.of(row)
    }

    /// An [`Error::Data`] at a position.
    pub(in crate::data) fn wrong(&self, position: &str, found: String, expected: &str) -> Error {
        let position = position.to_string();
        Error::Data { path: self.place.path.clone(), position, found, expected: expected.into() }
    }
}
