//! A column of a table. Its type follows from all cells of the file, independent of row order:
//! numbers if every cell that is not blank is a number, else words.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::data::table::number;
use crate::data::table::number::Decimal;
use crate::error::text::exact;

/// Code of a blank cell among words.
const BLANK: u32 = u32::MAX;

/// Cells that mean a missing value, also in a column of words.
const BLANKS: [&str; 10] = ["", "NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NULL", "null", "<NA>"];

/// Cells that mean a missing value among numbers only; among words they are words.
const BLANKS_OF_NUMBERS: [&str; 6] = ["?", "-", "None", "none", "NAN", "."];

/// A column: a name and cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    name: String,
    cells: Cells,
    /// Cells of a numeric column whose text carries more than the number: `007`,
    /// `1234567890123456789`, `?`; by row, ascending.
    written: Vec<(usize, String)>,
}

/// The cells of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    /// Numbers; NaN for a blank.
    Numbers(Vec<f64>),
    /// Words: the index of each row's word in `words`, `u32::MAX` for a blank.
    Words {
        /// The index of each row's word.
        codes: Vec<u32>,
        /// The distinct words in order of first appearance.
        words: Vec<String>,
    },
}

impl Column {
    /// A column of numbers; NaN is a blank.
    pub fn numbers(name: impl Into<String>, numbers: Vec<f64>) -> Self {
        Column { name: name.into(), cells: Cells::Numbers(numbers), written: Vec::new() }
    }

    /// A column of words; an empty one is a blank.
    pub fn words<'a>(name: impl Into<String>, cells: impl IntoIterator<Item = &'a str>) -> Self {
        let mut words = Words::default();
        cells.into_iter().for_each(|cell| words.add(cell));
        Column { name: name.into(), cells: words.cells(), written: Vec::new() }
    }

    /// Name of the column.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Cells of the column.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match &self.cells {
            Cells::Numbers(numbers) => numbers.len(),
            Cells::Words { codes, .. } => codes.len(),
        }
    }

    /// True if it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if the text of a cell carries more than its number.
    pub(in crate::data) fn has_written(&self) -> bool {
        !self.written.is_empty()
    }

    /// True if a cell is blank.
    pub fn is_blank(&self, row: usize) -> bool {
        match &self.cells {
            Cells::Numbers(numbers) => numbers[row].is_nan(),
            Cells::Words { codes, .. } => codes[row] == BLANK,
        }
    }

    /// The number in a cell; none for a blank or a word.
    pub fn number(&self, row: usize) -> Option<f64> {
        match &self.cells {
            Cells::Numbers(numbers) => Some(numbers[row]).filter(|number| !number.is_nan()),
            Cells::Words { .. } => None,
        }
    }

    /// As [`Column::text`], for a column that held words in another file: `None`, `-`, `?` are
    /// words there, even if all other cells of this file are numbers.
    pub(in crate::data) fn word(&self, row: usize) -> Option<Cow<'_, str>> {
        if !matches!(&self.cells, Cells::Numbers(numbers) if numbers[row].is_nan()) {
            return self.text(row);
        }
        let place = self.written.binary_search_by_key(&row, |(row, _)| *row).ok()?;
        Some(visible(&self.written[place].1))
    }

    /// The text of a cell; for a number the shortest text with the same value, unless the file's
    /// own carries more (`007`). None if it is blank.
    pub fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        if self.is_blank(row) {
            return None;
        }
        Some(match &self.cells {
            Cells::Words { codes, words } => Cow::Borrowed(&*words[codes[row] as usize]),
            Cells::Numbers(numbers) => {
                match self.written.binary_search_by_key(&row, |(row, _)| *row) {
                    Ok(place) => Cow::Borrowed(&*self.written[place].1),
                    Err(_) => Cow::Owned(exact(numbers[row])),
                }
            }
        })
    }
}

