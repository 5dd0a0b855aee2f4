//! Numeric encodings of table columns.

use serde::{Deserialize, Serialize};

/// Encoding of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoded {
    /// (x − mean) / scale.
    Number { mean: f64, scale: f64, fill: f64 },
    /// 1 for true, 0 for false.
    Truth { fill: bool },
    /// One column per word, and one shared by all other words if there were any.
    Words { words: Vec<String>, others: usize, fill: usize },
    /// One column per word listed in a cell; some rarer words may have none.
    Lists { words: Vec<String>, separator: char, rarer: usize },
    /// Left out, with the reason.
    Nothing { reason: String },
}
