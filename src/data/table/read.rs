//! A table from a file.

use std::io;
use std::path::Path;

use rayon::prelude::*;

use super::super::columnar::Format;
use super::super::fingerprint::Fingerprint;
use super::super::source::Source;
use super::chunks::{Chunk, Chunks};
use super::column::{Builder, Kind};
use super::form::Form;
use super::fragment::Fragment;
use super::records::{Fault, Records};
use super::text::{Text, broken};
use super::{Place, Table, TableOptions};
use crate::{Error, Result};

/// Bytes that a thread takes apart at a time.
const CHUNK: usize = 1 << 20;

impl Table {
    /// Reads a table: a file of separated fields, plain or gzip; `-` is standard input.
    ///
    /// All that people's files are is read where it can be told from the file, and what was told stands in [`Table::notes`]:
    ///
    /// | | |
    /// |---|---|
    /// | text | UTF-8, UTF-16 with a byte order mark or without, else Latin-1; line ends of any system |
    /// | fields | parted by `,`, `;`, tab, `\|`, `::` or spaces, whichever parts all lines evenly; a line `sep=;` says it; quotes as in RFC 4180 |
    /// | above the rows | lines of comments (`#`), the last of which may name the columns |
    /// | header | the first row, unless a number stands in it above a column of numbers, or a cell of it again in its column; also `0,1,2` as pandas writes it |
    /// | numbers | a decimal point, or a comma where no point contradicts; marks of thousands; one unit in all of a column (`$`, `€`, `£`, `¥`, `%`) |
    /// | blanks | empty cells, `NA`, `N/A`, `NaN`, `null` …; among numbers also `?`, `-`, `None` |
    ///
    /// Parquet and Arrow IPC (Feather 2) are read into the same columns with the feature `parquet`: numbers and times (in seconds) as
    /// numbers, text and booleans as words, nulls as blanks; lists and structures are left out, which is told.
    ///
    /// A column is of numbers if each cell of it that is not blank is one, else of words. The whole file decides, not its first row.
    ///
    /// # Errors
    /// [`crate::Error::Data`] with the line for a row of another length, for a file without rows, for decimal marks that contradict each
    /// other; [`crate::Error::Io`] if it cannot be read.
    ///
    /// ```
    /// use gradus::data::{Table, TableOptions};
    ///
    /// # let folder = tempfile::tempdir().map_err(|source| gradus::Error::Io { path: "".into(), source })?;
    /// # let path = folder.path().join("prices.csv");
    /// std::fs::write(&path, "city;price\nBonn;1.234,50\nUlm;\n").unwrap();
    /// let table = Table::read(&path, &TableOptions::default())?;
    /// assert_eq!(table.column("price")?.text(0).unwrap(), "1234.5");
    /// assert!(table.column("price")?.is_blank(1));
    /// assert_eq!(table.notes()[0], "the decimal mark is a comma");
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn read(path: impl AsRef<Path>, options: &TableOptions) -> Result<Table> {
        if let Some(format) = Format::of(path.as_ref()) {
            return format.read(path.as_ref());
        }
        let mut reading = Reading::open(path.as_ref(), options)?;
        while reading.advance()? {}
        reading.finish()
    }

    /// The rows of a file; the cells of the column `key` stand beside the table as they are written, and their lines.
    pub(in crate::data) fn from_records(
        path: &Path,
        mut records: Records,
        key: usize,
    ) -> Result<(Table, Vec<(u64, String)>)> {
        let mut place = Place { path: path.into(), lines: Vec::new() };
        let mut builders: Vec<Builder> =
            records.names.iter().map(|_| Builder::new(records.decimal())).collect();
        let (mut rows, mut keys) = (0, Vec::new());
        while let Some((line, cells)) = records.next()? {
            place.add(rows, line);
            for (at, (builder, cell)) in builders.iter_mut().zip(cells).enumerate() {
                if at == key {
                    keys.push((line, cell.clone()));
                } else {
                    builder.add(cell);
                }
            }
            rows += 1;
        }
        if rows == 0 {
            return Err(records.nothing("a header and at least one row, or rows of numbers"));
        }
        let mut notes = std::mem::take(&mut records.notes);
        let mut columns = Vec::with_capacity(builders.len());
        let named = builders.into_iter().zip(std::mem::take(&mut records.names)).enumerate();
        for (_, (builder, name)) in named.filter(|(at, _)| *at != key) {
            let (column, note) = builder.finish(name);
            columns.push(column);
            notes.extend(note);
        }
        let table = Table { columns, rows, has_header: records.has_header, place, notes };
        table.check_names()?;
        Ok((table, keys))
    }
}

/// A table that grows chunk by chunk.
struct Reading {
    parser: Parser,
    columns: Vec<Builder>,
    rows: usize,
    place: Place,
    comments: usize,
    is_latin1: bool,
}

impl Reading {
    fn open(path: &Path, options: &TableOptions) -> Result<Self> {
        let source = Source::open(path)?;
        let most = source.most();
        let (form, text) = Form::open(source, options)?;
        let rows = if text.start.is_some() { likely_rows(&text.sample, most) } else { 0 };
        let columns = form.names.iter().map(|_| {
            let mut column = Builder::new(form.decimal);
            column.reserve(rows);
            column
        });
        let columns = columns.collect();
        let parser = Parser::new(form, text, None)?;
        let place = Place { path: path.into(), lines: Vec::new() };
        Ok(Reading { parser, columns, rows: 0, place, comments: 0, is_latin1: false })
    }