/// True if a cell is blank in any type of column.
pub(super) fn is_blank(cell: &str) -> bool {
    BLANKS.contains(&cell)
}

/// Words numbered in order of appearance.
#[derive(Debug, Default)]
struct Words {
    places: HashMap<String, u32>,
    words: Vec<String>,
    codes: Vec<u32>,
}

impl Words {
    fn add(&mut self, word: &str) {
        if is_blank(word) {
            self.codes.push(BLANK);
            return;
        }
        let code = match self.places.get(word) {
            Some(&code) => code,
            None => {
                let code = self.words.len() as u32;
                self.places.insert(word.to_string(), code);
                self.words.push(word.to_string());
                code
            }
        };
        self.codes.push(code);
    }

    fn cells(self) -> Cells {
        Cells::Words { codes: self.codes, words: self.words }
    }

    /// Appends the words of further rows.
    fn append(&mut self, other: Words) {
        let mut place = |word: String| match self.places.get(&word) {
            Some(&code) => code,
            None => {
                let code = self.words.len() as u32;
                self.places.insert(word.clone(), code);
                self.words.push(word);
                code
            }
        };
        let places: Vec<u32> = other.words.into_iter().map(&mut place).collect();
        self.codes.extend(
            other.codes.into_iter().map(|code| places.get(code as usize).copied().unwrap_or(BLANK)),
        );
    }
}

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum Kind {
    Numbers,
    Words,
}

/// A column under construction, from single cells or from the columns of further rows.
#[derive(Debug)]
pub(in crate::data) struct Builder {
    numbers: Vec<f64>,
    written: Vec<(usize, String)>,
    words: Option<Words>,
    /// The unit of the numbers so far.
    unit: Option<Option<char>>,
    /// True if a number had thousands separators.
    grouped: bool,
    /// The first number with a leading zero, as in codes.
    zeros: Option<String>,
    decimal: Decimal,
}

impl Builder {
    pub(super) fn new(decimal: Decimal) -> Self {
        let (numbers, written) = (Vec::new(), Vec::new());
        Builder { numbers, written, words: None, unit: None, grouped: false, zeros: None, decimal }
    }

    /// For a column whose type is known from its other cells.
    pub(in crate::data) fn of(kind: Kind, decimal: Decimal) -> Self {
        Builder { words: (kind == Kind::Words).then(Words::default), ..Builder::new(decimal) }
    }

    /// Reserves memory for this many rows, if available: the number is an estimate.
    pub(super) fn reserve(&mut self, rows: usize) {
        if self.words.is_none() {
            let _ = self.numbers.try_reserve_exact(rows);
        }
    }

    pub(super) fn kind(&self) -> Kind {
        if self.words.is_some() { Kind::Words } else { Kind::Numbers }
    }

    /// Merges the type of further rows, without their cells.
    pub(super) fn append_kind(&mut self, other: &Builder) {
        let units_differ =
            matches!((self.unit, other.unit), (Some(one), Some(another)) if one != another);
        if units_differ || other.words.is_some() {
            self.words.get_or_insert_default();
        }
        self.grouped |= other.grouped;
        self.unit = self.unit.or(other.unit);
        if self.zeros.is_none() {
            self.zeros.clone_from(&other.zeros);
        }
    }

    /// Appends the cells of further rows; the column becomes words if either is.
    pub(super) fn append(&mut self, mut other: Builder) {
        let units_differ =
            matches!((self.unit, other.unit), (Some(one), Some(another)) if one != another);
        if units_differ || self.words.is_some() != other.words.is_some() {
            self.turn_to_words();
            other.turn_to_words();
        }
        self.grouped |= other.grouped;
        self.unit = self.unit.or(other.unit);
        self.zeros = self.zeros.take().or(other.zeros);
        match (&mut self.words, other.words) {
            (Some(words), Some(others)) => words.append(others),
            _ => {
                let before = self.numbers.len();
                self.written
                    .extend(other.written.into_iter().map(|(row, text)| (before + row, text)));
                self.numbers.extend(other.numbers);
            }
        }
    }

