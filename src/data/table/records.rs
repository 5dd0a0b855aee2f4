//! Rows of fields with their lines, from any text that is a table.

use std::borrow::Cow;
use std::io::Cursor;

use csv::ByteRecord;

use super::super::source::Source;
use super::chunks::{Chunk, Chunks};
use super::form::Form;
use super::{TableOptions, text};
use crate::{Error, Result};

/// Bytes that are taken apart at a time.
const CHUNK: usize = 1 << 18;

/// The rows of some whole lines.
pub(super) struct Rows {
    reader: csv::Reader<Cursor<Vec<u8>>>,
    record: ByteRecord,
    cells: Vec<String>,
    /// The line behind the last record, from 1.
    next_line: u64,
    /// The line of the record at hand.
    pub(super) line: u64,
    pub(super) comments: usize,
    pub(super) is_latin1: bool,
    /// A quote was opened in the record at hand, and never closed.
    is_open: bool,
}

/// What [`Fault::lines`] says where a quote is never closed.
pub(super) const OPEN: usize = usize::MAX;

/// A row that cannot be taken.
#[derive(Debug)]
pub(super) struct Fault {
    /// Its line among those of its chunk, from 1.
    pub(super) line: u64,
    pub(super) fields: usize,
    /// Line ends within it; [`OPEN`] where a quote swallows the rest of the file.
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

    /// Reads a record into the cells. Bytes in memory are always read.
    fn read(&mut self) -> bool {
        if !self.reader.read_byte_record(&mut self.record).unwrap_or(false) {
            return false;
        }
        let after = self.reader.position().line();
        // A record may hold line ends in quotes; and empty lines before it are counted as its own.
        let inside = if after == self.next_line + 1 {
            0
        } else {
            self.record.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64
        };
        self.line = (after - 1).saturating_sub(inside).max(1);
        // The csv crate ends a field at the end of the text as if its quote were there.
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

    /// Lines of the chunk, once all of its rows are read.
    pub(super) fn lines(&self) -> u64 {
        self.reader.position().line() - 1
    }
}

/// Rows that are read one after the other.
pub(in crate::data) struct Records {
    form: Form,
    chunks: Chunks,
    rows: Option<Rows>,
    /// Lines before those of `rows`.
    before: u64,
    comments: usize,
    is_latin1: bool,
    /// The names of the columns.
    pub(in crate::data) names: Vec<String>,
    /// Whether they stood in the file.
    pub(in crate::data) has_header: bool,
    /// What was found about the form; behind the last row also about what stood between them.
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
                    // The row is looked at again: the borrow checker does not see that it is given out at once.
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

    /// Goes on to the next chunk; false at the end.
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

    /// The decimal mark of the file.
    pub(in crate::data) fn decimal(&self) -> super::Decimal {
        self.form.decimal
    }

    /// An [`Error::Data`] at the row at hand.
    pub(in crate::data) fn wrong(&self, column: &str, found: String, expected: &str) -> Error {
        let line = self.before + self.rows.as_ref().map_or(0, |rows| rows.line);
        self.form.wrong(format!("line {line}, column `{column}`"), found, expected)
    }

    /// The end of the file where rows should be.
    pub(in crate::data) fn nothing(&self, expected: &str) -> Error {
        self.form.nothing(self.before, expected)
    }
}
