//! Parsed cells of a chunk of rows.

use memchr::{memchr, memchr_iter};

use crate::data::table::chunks::Chunk;
use crate::data::table::column::{Builder, Kind};
use crate::data::table::form::Form;
use crate::data::table::records::{Fault, Rows};

/// Columns of some rows.
#[derive(Debug)]
pub(in crate::data) struct Fragment {
    pub(super) columns: Vec<Builder>,
    pub(super) rows: usize,
    /// A row and its line, from 1 in the chunk, wherever a line does not directly follow the
    /// previous one.
    pub(super) starts: Vec<(usize, u64)>,
    /// Total number of lines.
    pub(super) lines: u64,
    pub(super) comments: usize,
    pub(super) is_latin1: bool,
}

impl Fragment {
    /// Parses a chunk; `kinds` are the column types, if known.
    pub(super) fn parse(form: &Form, chunk: Chunk, kinds: Option<&[Kind]>) -> Result<Self, Fault> {
        let columns = match kinds {
            Some(kinds) => kinds.iter().map(|&kind| Builder::of(kind, form.decimal)).collect(),
            None => form.names.iter().map(|_| Builder::new(form.decimal)).collect(),
        };
        let starts = Vec::new();
        let mut fragment =
            Fragment { columns, rows: 0, starts, lines: 0, comments: 0, is_latin1: false };
        // Quotes hide separators of fields and rows, and Latin-1 is detected per field.
        let is_quoted = form.quotes() && memchr(b'"', &chunk.bytes).is_some();
        if is_quoted || std::str::from_utf8(&chunk.bytes).is_err() {
            fragment.read_records(form, chunk)?;
        } else {
            fragment.read_lines(form, chunk)?;
        }
        Ok(fragment)
    }

    fn read_records(&mut self, form: &Form, chunk: Chunk) -> Result<(), Fault> {
        let mut rows = Rows::new(form, chunk);
        while let Some(cells) = rows.next(form)? {
            self.columns.iter_mut().zip(cells).for_each(|(column, cell)| column.add(cell));
            self.add_row(rows.line);
        }
        (self.lines, self.comments, self.is_latin1) = (rows.lines(), rows.comments, rows.is_latin1);
        Ok(())
    }

    /// As [`Fragment::read_records`], for UTF-8 without quotes: five times as fast.
    fn read_lines(&mut self, form: &Form, chunk: Chunk) -> Result<(), Fault> {
        let mut is_header = chunk.has_header;
        let bytes = form.parted(chunk.lines());
        let text = String::from_utf8(bytes).unwrap_or_default();
        let (wanted, mark) = (form.names.len(), form.byte());
        let (mut start, mut ends) = (0, Vec::with_capacity(wanted + 1));
        for end in memchr_iter(b'\n', text.as_bytes()) {
            let line = &text[start..end];
            start = end + 1;
            self.lines += 1;
            if line.is_empty() || std::mem::take(&mut is_header) {
                continue;
            }
            ends.clear();
            ends.extend(memchr_iter(mark, line.as_bytes()));
            ends.push(line.len());
            let mut count = ends.len();
            let cell = |place: usize| {
                line[if place == 0 { 0 } else { ends[place - 1] + 1 }..ends[place]].trim()
            };
            if form.has_trailing && count == wanted + 1 && cell(wanted).is_empty() {
                count -= 1;
            }
            if count == wanted {
                self.columns
                    .iter_mut()
                    .enumerate()
                    .for_each(|(place, column)| column.add(cell(place)));
                self.add_row(self.lines);
            } else if cell(0).starts_with('#') {
                self.comments += 1;
            } else {
                return Err(Fault { line: self.lines, fields: count, lines: 0 });
            }
        }
        Ok(())
    }

    fn add_row(&mut self, line: u64) {
        let next = self.starts.last().map(|&(first, line)| line + (self.rows - first) as u64);
        if next != Some(line) {
            self.starts.push((self.rows, line));
        }
        self.rows += 1;
    }
}
