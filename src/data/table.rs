//! CSV: rows of numbers with names above them, and one column of targets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, Trim};
use ndarray::{Array1, Array2};

use super::dataset::{Dataset, Target};
use super::source::Source;
use crate::{Error, Result};

/// Reads a table, plain or gzip. Fields are separated by commas, semicolons or tabs: what is most frequent in the first line.
///
/// If all fields of the first row are numbers there is no header, and columns are named by their indices from 0. All columns but
/// the target are features and must be numbers. A target of numbers gives values, one that begins with text gives labels, whose
/// classes are sorted by name; with `None` all columns are features.
///
/// # Errors
/// [`Error::Data`] with line (from 1, as an editor counts) and column for an empty cell, NaN, an infinity, text where a number is
/// needed, or a row of another length; [`Error::Unknown`] with the columns there are if `target` is none of them.
pub fn read_csv(path: impl AsRef<Path>, target: Option<&str>) -> Result<Dataset> {
    let mut source = Source::open(path.as_ref())?;
    let mut text = source.rest()?;
    if text.starts_with(b"\xef\xbb\xbf") {
        text.drain(..3); // the byte order mark would become part of the first name
    }
    let delimiter = delimiter(&text);
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).trim(Trim::All).delimiter(delimiter);
    let mut records = builder.from_reader(&text[..]);
    let mut record = ByteRecord::new();
    let mut table = Table::begin(source.path(), &text);
    while records.read_byte_record(&mut record).map_err(|error| table.unreadable(error))? {
        table.byte = record.position().map_or(0, |position| position.byte());
        if table.names.is_empty() {
            let has_header = !record.iter().all(|field| number(field).is_some());
            table.name_columns(&record, has_header, target)?;
            if has_header {
                continue;
            }
        }
        table.add(&record)?;
    }
    table.finish()
}

