//! Rows of fields with their lines, from any text that is a table.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, Trim};

use super::super::source::Source;
use super::dialect::{self, Dialect};
use super::number::Decimal;
use super::text::Text;
use super::{Delimiter, Header, TableOptions, header, text};
use crate::{Error, Result};

/// Rows at the beginning from which a header is told.
const SAMPLE_ROWS: usize = 200;

/// A separator that stands in no text, written where `::` stood.
const UNIT_SEPARATOR: u8 = 0x1f;

/// Rows that are read one after the other.
pub(in crate::data) struct Records {
    path: PathBuf,
    reader: csv::Reader<Box<dyn Read>>,
    record: ByteRecord,
    cells: Vec<String>,
    /// The line behind the last record.
    next_line: u64,
    /// The lines that were skipped.
    skipped: u64,
    /// The line of the record at hand.
    line: u64,
    /// The names of the columns.
    pub(in crate::data) names: Vec<String>,
    /// Whether they stood in the file.
    pub(in crate::data) has_header: bool,
    pub(in crate::data) decimal: Decimal,
    /// What was found about the form.
    pub(in crate::data) notes: Vec<String>,
    comments: usize,
    is_latin1: bool,
    /// Each row has one empty field too many: a comma at its end.
    has_trailing: bool,
}

impl Records {
    pub(in crate::data) fn open(source: Source, options: &TableOptions) -> Result<Self> {
        let path = source.path().to_path_buf();
        let text = Text::open(source)?;
        let wrong =
            |(found, expected)| Error::Data { path: path.clone(), position: "the first lines".into(), found, expected };
        let dialect = dialect::dialect(&text.sample, options).map_err(wrong)?;
        let sample = sample_rows(&text.sample, &dialect, &path)?;
        let (has_header, reason) = match (options.header, &dialect.names) {
            (_, Some(_)) => (false, None),
            (Header::Yes, None) => (true, None),
            (Header::No, None) => (false, None),
            (Header::Indices, None) => (header::has_indices(&sample), None),
            (Header::Auto, None) if is_known(&sample, &options.known) => (true, None),
            (Header::Auto, None) => header::has_header(&sample, dialect.decimal),
        };
        let first = sample.first().map_or(&[][..], |row| row);
        let has_trailing = sample.len() > 1
            && sample[1..].iter().all(|row| row.len() > 1 && row.last().is_some_and(String::is_empty))
            && (first.last().is_some_and(String::is_empty) || first.len() + 1 == sample[1].len());
        let names = match dialect.names {
            Some(names) => names,
            None if has_header => header::names(first),
            None => (0..first.len()).map(|place| place.to_string()).collect(),
        };
        let notes = text.note.map(String::from).into_iter().chain(dialect.notes).chain(reason.map(String::from));
        let notes: Vec<String> = notes.collect();
        let reader = without_lines(text.reader, dialect.skipped);
        let reader = parted(reader, dialect.delimiter, &path)?;
        let mut records = Records {
            reader: builder(dialect.delimiter).from_reader(reader),
            path,
            record: ByteRecord::new(),
            cells: Vec::new(),
            next_line: 1,
            skipped: dialect.skipped as u64,
            line: 0,
            names,
            has_header,
            decimal: dialect.decimal,
            notes,
            comments: 0,
            is_latin1: false,
            has_trailing,
        };
        records.drop_trailing_name();
        if has_header {
            records.read()?;
        }
        Ok(records)
    }

    /// The header may have the comma at its end as well.
    fn drop_trailing_name(&mut self) {
        if self.has_trailing {
            let last = self.names.len().saturating_sub(1);
            if self.names.last().is_some_and(|name| *name == format!("Unnamed: {last}") || *name == last.to_string()) {
                self.names.pop();
            }
            self.notes.push("each row ends with a separator, behind which nothing stands".into());
        }
    }

    /// The fields of the next row and its line (from 1); none at the end.
    pub(in crate::data) fn next(&mut self) -> Result<Option<(u64, &[String])>> {
        loop {
            if !self.read()? {
                self.tell_comments();
                return Ok(None);
            }
            if self.has_trailing && self.cells.len() == self.names.len() + 1 && self.cells[self.names.len()].is_empty()
            {
                self.cells.pop();
            }
            if self.cells.len() == self.names.len() {
                return Ok(Some((self.line, &self.cells)));
            }
            if !self.cells.first().is_some_and(|cell| cell.starts_with('#')) {
                return Err(self.other_length());
            }
            self.comments += 1;
        }
    }

    fn tell_comments(&mut self) {
        if self.comments > 0 {
            self.notes.push(format!("{} line(s) of comments between the rows", self.comments));
        }
        if self.is_latin1 {
            self.notes.push("the text is no UTF-8: it is read as Latin-1 (Western European)".into());
        }
        (self.comments, self.is_latin1) = (0, false);
    }

