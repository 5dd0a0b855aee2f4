//! Cells that list several words, `Adventure|Children|Fantasy`, encoded with one column per word.

use std::collections::HashMap;

use ndarray::ArrayViewMut2;

use crate::data::encoding::categories::most_frequent;
use crate::data::encoding::encoded::Encoded;
use crate::data::encoding::options::EncodingOptions;
use crate::data::table::Column;

/// With at most this many distinct words the test for distinctness is not meaningful.
const FEW: usize = 20;

/// True if at least nine tenths of the words are distinct: a word of a single row does not
/// generalize.
pub(super) fn are_distinct(different: usize, all: usize) -> bool {
    different > FEW && 10 * different >= 9 * all
}

/// The distinct words of a cell, in order.
fn parts(cell: &str, separator: char) -> Vec<&str> {
    let mut parts: Vec<&str> = Vec::new();
    for part in cell.split(separator).map(str::trim).filter(|part| !part.is_empty()) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts
}

/// True if some of these cells list more than one word.
pub(super) fn holds_lists(counted: &[(String, usize)], separator: char) -> bool {
    counted.iter().any(|(cell, _)| cell.contains(separator))
}

/// Fits the words listed in cells, given with their numbers of rows.
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

/// Writes 1 in the column of each word listed in a cell.
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
