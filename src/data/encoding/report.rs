//! Descriptions of encoded columns.

use std::fmt;

use crate::data::encoding::categories::some;
use crate::data::encoding::encoded::Encoded;

/// A column of the features that an encoding makes of a table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EncodedColumn {
    /// Its name: `age`, `sex=female`, `age is blank`.
    pub name: String,
    /// The column of the table that it is made of.
    pub column: String,
    /// Mean and scale of a number: the cell is mean + scale · feature. `None` for a column of 0 and
    /// 1.
    pub unit: Option<[f64; 2]>,
}

/// Encoding of one table column, as text.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ColumnReport {
    /// Name of the column.
    pub column: String,
    /// Detected type: `number`, `text`, `lists of words`, `true or false`, `left out`, `target`.
    pub taken_for: &'static str,
    /// Description of the encoding.
    pub became: String,
    /// Number of encoded columns.
    pub columns: usize,
    /// True if the column seems to merely identify the rows: consecutive whole numbers from 0 or 1
    /// in row order, or distinct ones under a name like `id`. It is still a feature.
    pub is_identifier: bool,
}

impl ColumnReport {
    pub(super) fn of_feature(
        column: &str,
        encoded: &Encoded,
        (blanks, are_zero): (usize, bool),
        columns: usize,
    ) -> Self {
        let (taken_for, mut became, fill) = match encoded {
            Encoded::Number { mean, scale, fill } if *mean == 0.0 && *scale == 1.0 => {
                ("number", "as it is".into(), format!("the median {}", short(*fill)))
            }
            Encoded::Number { mean, scale, fill } => (
                "number",
                format!("standardized: (x − {}) / {}", short(*mean), short(*scale)),
                format!("the median {}", short(*fill)),
            ),
            Encoded::Truth { fill } => {
                ("true or false", "1 and 0".into(), format!("{fill}, the more frequent"))
            }
            Encoded::Words { words, others, fill } => {
                let rest = if *others > 0 {
                    format!("; {others} rarer ones share one")
                } else {
                    String::new()
                };
                let text =
                    format!("a column for each of {} words ({}){rest}", words.len(), some(words));
                ("text", text, format!("`{}`, the most frequent", words[*fill]))
            }
            Encoded::Lists { words, separator, rarer } => {
                let rest = if *rarer > 0 {
                    format!("; {rarer} rarer ones have none")
                } else {
                    String::new()
                };
                let text = format!(
                    "a column for each of {} words ({}), of which a cell lists some with `{separator}`{rest}",
                    words.len(),
                    some(words)
                );
                ("lists of words", text, String::new())
            }
            Encoded::Nothing { reason } => ("left out", reason.clone(), String::new()),
        };
        if blanks > 0 && columns > 0 && are_zero {
            became += &format!("; {blanks} blank(s) count as nothing");
        } else if blanks > 0 && columns > 0 {
            became += &format!("; {blanks} blank(s) filled with {fill}, and marked in a column");
        }
        ColumnReport { column: column.into(), taken_for, became, columns, is_identifier: false }
    }
}

impl fmt::Display for ColumnReport {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        write!(to, "{}: {}: {}", self.column, self.taken_for, self.became)
    }
}

/// A number in six significant digits.
pub(super) fn short(number: f64) -> String {
    let size = number.abs();
    if number == 0.0 || (1e-4..1e15).contains(&size) {
        let digits = if size >= 1e5 {
            0
        } else {
            (5.0 - size.max(1e-4).log10().floor()).clamp(0.0, 9.0) as usize
        };
        let text = format!("{number:.digits$}");
        return if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').into()
        } else {
            text
        };
    }
    format!("{number:.5e}")
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_are_reported_in_six_digits() {
        for (number, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (206_855.816_9, "206856"),
            (3.870_671, "3.87067"),
            (0.012_345_678, "0.0123457"),
            (-12.5, "-12.5"),
            (1.6e9, "1600000000"),
            (1e-9, "1.00000e-9"),
            (100.0, "100"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
