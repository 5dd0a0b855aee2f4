//! Categories: text cells as indices into a list, whether a file writes them as words or as
//! numbers.

use std::collections::{BTreeSet, HashMap};

use crate::Result;
use crate::data::encoding::numbers::Memory;
use crate::data::table::table::Table;
use crate::data::table::{Cells, Column, Spot};

/// Maximum number of distinct words counted with bounded memory. Beyond it the rarer half is
/// dropped: a word in a thirty-thousandth of the rows, wherever they are, is kept.
const MOST_COUNTED: usize = 1 << 16;

/// If at least this fraction of a column's cells are numbers, a word in it is taken for an error in
/// the file.
const NEARLY_ALL: f64 = 0.9;

/// With at least this many distinct numbers beside a word the numbers are not category names.
const MANY_NUMBERS: usize = 8;

/// Number of occurrences of each word.
#[derive(Debug)]
pub(super) struct Counts {
    memory: Memory,
    counts: HashMap<String, usize>,
    /// Number of dropped words, counted once per drop.
    forgotten: usize,
}

impl Counts {
    pub(super) fn new(memory: Memory) -> Self {
        Counts { memory, counts: HashMap::new(), forgotten: 0 }
    }

    /// Counts the words of some rows of a text column.
    pub(super) fn add(&mut self, column: &Column, rows: &[usize]) {
        let Cells::Words { codes, words } = column.cells() else { return };
        let mut of_code = vec![0; words.len()];
        for &row in rows.iter().filter(|&&row| !column.is_blank(row)) {
            of_code[codes[row] as usize] += 1;
        }
        for (word, count) in words.iter().zip(of_code).filter(|(_, count)| *count > 0) {
            match self.counts.get_mut(word) {
                Some(sum) => *sum += count,
                None => {
                    self.counts.insert(word.clone(), count);
                }
            }
        }
        if self.memory == Memory::Bounded && self.counts.len() > MOST_COUNTED {
            self.forget();
        }
    }

    fn forget(&mut self) {
        let mut all: Vec<(String, usize)> = self.counts.drain().collect();
        all.sort_unstable_by(|(one, a), (other, b)| b.cmp(a).then_with(|| one.cmp(other)));
        self.forgotten += all.len() - MOST_COUNTED / 2;
        all.truncate(MOST_COUNTED / 2);
        self.counts = all.into_iter().collect();
    }

    /// The sorted words, numbers ascending before other text, with their counts; and the number of
    /// dropped words.
    pub(super) fn sorted(self) -> (Vec<(String, usize)>, usize) {
        let mut counted: Vec<(String, usize)> = self.counts.into_iter().collect();
        counted.sort_unstable_by(|(one, _), (other, _)| order(one, other));
        (counted, self.forgotten)
    }
}

/// The most frequent of the counted words, in their original order.
pub(super) fn most_frequent(counted: Vec<(String, usize)>, most: usize) -> Vec<(String, usize)> {
    let mut by_count: Vec<usize> = (0..counted.len()).collect();
    by_count.sort_by_key(|&place| std::cmp::Reverse(counted[place].1));
    by_count.truncate(most);
    by_count.sort_unstable();
    by_count.into_iter().map(|place| counted[place].clone()).collect()
}

/// Sort order: numbers by value, before words; words alphabetically.
pub(super) fn order(one: &str, other: &str) -> std::cmp::Ordering {
    let key = |word: &str| word.parse::<f64>().ok().filter(|number| number.is_finite());
    match (key(one), key(other)) {
        (Some(a), Some(b)) => a.total_cmp(&b).then_with(|| one.cmp(other)),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => one.cmp(other),
    }
}

/// Detects stray words in an otherwise numeric column: taken as categories, they would make one of
/// each number.
#[derive(Debug, Default)]
pub(super) struct AmongNumbers {
    known: usize,
    numbers: usize,
    /// Distinct numbers, up to the number that matters.
    different: BTreeSet<String>,
    first: Option<Spot>,
}

impl AmongNumbers {
    /// Counts all rows of a text column.
    pub(super) fn add(&mut self, table: &Table, column: &Column) {
        let Cells::Words { codes, words } = column.cells() else { return };
        let is_number: Vec<bool> =
            words.iter().map(|word| word.parse::<f64>().is_ok_and(f64::is_finite)).collect();
        for word in words.iter().zip(&is_number).filter(|(_, is)| **is).map(|(word, _)| word) {
            if self.different.len() == MANY_NUMBERS {
                break;
            }
            self.different.insert(word.clone());
        }
        for row in (0..codes.len()).filter(|&row| !column.is_blank(row)) {
            self.known += 1;
            if is_number[codes[row] as usize] {
                self.numbers += 1;
            } else if self.first.is_none() {
                self.first = Some(table.spot(row, column.name(), table.shown(column, row)));
            }
        }
    }

    /// Returns an error if the words look like mistakes.
    pub(super) fn check(&self) -> Result<()> {
        let (numbers, known) = (self.numbers, self.known);
        if self.different.len() < MANY_NUMBERS || (numbers as f64) < NEARLY_ALL * known as f64 {
            return Ok(());
        }
        let Some(first) = &self.first else { return Ok(()) };
        let expected = format!(
            "a number, as in {numbers} of the {known} cells; mend it, leave it empty, say --decimal if it is one, or leave the column out"
        );
        Err(first.error(&expected))
    }
}

/// The index of each row's word in a list; none for a blank, the row as an error for an unknown
/// word. `-` may be a listed word although it is a blank among numbers, and a file may contain
/// nothing else.
pub(super) fn places(
    column: &Column,
    list: &[String],
    rows: &[usize],
) -> Vec<Result<Option<usize>, usize>> {
    let of: HashMap<&str, usize> =
        list.iter().enumerate().map(|(place, word)| (&**word, place)).collect();
    let found = |row: usize, text: &str| of.get(text).copied().map(Some).ok_or(row);
    match column.cells() {
        Cells::Words { codes, words } => {
            let by_code: Vec<Option<usize>> =
                words.iter().map(|word| of.get(&**word).copied()).collect();
            let place = |&row: &usize| match column.is_blank(row) {
                true => Ok(None),
                false => by_code[codes[row] as usize].map(Some).ok_or(row),
            };
            rows.iter().map(place).collect()
        }
        Cells::Numbers(_) => rows
            .iter()
            .map(|&row| column.word(row).map_or(Ok(None), |text| found(row, &text)))
            .collect(),
    }
}

/// Parses `true` and `false` in any case.
pub(super) fn truth(word: &str) -> Option<bool> {
    if word.eq_ignore_ascii_case("true") {
        Some(true)
    } else if word.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The first few words, for a message.
pub(super) fn some(words: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = words.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if words.len() > SHOWN { format!("{shown}, …") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_words_are_counted_with_bounded_memory_as_well() {
        let mut counts = Counts::new(Memory::Bounded);
        for piece in 0..20_usize {
            let words: Vec<String> = (0..10_000)
                .map(|row| {
                    if row % 100 == 0 {
                        "often".into()
                    } else {
                        format!("{}", 10_000 * piece + row)
                    }
                })
                .collect();
            let column = Column::words("a", words.iter().map(String::as_str));
            counts.add(&column, &(0..10_000).collect::<Vec<_>>());
            assert!(counts.counts.len() <= MOST_COUNTED);
        }
        let (sorted, forgotten) = counts.sorted();
        assert_eq!(sorted.last().unwrap(), &("often".to_string(), 20 * 100));
        assert_eq!(sorted.len() + forgotten, 20 * 9_900 + 1);
    }
}
