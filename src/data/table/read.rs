//! Reads a table from a file.

use std::io;
use std::path::Path;

use rayon::prelude::*;

use crate::data::columnar::format::Format;
use crate::data::fingerprint::Fingerprint;
use crate::data::source::Source;
use crate::data::table::chunks::{Chunk, Chunks};
use crate::data::table::column::{Builder, Kind};
use crate::data::table::form::Form;
use crate::data::table::fragment::Fragment;
use crate::data::table::options::TableOptions;
use crate::data::table::place::Place;
use crate::data::table::records::{Fault, Records};
use crate::data::table::table::Table;
use crate::data::table::text::{Text, broken};
use crate::{Error, Result};

/// Bytes parsed by a thread at a time.
const CHUNK: usize = 1 << 20;

impl Table {
    /// Reads a table: a file of separated fields, plain or gzip; `-` is standard input.
    ///
    /// The format is detected from the file, and [`Table::notes`] describes it:
    ///
    /// * Text: UTF-8, UTF-16 with or without a byte order mark, else Latin-1; line ends of any
    ///   system.
    /// * Fields: separated by `,`, `;`, tab, `|`, `::` or spaces, whichever splits all lines
    ///   evenly; a line `sep=;` declares it; quotes as in RFC 4180.
    /// * Above the rows: comment lines (`#`), the last of which may name the columns.
    /// * Header: the first row, unless it has a number above a numeric column, or a cell that
    ///   occurs again in its column; also `0,1,2` as written by pandas.
    /// * Numbers: a decimal point, or a comma if no point contradicts it; thousands separators; one
    ///   unit per column (`$`, `€`, `£`, `¥`, `%`).
    /// * Blanks: empty cells, `NA`, `N/A`, `NaN`, `null` …; among numbers also `?`, `-`, `None`.
    ///
    /// Parquet and Arrow IPC (Feather 2) are read into the same columns with the feature `parquet`:
    /// numbers and times (in seconds) as numbers, text and booleans as words, nulls as blanks;
    /// lists and structures are left out, with a note.
    ///
    /// A column is numeric if each cell that is not blank is a number, else it holds words. The
    /// whole file decides, not its first row.
    ///
    /// # Errors
    /// [`crate::Error::Data`] with the line for a row with another number of fields, for a file
    /// without rows, or for contradictory decimal marks; [`crate::Error::Io`] if it cannot be read.
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

    /// The rows of a file; also the unparsed cells of the column `key`, and their lines.
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

/// A table under construction, chunk by chunk.
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

    /// Adds the next parsed chunks; false at the end.
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

/// Parses a text sequentially, on all threads.
pub(super) struct Parser {
    pub(super) form: Form,
    chunks: Chunks,
    /// Chunks to be parsed next.
    next: Vec<Chunk>,
    /// Column types, if known.
    kinds: Option<Vec<Kind>>,
    /// Number of lines parsed.
    lines: u64,
}

/// A parsed chunk.
pub(super) struct Parsed {
    pub(super) fragment: Fragment,
    /// Number of lines of the file before it.
    pub(super) lines_before: u64,
    /// Offset in the file, if known, and length in bytes.
    pub(super) offset: Option<u64>,
    pub(super) length: usize,
    pub(super) has_header: bool,
    /// Fingerprint of the bytes.
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

    /// Parses the current chunks while the next ones are read; empty at the end.
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
        // In file order, so that the first error is reported independent of thread scheduling.
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

    /// Error: the file has no rows.
    pub(super) fn nothing(&self) -> Error {
        self.form.nothing(self.lines, "a header and at least one row, or rows of numbers")
    }
}

/// Parses a chunk.
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

/// Reads enough chunks to occupy all threads.
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

/// Estimated number of rows in a text of this size, from its beginning. Memory is reserved at once,
/// since a column that grows by doubling temporarily takes twice its size.
pub(super) fn likely_rows(sample: &[u8], bytes: u64) -> usize {
    let lines = memchr::memchr_iter(b'\n', sample).count() as f64;
    if sample.is_empty() {
        return 0;
    }
    // Later rows may be shorter: add a hundredth to the estimate.
    let rows = 1.01 * lines * bytes as f64 / sample.len() as f64 + 16.0;
    rows.min(bytes as f64) as usize
}