    /// Adds what was taken apart next; false at the end.
    fn advance(&mut self) -> Result<bool> {
        let parsed = self.parser.round()?;
        let is_over = parsed.is_empty();
        for Parsed { fragment, lines_before, .. } in parsed {
            for (row, line) in fragment.starts {
                self.place.add(self.rows + row, lines_before + line);
            }
            self.columns
                .iter_mut()
                .zip(fragment.columns)
                .for_each(|(column, further)| column.append(further));
            self.rows += fragment.rows;
            self.comments += fragment.comments;
            self.is_latin1 |= fragment.is_latin1;
        }
        Ok(!is_over)
    }

    fn finish(self) -> Result<Table> {
        let form = &self.parser.form;
        if self.rows == 0 {
            return Err(self.parser.nothing());
        }
        let mut notes = form.notes_with(self.comments, self.is_latin1);
        let mut columns = Vec::with_capacity(self.columns.len());
        for (builder, name) in self.columns.into_iter().zip(&form.names) {
            let (column, note) = builder.finish(name.clone());
            columns.push(column);
            notes.extend(note);
        }
        let table = Table {
            columns,
            rows: self.rows,
            has_header: form.has_header,
            place: self.place,
            notes,
        };
        table.check_names()?;
        Ok(table)
    }
}

/// Takes a text apart from its beginning to its end, on all threads.
pub(super) struct Parser {
    pub(super) form: Form,
    chunks: Chunks,
    /// Chunks that were read and are to be taken apart.
    next: Vec<Chunk>,
    /// What the columns are known to hold.
    kinds: Option<Vec<Kind>>,
    /// Lines that were taken apart.
    lines: u64,
}

/// A chunk that was taken apart.
pub(super) struct Parsed {
    pub(super) fragment: Fragment,
    /// Lines of the file before it.
    pub(super) lines_before: u64,
    /// Where its bytes lie, as far as that is known, and how many they are.
    pub(super) offset: Option<u64>,
    pub(super) length: usize,
    pub(super) has_header: bool,
    /// What other bytes have only by chance.
    pub(super) fingerprint: u64,
}

impl Parser {
    pub(super) fn new(form: Form, text: Text, kinds: Option<Vec<Kind>>) -> Result<Self> {
        let chunks =
            Chunks::new(text, &form, CHUNK).map_err(|error| broken(&form.path, 1, &error))?;
        let mut parser =
            Parser { lines: form.skipped as u64, form, chunks, next: Vec::new(), kinds };
        parser.next = read_round(&mut parser.chunks).map_err(|error| parser.broken(&error))?;
        Ok(parser)
    }

    /// Takes apart what was read, while more is being read; nothing at the end.
    pub(super) fn round(&mut self) -> Result<Vec<Parsed>> {
        let now = std::mem::take(&mut self.next);
        if now.is_empty() {
            return Ok(Vec::new());
        }
        let Parser { form, chunks, kinds, .. } = self;
        let (form, kinds) = (&*form, kinds.as_deref());
        let parse =
            || now.into_par_iter().map(|chunk| parsed(form, chunk, kinds)).collect::<Vec<_>>();
        let (found, next) = rayon::join(parse, || read_round(chunks));
        let mut all = Vec::with_capacity(found.len());
        // In the order of the file, so that the first fault is told whatever the threads do.
        for found in found {
            let fault = |fault: Fault| {
                form.other_length(self.lines + fault.line, fault.fields, fault.lines)
            };
            let parsed = Parsed { lines_before: self.lines, ..found.map_err(fault)? };
            self.lines += parsed.fragment.lines;
            all.push(parsed);
        }
        self.next = next.map_err(|error| self.broken(&error))?;
        Ok(all)
    }

    fn broken(&self, error: &io::Error) -> Error {
        broken(&self.form.path, self.lines + 1, error)
    }

    /// That there were no rows.
    pub(super) fn nothing(&self) -> Error {
        self.form.nothing(self.lines, "a header and at least one row, or rows of numbers")
    }
}

/// Takes a chunk apart.
pub(super) fn parsed(
    form: &Form,
    chunk: Chunk,
    kinds: Option<&[Kind]>,
) -> std::result::Result<Parsed, Fault> {
    let (offset, length, has_header) = (chunk.offset, chunk.bytes.len(), chunk.has_header);
    let mut fingerprint = Fingerprint::new();
    fingerprint.add_all(&chunk.bytes);
    let fragment = Fragment::parse(form, chunk, kinds)?;
    Ok(Parsed {
        fragment,
        lines_before: 0,
        offset,
        length,
        has_header,
        fingerprint: fingerprint.value(),
    })
}

/// As many chunks as keep all threads busy.
fn read_round(chunks: &mut Chunks) -> io::Result<Vec<Chunk>> {
    let count = 2 * rayon::current_num_threads();
    let mut found = Vec::with_capacity(count);
    while found.len() < count {
        match chunks.next()? {
            Some(chunk) => found.push(chunk),
            None => break,
        }
    }
    Ok(found)
}

/// About how many rows a text of so many bytes has, by its beginning; room is made for them at once, since a column that grows by
/// doubling is twice in memory for a while.
pub(super) fn likely_rows(sample: &[u8], bytes: u64) -> usize {
    let lines = memchr::memchr_iter(b'\n', sample).count() as f64;
    if sample.is_empty() {
        return 0;
    }
    // Rows may be shorter later on: a hundredth more than the beginning says.
    let rows = 1.01 * lines * bytes as f64 / sample.len() as f64 + 16.0;
    rows.min(bytes as f64) as usize
}