    /// The rows that are blank in any type of column, and those that are blank only in a numeric
    /// one: `?`.
    pub(super) fn blanks(&self) -> (Vec<usize>, Vec<usize>) {
        if let Some(words) = &self.words {
            return (
                (0..words.codes.len()).filter(|&row| words.codes[row] == BLANK).collect(),
                Vec::new(),
            );
        }
        let is_written =
            |row: &usize| self.written.binary_search_by_key(row, |(row, _)| *row).is_ok();
        (0..self.numbers.len())
            .filter(|&row| self.numbers[row].is_nan())
            .partition(|row| !is_written(row))
    }

    /// Adds a number, NaN for a blank, and its text if that carries more.
    #[cfg(feature = "parquet")]
    pub(in crate::data) fn add_number(&mut self, number: f64, text: Option<String>) {
        self.written.extend(text.map(|text| (self.numbers.len(), text)));
        self.numbers.push(number);
    }

    pub(in crate::data) fn add(&mut self, cell: &str) {
        if let (None, None | Some(None), Decimal::Point) = (&self.words, self.unit, self.decimal)
            && let Some(number) = number::clean(cell)
        {
            self.unit = Some(None);
            self.numbers.push(number);
            return;
        }
        if let Some(words) = &mut self.words {
            match number::number(cell, self.decimal).filter(|number| !says_more(cell, number)) {
                Some(number) => words.add(&exact(number.value)),
                None => words.add(&visible(cell)),
            }
            return;
        }
        if is_blank(cell) {
            self.numbers.push(f64::NAN);
        } else if BLANKS_OF_NUMBERS.contains(&cell) {
            self.written.push((self.numbers.len(), cell.to_string()));
            self.numbers.push(f64::NAN);
        } else {
            self.add_written(cell);
        }
    }

    fn add_written(&mut self, cell: &str) {
        let found = number::number(cell, self.decimal);
        // `5` and `5 %` in one column are different quantities.
        match found.filter(|number| self.unit.is_none_or(|unit| unit == number.unit)) {
            Some(number) => {
                self.unit = Some(number.unit);
                self.grouped |= number.grouped;
                if says_more(cell, &number) {
                    if self.zeros.is_none() && number.unit.is_none() && cell.starts_with('0') {
                        self.zeros = Some(visible(cell).into_owned());
                    }
                    self.written.push((self.numbers.len(), cell.to_string()));
                }
                self.numbers.push(number.value);
            }
            None => {
                self.turn_to_words();
                self.add(cell);
            }
        }
    }

    /// Converts the cells so far to words, as if they had been read as words.
    fn turn_to_words(&mut self) {
        if self.words.is_some() {
            return;
        }
        let mut words = Words::default();
        let mut written = std::mem::take(&mut self.written).into_iter().peekable();
        for (row, number) in std::mem::take(&mut self.numbers).into_iter().enumerate() {
            match written.next_if(|(place, _)| *place == row) {
                Some((_, text)) => words.add(&visible(&text)),
                None if number.is_nan() => words.add(""),
                None => words.add(&exact(number)),
            }
        }
        self.words = Some(words);
    }

    /// Returns the column, and a note on the notation removed from its numbers.
    pub(in crate::data) fn finish(self, name: String) -> (Column, Option<String>) {
        let Some(words) = self.words else {
            let unit = self.unit.flatten().map(|unit| format!("the unit `{unit}` taken off"));
            let grouped = self.grouped.then(|| "marks of thousands taken out".to_string());
            let zeros = self.zeros.map(|cell| {
                format!("cells such as `{cell}` are taken for numbers, except as classes; with a letter before each (`z{cell}`) they would be words")
            });
            let done: Vec<String> = unit.into_iter().chain(grouped).chain(zeros).collect();
            let note = (!done.is_empty()).then(|| format!("column `{name}`: {}", done.join(", ")));
            return (
                Column { name, cells: Cells::Numbers(self.numbers), written: self.written },
                note,
            );
        };
        (Column { name, cells: words.cells(), written: Vec::new() }, None)
    }
}