    /// Reads a record into the cells.
    fn read(&mut self) -> Result<bool> {
        let outcome = self.reader.read_byte_record(&mut self.record);
        match outcome {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => return Err(self.unreadable(error)),
        }
        let after = self.reader.position().line();
        // A record may hold line ends in quotes; and empty lines before it are counted as its own.
        let inside = if after == self.next_line + 1 {
            0
        } else {
            self.record.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64
        };
        self.line = self.skipped + (after - 1).saturating_sub(inside).max(1);
        self.next_line = after;
        let Records { record, cells, is_latin1, .. } = self;
        cells.resize(record.len(), String::new());
        for (cell, field) in cells.iter_mut().zip(record.iter()) {
            cell.clear();
            let text = text::letters(field);
            *is_latin1 |= matches!(text, Cow::Owned(_));
            cell.push_str(text.trim());
        }
        Ok(true)
    }

    fn other_length(&self) -> Error {
        let (found, wanted) = (self.cells.len(), self.names.len());
        let lines = self.cells.iter().map(|cell| cell.matches('\n').count()).sum::<usize>();
        let cause = match found {
            _ if lines > 20 => "; is a quote never closed?",
            _ if found > wanted => "; a separator within a text wants quotes about it",
            _ => "",
        };
        self.wrong("", format!("{found} fields"), &format!("{wanted}, as in the first row{cause}"))
    }

    /// An [`Error::Data`] at the row at hand.
    pub(in crate::data) fn wrong(&self, column: &str, found: String, expected: &str) -> Error {
        let column = if column.is_empty() { String::new() } else { format!(", column `{column}`") };
        let position = format!("line {}{column}", self.line);
        Error::Data { path: self.path.clone(), position, found, expected: expected.into() }
    }

    /// The end of the file where rows should be.
    pub(in crate::data) fn nothing(&self, expected: &str) -> Error {
        let position = format!("line {}", self.skipped + self.next_line);
        Error::Data {
            path: self.path.clone(),
            position,
            found: "the end of the file".into(),
            expected: expected.into(),
        }
    }

    fn unreadable(&self, error: csv::Error) -> Error {
        let text = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(source) => super::text::broken(&self.path, self.skipped + self.next_line, &source),
            _ => self.wrong("", text, "a table of separated fields"),
        }
    }
}

/// Whether the first row names all columns that a model knows.
fn is_known(sample: &[Vec<String>], known: &[String]) -> bool {
    let first = sample.first().map_or(&[][..], |row| row);
    !known.is_empty() && known.iter().all(|name| header::names(first).contains(name))
}

fn builder(delimiter: Delimiter) -> ReaderBuilder {
    let byte = match delimiter {
        Delimiter::Byte(byte) => byte,
        Delimiter::Spaces => b' ',
        Delimiter::Colons => UNIT_SEPARATOR,
    };
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).trim(Trim::All).delimiter(byte);
    builder.quoting(delimiter != Delimiter::Colons).buffer_capacity(1 << 18);
    builder
}

/// A text whose fields one byte parts: of spaces one is left, `::` becomes a byte that no text holds.
fn parted(reader: Box<dyn Read>, delimiter: Delimiter, path: &Path) -> Result<Box<dyn Read>> {
    if matches!(delimiter, Delimiter::Byte(_)) {
        return Ok(reader);
    }
    let mut lines = BufReader::new(reader);
    let (mut line, mut text) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let count = lines.read_until(b'\n', &mut line).map_err(|source| Error::Io { path: path.into(), source })?;
        if count == 0 {
            return Ok(Box::new(Cursor::new(text)));
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        match delimiter {
            Delimiter::Spaces => {
                let fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
                text.extend(fields.collect::<Vec<_>>().join(&b' '));
            }
            _ => {
                let mut rest = line;
                while let Some(at) = rest.windows(2).position(|two| two == b"::") {
                    text.extend(&rest[..at]);
                    text.push(UNIT_SEPARATOR);
                    rest = &rest[at + 2..];
                }
                text.extend(rest);
            }
        }
        text.push(b'\n');
    }
}

/// The reader behind the first lines.
fn without_lines(reader: Box<dyn Read>, lines: usize) -> Box<dyn Read> {
    if lines == 0 {
        return reader;
    }
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    for _ in 0..lines {
        line.clear();
        // The first lines were read before, for the sample: an error shows again behind them.
        let _ = reader.read_until(b'\n', &mut line);
    }
    Box::new(reader)
}

/// The first rows.
fn sample_rows(sample: &[u8], dialect: &Dialect, path: &Path) -> Result<Vec<Vec<String>>> {
    let reader = without_lines(Box::new(Cursor::new(sample.to_vec())), dialect.skipped);
    let reader = parted(reader, dialect.delimiter, path)?;
    let mut reader = builder(dialect.delimiter).from_reader(reader);
    let mut rows = Vec::new();
    let mut record = ByteRecord::new();
    while rows.len() < SAMPLE_ROWS && reader.read_byte_record(&mut record).unwrap_or(false) {
        let row: Vec<String> = record.iter().map(|field| text::letters(field).trim().to_string()).collect();
        if !row.first().is_some_and(|cell| cell.starts_with('#')) || rows.is_empty() {
            rows.push(row);
        }
    }
    Ok(rows)
}