/// The separator that stands most often outside quotes in the first line that is not empty; a comma in doubt.
pub(super) fn delimiter(text: &[u8]) -> u8 {
    let line = text.split(|byte| matches!(byte, b'\n' | b'\r')).find(|line| !line.is_empty()).unwrap_or_default();
    let outside = line.split(|&byte| byte == b'"').step_by(2);
    let count = |delimiter: u8| outside.clone().flatten().filter(|&&byte| byte == delimiter).count();
    // `max_by_key` takes the last of equals.
    [b'\t', b';', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}

fn number(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// The target's cells: the first one tells which kind it is.
enum Cells {
    Numbers(Vec<f32>),
    /// The number of each word in order of appearance, and that of each row.
    Words(BTreeMap<String, usize>, Vec<usize>),
}

/// A table that grows row by row.
struct Table<'a> {
    path: PathBuf,
    text: &'a [u8],
    /// Where the record at hand begins.
    byte: u64,
    names: Vec<String>,
    target: Option<usize>,
    features: Vec<f32>,
    cells: Option<Cells>,
    rows: usize,
}

impl<'a> Table<'a> {
    fn begin(path: &Path, text: &'a [u8]) -> Self {
        let (names, features) = (Vec::new(), Vec::new());
        Table { path: path.into(), text, byte: 0, names, target: None, features, cells: None, rows: 0 }
    }

    /// Names the columns and finds the target among them.
    fn name_columns(&mut self, record: &ByteRecord, has_header: bool, target: Option<&str>) -> Result<()> {
        let name = |(index, field): (usize, &[u8])| match has_header && !field.is_empty() {
            // A name with a line break in it would break messages of one line.
            true => String::from_utf8_lossy(field).replace(char::is_control, " "),
            false => index.to_string(),
        };
        self.names = record.iter().enumerate().map(name).collect();
        let Some(wanted) = target else {
            return Ok(());
        };
        let mut places = (0..self.names.len()).filter(|&column| self.names[column] == wanted);
        self.target = Some(places.next().ok_or_else(|| self.unknown(wanted, record, has_header))?);
        if places.next().is_some() {
            // The second one would become a feature and tell the answer.
            return Err(self.wrong("", format!("two columns `{wanted}`"), "a name of its own for the target"));
        }
        if self.names.len() == 1 {
            return Err(self.wrong("", "no column but the target".into(), "at least one column of features"));
        }
        Ok(())
    }

    fn unknown(&self, wanted: &str, record: &ByteRecord, has_header: bool) -> Error {
        let mut known = self.names.iter().take(40).map(String::as_str).collect::<Vec<_>>().join(", ");
        if self.names.len() > 40 {
            known = format!("{known} … ({} in all)", self.names.len());
        }
        if has_header && record.iter().any(|field| number(field).is_some()) {
            known += " (the first row counts as header, as not all of it is numeric)";
        }
        Error::Unknown { kind: format!("column of {}", self.path.display()), found: wanted.into(), known }
    }

    fn add(&mut self, record: &ByteRecord) -> Result<()> {
        if record.len() != self.names.len() {
            let expected = format!("{}, as in the first row", self.names.len());
            return Err(self.wrong("", format!("{} fields", record.len()), &expected));
        }
        for (column, field) in record.iter().enumerate() {
            if Some(column) == self.target {
                self.add_target(column, field)?;
            } else {
                let value =
                    self.finite(column, field, "a number; the column is a feature: encode text, fill or drop rows")?;
                self.features.push(value);
            }
        }
        self.rows += 1;
        Ok(())
    }

    fn add_target(&mut self, column: usize, field: &[u8]) -> Result<()> {
        let missing = field.is_empty() || number(field).is_some_and(f32::is_nan);
        if missing {
            self.finite(column, field, "a target; drop such rows")?;
        }
        match &mut self.cells {
            None if number(field).is_some() => {
                self.cells = Some(Cells::Numbers(vec![self.finite(column, field, "a target")?]));
            }
            None => {
                let word = String::from_utf8_lossy(field).into_owned();
                self.cells = Some(Cells::Words(BTreeMap::from([(word, 0)]), vec![0]));
            }
            Some(Cells::Words(words, labels)) => {
                let next = words.len();
                let word = String::from_utf8_lossy(field);
                let label = words.get(word.as_ref()).copied().unwrap_or(next);
                if label == next {
                    words.insert(word.into_owned(), next);
                }
                labels.push(label);
            }
            Some(Cells::Numbers(_)) => {
                let value = self.finite(column, field, "a number, as the target's first row has")?;
                if let Some(Cells::Numbers(values)) = &mut self.cells {
                    values.push(value);
                }
            }
        }
        Ok(())
    }

    fn finite(&self, column: usize, field: &[u8], expected: &str) -> Result<f32> {
        match number(field) {
            Some(value) if value.is_finite() => Ok(value),
            _ if field.is_empty() => Err(self.wrong(&self.names[column], "an empty cell".into(), expected)),
            _ => {
                let cell: String = String::from_utf8_lossy(field).chars().take(60).collect();
                Err(self.wrong(&self.names[column], format!("`{}`", cell.escape_debug()), expected))
            }
        }
    }

    fn finish(mut self) -> Result<Dataset> {
        if self.rows == 0 {
            self.byte = self.text.len() as u64;
            return Err(self.wrong(
                "",
                "the end of the file".into(),
                "a header and at least one row, or rows of numbers",
            ));
        }
        let target = match self.cells.take() {
            None => Target::None,
            Some(Cells::Numbers(values)) => Target::Values(self.array(values, 1)?),
            Some(Cells::Words(words, numbers)) => {
                let mut label = vec![0; words.len()];
                words.values().enumerate().for_each(|(place, &number)| label[number] = place as i64);
                let labels = Array1::from_iter(numbers.into_iter().map(|number| label[number]));
                Target::Labels { labels, classes: words.into_keys().collect() }
            }
        };
        let features = std::mem::take(&mut self.features);
        let features = self.array(features, self.names.len() - usize::from(self.target.is_some()))?;
        let mut feature_names = self.names;
        if let Some(column) = self.target {
            feature_names.remove(column);
        }
        Ok(Dataset { feature_names, ..Dataset::new(features, target)? })
    }

    fn array(&self, values: Vec<f32>, columns: usize) -> Result<Array2<f32>> {
        let count = values.len();
        Array2::from_shape_vec((self.rows, columns), values)
            .map_err(|error| self.wrong("", format!("{count} numbers ({error})"), "as many in each row"))
    }

    /// The line on which the record at hand begins: the reader counts empty lines before a record as its own.
    fn line(&self) -> usize {
        let start = (self.byte as usize).min(self.text.len());
        let empty = self.text[start..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let before = &self.text[..start + empty];
        let newlines = before.iter().filter(|&&byte| byte == b'\n').count();
        let returns = before.windows(2).filter(|pair| pair[0] == b'\r' && pair[1] != b'\n').count();
        1 + newlines + returns + usize::from(before.ends_with(b"\r"))
    }

    fn wrong(&self, column: &str, found: String, expected: &str) -> Error {
        let column = if column.is_empty() { String::new() } else { format!(", column `{column}`") };
        let position = format!("line {}{column}", self.line());
        Error::Data { path: self.path.clone(), position, found, expected: expected.into() }
    }

    fn unreadable(&self, error: csv::Error) -> Error {
        self.wrong("", error.to_string(), "a table of separated fields")
    }
}
