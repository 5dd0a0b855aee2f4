//! Rows of fields with their line numbers, from any text table.

use std::borrow::Cow;
use std::io::Cursor;

use csv::ByteRecord;

use crate::data::source::Source;
use crate::data::table::chunks::{Chunk, Chunks};
use crate::data::table::cut::OPEN;
use crate::data::table::form::Form;
use crate::data::table::number::Decimal;
use crate::data::table::options::TableOptions;
use crate::data::table::text;
use crate::{Error, Result};

/// Bytes parsed at a time.
const CHUNK: usize = 1 << 18;

/// The rows in a block of whole lines.
pub(super) struct Rows {
    reader: csv::Reader<Cursor<Vec<u8>>>,
    record: ByteRecord,
    cells: Vec<String>,
    /// The line after the last record, from 1.
    next_line: u64,
    /// The line of the current record.
    pub(super) line: u64,
    pub(super) comments: usize,
    pub(super) is_latin1: bool,
    /// True if a quote was opened in the current record and never closed.
    is_open: bool,
}

/// A row with the wrong number of fields.
#[derive(Debug)]
pub(super) struct Fault {
    /// Its line in the chunk, from 1.
    pub(super) line: u64,
    pub(super) fields: usize,
    /// Number of line ends within it; [`OPEN`] if a quote swallows the rest of the file.
    pub(super) lines: usize,
}

impl Rows {
    pub(super) fn new(form: &Form, chunk: Chunk) -> Self {
        let has_header = chunk.has_header;
        let reader = form.reader(Cursor::new(form.parted(chunk.lines())));
        let (record, cells) = (ByteRecord::new(), Vec::new());
        let mut rows = Rows {
            reader,
            record,
            cells,
            next_line: 1,
            line: 0,
            comments: 0,
            is_latin1: false,
            is_open: false,
        };
        if has_header {
            rows.read();
        }
        rows
    }

    /// The fields of the next row; none at the end.
    pub(super) fn next(&mut self, form: &Form) -> Result<Option<&[String]>, Fault> {
        let wanted = form.names.len();
        loop {
            if !self.read() {
                return Ok(None);
            }
            if self.is_open {
                return Err(Fault { line: self.line, fields: self.cells.len(), lines: OPEN });
            }
            if form.has_trailing && self.cells.len() == wanted + 1 && self.cells[wanted].is_empty()
            {
                self.cells.pop();
            }
            if self.cells.len() == wanted {
                return Ok(Some(&self.cells));
            }
            if !self.cells.first().is_some_and(|cell| cell.starts_with('#')) {
                let lines = self.cells.iter().map(|cell| cell.matches('\n').count()).sum();
                return Err(Fault { line: self.line, fields: self.cells.len(), lines });
            }
            self.comments += 1;
        }
    }

    /// Reads a record into the cells. Reading from memory cannot fail.
    fn read(&mut self) -> bool {
        if !self.reader.read_byte_record(&mut self.record).unwrap_or(false) {
            return false;
        }
        let after = self.reader.position().line();
        // A record may contain line ends in quotes, and empty lines before it are counted as its
        // own.
        let inside = if after == self.next_line + 1 {
            0
        } else {
            self.record.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64
        };
        self.line = (after - 1).saturating_sub(inside).max(1);
        // The csv crate ends a field at the end of the text as if it were closed there.
        let (text, end) = (self.reader.get_ref().get_ref(), self.reader.position().byte() as usize);
        if inside > 0 && end >= text.len() {
            let start = self.record.position().map_or(0, |position| position.byte() as usize);
            self.is_open =
                text[start.min(text.len())..].iter().filter(|&&byte| byte == b'"').count() % 2 == 1;
        }
        self.next_line = after;
        let Rows { record, cells, is_latin1, .. } = self;
        cells.resize(record.len(), String::new());
        for (cell, field) in cells.iter_mut().zip(record.iter()) {
            cell.clear();
            let text = text::letters(field);
            *is_latin1 |= matches!(text, Cow::Owned(_));
            cell.push_str(text.trim());
        }
        true
    }

    /// Number of lines in the chunk, once all of its rows are read.
    pub(super) fn lines(&self) -> u64 {
        self.reader.position().line() - 1
    }
}

/// Sequential reader of rows.
pub(in crate::data) struct Records {
    form: Form,
    chunks: Chunks,
    rows: Option<Rows>,
    /// Number of lines before those of `rows`.
    before: u64,
    comments: usize,
    is_latin1: bool,
    /// Column names.
    pub(in crate::data) names: Vec<String>,
    /// True if the names are from the file.
    pub(in crate::data) has_header: bool,
    /// Notes on the format; after the last row also on what was found between the rows.
    pub(in crate::data) notes: Vec<String>,
}

impl Records {
    pub(in crate::data) fn open(source: Source, options: &TableOptions) -> Result<Self> {
        let (form, text) = Form::open(source, options)?;
        let chunks =
            Chunks::new(text, &form, CHUNK).map_err(|error| text::broken(&form.path, 1, &error))?;
        Ok(Records {
            chunks,
            rows: None,
            before: form.skipped as u64,
            comments: 0,
            is_latin1: false,
            names: form.names.clone(),
            has_header: form.has_header,
            notes: form.notes.clone(),
            form,
        })
    }

    /// The fields of the next row and its line (from 1); none at the end.
    pub(in crate::data) fn next(&mut self) -> Result<Option<(u64, &[String])>> {
        loop {
            if let Some(rows) = &mut self.rows {
                let before = self.before;
                match rows.next(&self.form) {
                    Err(fault) => {
                        return Err(self.form.other_length(
                            before + fault.line,
                            fault.fields,
                            fault.lines,
                        ));
                    }
                    // Access the row again: the borrow checker does not accept returning it
                    // directly.
                    Ok(Some(_)) => {
                        return Ok(self
                            .rows
                            .as_ref()
                            .map(|rows| (before + rows.line, &*rows.cells)));
                    }
                    Ok(None) => {}
                }
            }
            if !self.advance()? {
                self.notes = self.form.notes_with(self.comments, self.is_latin1);
                return Ok(None);
            }
        }
    }

    /// Moves to the next chunk; false at the end.
    fn advance(&mut self) -> Result<bool> {
        if let Some(rows) = self.rows.take() {
            self.before += rows.lines();
            self.comments += rows.comments;
            self.is_latin1 |= rows.is_latin1;
        }
        let chunk = self
            .chunks
            .next()
            .map_err(|error| text::broken(&self.form.path, self.before + 1, &error))?;
        self.rows = chunk.map(|chunk| Rows::new(&self.form, chunk));
        Ok(self.rows.is_some())
    }

    /// Decimal mark of the file.
    pub(in crate::data) fn decimal(&self) -> Decimal {
        self.form.decimal
    }

    /// An [`Error::Data`] at the current row.
    pub(in crate::data) fn wrong(&self, column: &str, found: String, expected: &str) -> Error {
        let line = self.before + self.rows.as_ref().map_or(0, |rows| rows.line);
        self.form.wrong(format!("line {line}, column `{column}`"), found, expected)
    }

    /// Error: end of the file where rows are expected.
    pub(in crate::data) fn nothing(&self, expected: &str) -> Error {
        self.form.nothing(self.before, expected)
    }
}
