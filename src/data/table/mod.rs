//! Tables: columns of numbers and of words, as stored in a file.
//!
//! A [`Table`] represents the file's content, independent of any model: blanks stay blank, words
//! stay words. [`super::Encoding`] turns it into numbers for a network.

// Without the feature tables are not read from files, and the parsers are unused.
#[cfg(feature = "data")]
mod chunks;
#[cfg_attr(not(feature = "data"), allow(dead_code))]
pub(super) mod column;
#[cfg(feature = "data")]
mod cut;
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
pub(super) mod number;
mod options;
mod place;
#[cfg(feature = "data")]
mod read;
#[cfg(feature = "data")]
mod records;
mod strict;
#[allow(clippy::module_inception)] // the file of `Table`
pub(super) mod table;
#[cfg(feature = "data")]
mod text;

pub use column::{Cells, Column};
#[cfg(feature = "data")]
pub use large::{LargeTable, TablePieces, table_bytes, table_head};
pub use number::Decimal;
pub use options::{Delimiter, Header, TableOptions};
pub(super) use place::Spot;
#[cfg(feature = "data")]
pub(super) use records::Records;
#[cfg(feature = "data")]
pub use strict::read_csv;
pub use table::Table;
