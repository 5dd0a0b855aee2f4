//! Format options of a text table; unset options are detected.

use std::fmt;

use crate::data::table::number::Decimal;

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
    /// Detected from the first rows: see [`Table::read`](crate::data::Table::read).
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
