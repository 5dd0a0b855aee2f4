//! Cells that list several words, `Adventure|Children|Fantasy`, as a column for each word.

use std::collections::HashMap;

use ndarray::ArrayViewMut2;

use super::super::table::Column;
use super::EncodingOptions;
use super::categories::most_frequent;
use super::feature::Encoded;

/// So few words are no sign that each row has its own.
const FEW: usize = 20;

/// Whether nearly all words stand once among so many: what one row alone has says nothing about others.
pub(super) fn are_distinct(different: usize, all: usize) -> bool {
    different > FEW && 10 * different >= 9 * all
}

/// The words of a cell, each once, in their order.
fn parts(cell: &str, separator: char) -> Vec<&str> {
    let mut parts: Vec<&str> = Vec::new();
    for part in cell.split(separator).map(str::trim).filter(|part| !part.is_empty()) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts
}

/// Whether some of these cells lists more than one word.
pub(super) fn holds_lists(counted: &[(String, usize)], separator: char) -> bool {
    counted.iter().any(|(cell, _)| cell.contains(separator))
}

/// Learns the words that cells list, each of which stands in so many rows.
pub(super) fn lists(
    counted: Vec<(String, usize)>,
    separator: char,
    options: &EncodingOptions,
) -> Encoded {
    let (mut counts, mut all): (HashMap<String, usize>, usize) = (HashMap::new(), 0);
    for (cell, rows) in counted {
        for part in parts(&cell, separator) {
            *counts.entry(part.to_string()).or_default() += rows;
            all += rows;
        }
    }
    let mut words: Vec<(String, usize)> = counts.into_iter().collect();
    words.sort_unstable();
    if are_distinct(words.len(), all) {
        return Encoded::Nothing {
            reason: format!("{} different words in lists of {all}", words.len()),
        };
    }
    let rarer = words.len().saturating_sub(options.categories);
    let words =
        most_frequent(words, options.categories).into_iter().map(|(word, _)| word).collect();
    Encoded::Lists { words, separator, rarer }
}

/// 1 in the column of each word that a cell lists.
pub(super) fn write_lists(
    column: &Column,
    rows: &[usize],
    words: &[String],
    separator: char,
    to: &mut ArrayViewMut2<f32>,
) {
    let places: HashMap<&str, usize> =
        words.iter().enumerate().map(|(place, word)| (&**word, place)).collect();
    for (at, &row) in rows.iter().enumerate() {
        let Some(cell) = column.word(row) else { continue };
        for part in parts(&cell, separator) {
            if let Some(&place) = places.get(part) {
                to[[at, place]] = 1.0;
            }
        }
    }
}