/// True if the text of a cell distinguishes what its number does not.
fn says_more(cell: &str, number: &number::Written) -> bool {
    let digits = cell.trim_start_matches(['+', '-']);
    let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    number.unit.is_some()
        || is_whole && (digits.len() > 1 && digits.starts_with('0') || digits.len() > 15)
}

/// The text without control characters: those of a file must not reach a terminal.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.replace(char::is_control, " "))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[&str]) -> Column {
        let mut builder = Builder::new(Decimal::Point);
        cells.iter().for_each(|cell| builder.add(cell));
        builder.finish("a".into()).0
    }

    fn texts(column: &Column) -> Vec<String> {
        (0..column.len())
            .map(|row| column.text(row).map_or("(blank)".into(), Cow::into_owned))
            .collect()
    }

    #[test]
    fn the_type_of_a_column_does_not_depend_on_the_order_of_its_rows() {
        let mut cells = ["0", "1.50", "007", "", "?", "1e3", "x", "12345678901234567"];
        let mut first = texts(&column(&cells));
        cells.reverse();
        let mut last = texts(&column(&cells));
        last.reverse();
        assert_eq!(first, last);
        first.sort();
        assert_eq!(first, ["(blank)", "0", "007", "1.5", "1000", "12345678901234567", "?", "x"]);
    }

    #[test]
    fn parts_of_a_column_come_together_as_if_they_had_been_one() {
        let cells = [
            "0",
            "1.50",
            "007",
            "",
            "?",
            "1e3",
            "$5",
            "$1,000",
            "x",
            "12345678901234567",
            "NA",
            "x",
            "2",
        ];
        for count in 0..=cells.len() {
            for first in 0..=count {
                let whole = column(&cells[..count]);
                let mut one = Builder::new(Decimal::Point);
                let mut other = Builder::new(Decimal::Point);
                cells[..first].iter().for_each(|cell| one.add(cell));
                cells[first..count].iter().for_each(|cell| other.add(cell));
                one.append(other);
                let (joined, _) = one.finish("a".into());
                assert_eq!(texts(&joined), texts(&whole), "{first} of {count}");
                assert_eq!(
                    std::mem::discriminant(&joined.cells),
                    std::mem::discriminant(&whole.cells)
                );
            }
        }
    }

    #[test]
    fn blanks_among_numbers_are_nan() {
        let numbers = column(&["1", "", "NA", "?", "None", "-", "nan", "2"]);
        let Cells::Numbers(found) = numbers.cells() else { panic!("{numbers:?}") };
        assert_eq!(found.iter().filter(|number| number.is_nan()).count(), 6);
        assert!(numbers.is_blank(3) && !numbers.is_blank(7));
        assert_eq!(texts(&column(&["None", "Mild", "NA"])), ["None", "Mild", "(blank)"]);
    }

    #[test]
    fn quantities_are_numbers_where_their_unit_is_one() {
        let mut builder = Builder::new(Decimal::Point);
        ["$1,200", "$3"].iter().for_each(|cell| builder.add(cell));
        let (prices, note) = builder.finish("price".into());
        assert_eq!(prices.cells(), &Cells::Numbers(vec![1200.0, 3.0]));
        assert_eq!(
            note.unwrap(),
            "column `price`: the unit `$` taken off, marks of thousands taken out"
        );
        assert_eq!(texts(&column(&["5 %", "5"])), ["5 %", "5"]);
    }

    #[test]
    fn control_characters_do_not_pass() {
        assert_eq!(texts(&column(&["\u{1b}[31mred", "a\nb"])), [" [31mred", "a b"]);
    }
}
