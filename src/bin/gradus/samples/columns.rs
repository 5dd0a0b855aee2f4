//! What became of the columns of a table, as a table of its own.

use gradus::data::{ColumnReport, Encoding};
use serde_json::{Value, json};

use crate::output;

/// Columns of numbers that are told one by one; of more, those without blanks share a line.
const MOST_NUMBERS: usize = 12;

/// A line for each column; empty for arrays.
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
        table.add_row([&*column.column, column.taken_for, &became, &column.columns.to_string()]);
    }
    if let (true, [first, .., last]) = (joined, &plain[..]) {
        let names = format!("{} … {}", first.column, last.column);
        let became =
            format!("{} columns without blanks, each standardized or as it is", plain.len());
        table.add_row([&names, "number", &became, &plain.len().to_string()]);
    }
    format!("{table}\n\n")
}

/// A number without blanks.
fn is_plain(column: &ColumnReport) -> bool {
    column.taken_for == "number" && column.columns == 1 && !column.is_identifier
}

/// As a list of objects; none for arrays.
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
