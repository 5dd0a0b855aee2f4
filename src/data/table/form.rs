//! Format of a table's text, detected from its beginning: field separator, column names, lines
//! above the rows.

use std::io::Cursor;
use std::path::PathBuf;

use csv::{ByteRecord, ReaderBuilder, Trim};

use crate::data::source::Source;
use crate::data::table::cut::{Cut, OPEN};
use crate::data::table::dialect::Dialect;
use crate::data::table::number::Decimal;
use crate::data::table::options::{Delimiter, Header, TableOptions};
use crate::data::table::text::Text;
use crate::data::table::{dialect, header, text};
use crate::{Error, Result};

/// Number of rows from which a header is detected.
const SAMPLE_ROWS: usize = 200;

/// A separator that occurs in no text, written in place of `::`.
const UNIT_SEPARATOR: u8 = 0x1f;

/// Format of a table's text.
#[derive(Debug, Clone)]
pub(in crate::data) struct Form {
    pub(in crate::data) path: PathBuf,
    pub(super) delimiter: Delimiter,
    pub(in crate::data) decimal: Decimal,
    /// Lines above the table.
    pub(super) skipped: usize,
    /// Column names.
    pub(in crate::data) names: Vec<String>,
    /// True if the names are from the file.
    pub(in crate::data) has_header: bool,
    /// Notes on the format, for the user.
    pub(in crate::data) notes: Vec<String>,
    /// True if each row has one extra empty field: a trailing comma.
    pub(super) has_trailing: bool,
}

impl Form {
    /// The format of a file, and its text.
    pub(super) fn open(source: Source, options: &TableOptions) -> Result<(Self, Text)> {
        let path = source.path().to_path_buf();
        let text = Text::open(source)?;
        let wrong = |(found, expected)| Error::Data {
            path: path.clone(),
            position: "the first lines".into(),
            found,
            expected,
        };
        let dialect = dialect::dialect(&text.sample, options).map_err(wrong)?;
        let sample = sample_rows(&text.sample, &dialect);
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
            && sample[1..]
                .iter()
                .all(|row| row.len() > 1 && row.last().is_some_and(String::is_empty))
            && (first.last().is_some_and(String::is_empty) || first.len() + 1 == sample[1].len());
        let names = match dialect.names {
            Some(names) => names,
            None if has_header => header::names(first),
            None => (0..first.len()).map(|place| place.to_string()).collect(),
        };
        let notes = text
            .note
            .map(String::from)
            .into_iter()
            .chain(dialect.notes)
            .chain(reason.map(String::from));
        let mut form = Form {
            path,
            delimiter: dialect.delimiter,
            decimal: dialect.decimal,
            skipped: dialect.skipped,
            names,
            has_header,
            notes: notes.collect(),
            has_trailing,
        };
        form.drop_trailing_name();
        Ok((form, text))
    }

    /// The header may have the trailing comma too.
    fn drop_trailing_name(&mut self) {
        if self.has_trailing {
            let last = self.names.len().saturating_sub(1);
            if self.names.last().is_some_and(|name| {
                *name == format!("Unnamed: {last}") || *name == last.to_string()
            }) {
                self.names.pop();
            }
            self.notes.push("each row ends with a separator, behind which nothing stands".into());
        }
    }

    /// The byte that separates fields in lines returned by [`Form::parted`].
    pub(super) fn byte(&self) -> u8 {
        byte(self.delimiter)
    }

    /// True if fields may be quoted.
    pub(super) fn quotes(&self) -> bool {
        self.delimiter != Delimiter::Colons
    }

    /// Parser of rows.
    pub(super) fn reader<R: std::io::Read>(&self, text: R) -> csv::Reader<R> {
        builder(self.delimiter).from_reader(text)
    }

    /// Rewrites whole lines so that a single byte separates their fields.
    pub(super) fn parted(&self, lines: Vec<u8>) -> Vec<u8> {
        parted(lines, self.delimiter)
    }

