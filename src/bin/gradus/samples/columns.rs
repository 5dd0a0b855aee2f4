//! Table of how each column was encoded.

use gradus::data::{ColumnReport, Encoding};
use serde_json::{Value, json};

use crate::output;

/// Maximum number of numeric columns listed individually; beyond it those without blanks share a
/// line.
const MOST_NUMBERS: usize = 12;

/// One line per column; empty for arrays.
pub fn columns_in_words(encoding: &Encoding) -> String {
    if !encoding.takes_tables() {
        return String::new();
    }
    let report = encoding.report();
    let plain: Vec<&ColumnReport> = report.iter().filter(|column| is_plain(column)).collect();
    let joined = plain.len() > MOST_NUMBERS;
    let mut table = output::table(&["column", "taken for", "what became of it", "columns"]);
    for column in report.iter().filter(|column| !(joined && is_plain(column))) {
        let advice = match column.is_identifier {
            true => {
                format!("; it seems to number the rows: --drop {} leaves it out", column.column)
            }
            false => String::new(),
        };
        let became = format!("{}{advice}", column.became);
        let (name, became) = (shortened(&column.column), shortened(&became));
        table.add_row([&*name, column.taken_for, &became, &column.columns.to_string()]);
    }
    if let (true, [first, .., last]) = (joined, &plain[..]) {
        let names = format!("{} … {}", first.column, last.column);
        let became =
            format!("{} columns without blanks, each standardized or as it is", plain.len());
        table.add_row([&names, "number", &became, &plain.len().to_string()]);
    }
    format!("{table}\n\n")
}

/// Letters of a word that a table shows: one of 100,000 would fill a terminal for minutes.
const MOST_LETTERS: usize = 60;

/// A text with its long words cut.
fn shortened(text: &str) -> String {
    let word = |word: &str| match word.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_string(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// True for a number without blanks.
fn is_plain(column: &ColumnReport) -> bool {
    column.taken_for == "number" && column.columns == 1 && !column.is_identifier
}

/// A list of objects; null for arrays.
pub fn columns_as_json(encoding: &Encoding) -> Value {
    if !encoding.takes_tables() {
        return Value::Null;
    }
    let column = |column: &ColumnReport| {
        json!({
            "column": column.column, "taken_for": column.taken_for, "became": column.became, "columns": column.columns,
            "identifier": column.is_identifier,
        })
    };
    encoding.report().iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_and_others_stay() {
        assert_eq!(shortened("one word, and two"), "one word, and two");
        let long = "ß".repeat(100_000);
        assert_eq!(shortened(&format!("a {long} b")), format!("a {}… b", "ß".repeat(60)));
    }
}
