//! Words as numbers of their list, whether a file writes them as words or as numbers.

use std::collections::HashMap;

use super::super::table::{Cells, Column};

/// The words of a column by how often they stand in some rows, and their order: numbers ascending, then words.
pub(super) fn counted(column: &Column, rows: &[usize]) -> Vec<(String, usize)> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    match column.cells() {
        Cells::Words { codes, words } => {
            let mut of_code = vec![0; words.len()];
            for &row in rows.iter().filter(|&&row| !column.is_blank(row)) {
                of_code[codes[row] as usize] += 1;
            }
            counts.extend(words.iter().cloned().zip(of_code).filter(|(_, count)| *count > 0));
        }
        Cells::Numbers(_) => {
            for text in rows.iter().filter_map(|&row| column.text(row)) {
                match counts.get_mut(&*text) {
                    Some(count) => *count += 1,
                    None => {
                        counts.insert(text.into_owned(), 1);
                    }
                }
            }
        }
    }
    let mut counted: Vec<(String, usize)> = counts.into_iter().collect();
    counted.sort_unstable_by(|(one, _), (other, _)| order(one, other));
    counted
}

/// The most frequent of counted words, in their order.
pub(super) fn most_frequent(counted: Vec<(String, usize)>, most: usize) -> Vec<(String, usize)> {
    let mut by_count: Vec<usize> = (0..counted.len()).collect();
    by_count.sort_by_key(|&place| std::cmp::Reverse(counted[place].1));
    by_count.truncate(most);
    by_count.sort_unstable();
    by_count.into_iter().map(|place| counted[place].clone()).collect()
}

/// Numbers by value and before words; words by their letters.
fn order(one: &str, other: &str) -> std::cmp::Ordering {
    let key = |word: &str| word.parse::<f64>().ok().filter(|number| number.is_finite());
    match (key(one), key(other)) {
        (Some(a), Some(b)) => a.total_cmp(&b).then_with(|| one.cmp(other)),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => one.cmp(other),
    }
}

/// The place of each row's word in a list; none for a blank, an error of the row for a word that is not there. In a list of words `-` is one
/// of them though it is a blank among numbers, and a file may hold nothing else.
pub(super) fn places(column: &Column, list: &[String], rows: &[usize]) -> Vec<Result<Option<usize>, usize>> {
    let of: HashMap<&str, usize> = list.iter().enumerate().map(|(place, word)| (&**word, place)).collect();
    let found = |row: usize, text: &str| of.get(text).copied().map(Some).ok_or(row);
    match column.cells() {
        Cells::Words { codes, words } => {
            let by_code: Vec<Option<usize>> = words.iter().map(|word| of.get(&**word).copied()).collect();
            let place = |&row: &usize| match column.is_blank(row) {
                true => Ok(None),
                false => by_code[codes[row] as usize].map(Some).ok_or(row),
            };
            rows.iter().map(place).collect()
        }
        Cells::Numbers(_) => {
            rows.iter().map(|&row| column.word(row).map_or(Ok(None), |text| found(row, &text))).collect()
        }
    }
}

/// `true` and `false` in any case.
pub(super) fn truth(word: &str) -> Option<bool> {
    if word.eq_ignore_ascii_case("true") {
        Some(true)
    } else if word.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Some of the words, as a message shows them.
pub(super) fn some(words: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = words.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if words.len() > SHOWN { format!("{shown}, …") } else { shown }
}