    /// An [`Error::Data`] for a row with another number of fields than the first; `lines` is the
    /// number of line ends in it.
    pub(super) fn other_length(&self, line: u64, found: usize, lines: usize) -> Error {
        if lines == OPEN {
            let expected =
                "a quote that is closed; what begins here goes on to the end of the file";
            return self.wrong(
                format!("line {line}"),
                "a quote that is never closed".into(),
                expected,
            );
        }
        let wanted = self.names.len();
        let cause = match found {
            _ if lines > 20 => "; is a quote never closed?",
            _ if found > wanted => "; a separator within a text wants quotes about it",
            _ => "",
        };
        self.wrong(
            format!("line {line}"),
            format!("{found} fields"),
            &format!("{wanted}, as in the first row{cause}"),
        )
    }

    /// An [`Error::Data`] for the end of the file after `lines` lines, where rows are expected.
    pub(super) fn nothing(&self, lines: u64, expected: &str) -> Error {
        self.wrong(format!("line {}", lines + 1), "the end of the file".into(), expected)
    }

    /// An [`Error::Data`] at a position.
    pub(super) fn wrong(&self, position: String, found: String, expected: &str) -> Error {
        Error::Data { path: self.path.clone(), position, found, expected: expected.into() }
    }

    /// The notes on the format and on what was found between the rows.
    pub(super) fn notes_with(&self, comments: usize, is_latin1: bool) -> Vec<String> {
        let comments =
            (comments > 0).then(|| format!("{comments} line(s) of comments between the rows"));
        let latin1 = is_latin1
            .then(|| "the text is no UTF-8: it is read as Latin-1 (Western European)".to_string());
        self.notes.iter().cloned().chain(comments).chain(latin1).collect()
    }
}

/// True if the first row contains all columns known to a model.
fn is_known(sample: &[Vec<String>], known: &[String]) -> bool {
    let first = sample.first().map_or(&[][..], |row| row);
    !known.is_empty() && known.iter().all(|name| header::names(first).contains(name))
}

fn byte(delimiter: Delimiter) -> u8 {
    match delimiter {
        Delimiter::Byte(byte) => byte,
        Delimiter::Spaces => b' ',
        Delimiter::Colons => UNIT_SEPARATOR,
    }
}

fn builder(delimiter: Delimiter) -> ReaderBuilder {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).trim(Trim::All).delimiter(byte(delimiter));
    builder.quoting(delimiter != Delimiter::Colons).buffer_capacity(1 << 16);
    builder
}

/// Rewrites lines so that a single byte separates fields: spaces are collapsed to one, `::` becomes
/// a byte that occurs in no text.
fn parted(lines: Vec<u8>, delimiter: Delimiter) -> Vec<u8> {
    if matches!(delimiter, Delimiter::Byte(_)) {
        return lines;
    }
    let mut text = Vec::with_capacity(lines.len());
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        match delimiter {
            Delimiter::Spaces => {
                let fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
                for (place, field) in fields.enumerate() {
                    if place > 0 {
                        text.push(b' ');
                    }
                    text.extend(field);
                }
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
    text
}

/// The first rows.
fn sample_rows(sample: &[u8], dialect: &Dialect) -> Vec<Vec<String>> {
    let mut lines: Vec<u8> = sample
        .split_inclusive(|&byte| byte == b'\n')
        .skip(dialect.skipped)
        .flatten()
        .copied()
        .collect();
    // The sample may end in the middle of a row.
    if let Some(end) = (Cut { end: b'\n', delimiter: dialect.delimiter }).last_end(&lines) {
        lines.truncate(end);
    }
    let mut reader =
        builder(dialect.delimiter).from_reader(Cursor::new(parted(lines, dialect.delimiter)));
    let mut rows = Vec::new();
    let mut record = ByteRecord::new();
    while rows.len() < SAMPLE_ROWS && reader.read_byte_record(&mut record).unwrap_or(false) {
        let row: Vec<String> =
            record.iter().map(|field| text::letters(field).trim().to_string()).collect();
        if !row.first().is_some_and(|cell| cell.starts_with('#')) || rows.is_empty() {
            rows.push(row);
        }
    }
    rows
}
