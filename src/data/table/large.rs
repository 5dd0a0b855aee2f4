//! Tables larger than memory, read in chunks, as often as needed.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::data::columnar::format::Format;
use crate::data::fingerprint::Fingerprint;
use crate::data::rows::RowSet;
use crate::data::source::Source;
use crate::data::table::chunks::Chunk;
use crate::data::table::column::{Builder, Kind};
use crate::data::table::form::Form;
use crate::data::table::fragment::Fragment;
use crate::data::table::options::TableOptions;
use crate::data::table::place::Place;
use crate::data::table::read::{Parser, parsed};
use crate::data::table::table::Table;
use crate::data::table::text::broken;
use crate::{Error, Result};

#[cfg(feature = "parquet")]
use crate::data::columnar::arrays::Layout;

/// A table in a file that is read one chunk at a time.
///
/// One initial pass collects what [`Table::read`] detects from the whole file: the type of each
/// column, the number of rows, and notes on the format.
///
/// ```
/// use gradus::data::{LargeTable, TableOptions};
///
/// # let folder = tempfile::tempdir().map_err(|source| gradus::Error::Io { path: "".into(), source })?;
/// # let path = folder.path().join("prices.csv");
/// std::fs::write(&path, "city,price\nBonn,12.5\nUlm,\nKiel,7\n").unwrap();
/// let table = LargeTable::open(&path, &TableOptions::default(), &["price".into()])?;
/// assert_eq!((table.rows(), table.rows_with_targets()), (3, 2));
/// for piece in table.pieces()? {
///     let (first_row, piece) = piece?;
///     assert_eq!((first_row, piece.column("city")?.text(2).unwrap().as_ref()), (0, "Kiel"));
/// }
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LargeTable {
    path: PathBuf,
    source: PieceSource,
    pieces: Vec<Piece>,
    rows: usize,
    /// Rows without a target.
    blank: RowSet,
    notes: Vec<String>,
    fingerprint: u64,
    length: Option<u64>,
    /// Modification time at the first pass.
    modified: Option<SystemTime>,
}

/// Modification time of a file, if the system provides it.
fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// Chunks of a table in order, each with the index of its first row.
pub type TablePieces<'t> = Box<dyn Iterator<Item = Result<(usize, Table)>> + 't>;

/// Source of the chunks.
#[derive(Debug, Clone)]
enum PieceSource {
    Text(Box<TextSource>),
    #[cfg(feature = "parquet")]
    Columnar(Layout),
}

/// A text whose format is known.
#[derive(Debug, Clone)]
struct TextSource {
    form: Form,
    options: TableOptions,
    kinds: Vec<Kind>,
}

/// A chunk of the file.
#[derive(Debug, Clone, Default)]
pub(in crate::data) struct Piece {
    pub(in crate::data) first_row: usize,
    pub(in crate::data) rows: usize,
    /// Number of rows with targets before it.
    pub(in crate::data) first_known: usize,
    lines_before: u64,
    offset: Option<u64>,
    length: usize,
    has_header: bool,
}

/// The columns of a table in a file, without rows: to find them by name.
///
/// # Errors
/// As [`Table::read`], for errors visible at the beginning of the file.
pub fn table_head(path: impl AsRef<Path>, options: &TableOptions) -> Result<Table> {
    if let Some(format) = Format::of(path.as_ref()) {
        #[cfg(feature = "parquet")]
        return Layout::open(format, path.as_ref())?.head();
        #[cfg(not(feature = "parquet"))]
        return format.read(path.as_ref());
    }
    let (form, _) = Form::open(Source::open(path.as_ref())?, options)?;
    let columns =
        form.names.iter().map(|name| Builder::new(form.decimal).finish(name.clone()).0).collect();
    let place = Place { path: form.path, lines: Vec::new() };
    let table = Table { columns, rows: 0, has_header: form.has_header, place, notes: Vec::new() };
    table.check_names()?;
    Ok(table)
}

/// 8 in the table, 4 as a feature, 4 on the device.
const BYTES_OF_CELL: u64 = 8 + 4 + 4;

/// Estimated bytes for training on the numbers of a table: per cell 8 in the table, 4 as a feature,
/// and 4 on the device, from the file's beginning and its size. None for sources without a size,
/// e.g. standard input.
///
/// # Errors
/// As [`table_head`].
pub fn table_bytes(path: impl AsRef<Path>, options: &TableOptions) -> Result<Option<u64>> {
    /// Compressed text of numbers takes a half or a third of its size.
    const EXPANSION: u64 = 3;
    let path = path.as_ref();
    let Ok(metadata) = metadata(path) else { return Ok(None) };
    #[cfg(feature = "parquet")]
    if let Some(format) = Format::of(path) {
        let [rows, columns] = Layout::open(format, path)?.size();
        return Ok(Some((rows as u64 * columns as u64).saturating_mul(BYTES_OF_CELL)));
    }
    let (form, text) = Form::open(Source::open(path)?, options)?;
    let bytes = if text.start.is_some() {
        metadata.len()
    } else {
        metadata.len().saturating_mul(EXPANSION)
    };
    let cells = super::read::likely_rows(&text.sample, bytes) as u64 * form.names.len() as u64;
    Ok(Some(cells.saturating_mul(BYTES_OF_CELL)))
}

impl LargeTable {
    /// Scans a file once; `targets` are columns whose blank cells are recorded.
    ///
    /// # Errors
    /// As [`Table::read`]; [`Error::Unknown`] for a target that is not a column; [`Error::Input`]
    /// for sources that can be read only once, e.g. standard input.
    pub fn open(
        path: impl AsRef<Path>,
        options: &TableOptions,
        targets: &[String],
    ) -> Result<Self> {
        let path = path.as_ref();
        let head = table_head(path, options)?;
        let watched: Vec<usize> =
            targets.iter().map(|name| head.position(name)).collect::<Result<_>>()?;
        let metadata = metadata(path)?;
        #[cfg(feature = "parquet")]
        if let Some(format) = Format::of(path) {
            return Self::of_columns(Layout::open(format, path)?, path, metadata.len(), &watched);
        }
        let (form, text) = Form::open(Source::open(path)?, options)?;
        let mut survey = Survey::new(&form, watched);
        let mut parser = Parser::new(form.clone(), text, None)?;
        loop {
            let round = parser.round()?;
            if round.is_empty() {
                break;
            }
            for parsed in round {
                let piece = Piece {
                    first_row: survey.rows,
                    rows: parsed.fragment.rows,
                    first_known: 0,
                    lines_before: parsed.lines_before,
                    offset: parsed.offset,
                    length: parsed.length,
                    has_header: parsed.has_header,
                };
                survey.fingerprint.add_all(&[parsed.fingerprint]);
                survey.add(parsed.fragment);
                survey.pieces.push(piece);
            }
        }
        if survey.rows == 0 {
            return Err(parser.nothing());
        }
        Ok(survey.finish(form, options, metadata.is_file().then_some(metadata.len())))
    }

    /// For a file that declares its column types.
    #[cfg(feature = "parquet")]
    fn of_columns(layout: Layout, path: &Path, length: u64, watched: &[usize]) -> Result<Self> {
        let (mut pieces, mut rows, mut blank) = (Vec::new(), 0, RowSet::default());
        for place in 0..layout.pieces.len() {
            let piece = if watched.is_empty() { None } else { Some(layout.piece(place)?) };
            let columns = watched
                .iter()
                .flat_map(|&column| piece.as_ref().map(|piece| &piece.columns[column]));
            for column in columns {
                (0..column.len())
                    .filter(|&row| column.is_blank(row))
                    .for_each(|row| blank.insert(rows + row));
            }
            pieces.push(Piece {
                first_row: rows,
                rows: layout.pieces[place].rows,
                offset: Some(0),
                ..Piece::default()
            });
            rows += layout.pieces[place].rows;
        }
        if rows == 0 {
            layout.whole()?;
        }
        number_known(&mut pieces, &blank);
        let (notes, fingerprint) = (layout.notes.clone(), fingerprint_of(path)?);
        let source = PieceSource::Columnar(layout);
        let (length, modified, path) = (Some(length), modified(path), path.into());
        Ok(LargeTable { path, source, pieces, rows, blank, notes, fingerprint, length, modified })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of rows that have all targets.
    pub fn rows_with_targets(&self) -> usize {
        self.rows - self.blank.len()
    }

    /// The line of the first row that lacks a target; none if there is no such row.
    pub fn first_blank(&self) -> Result<Option<String>> {
        let Some(row) = self.blank.first() else { return Ok(None) };
        for piece in self.pieces()? {
            let (first, table) = piece?;
            if row < first + table.rows() {
                return Ok(Some(table.line_of(row - first)));
            }
        }
        Ok(None)
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes on the format of the file, as [`Table::notes`].
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Fingerprint of the file's content.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// True if chunks can be read in any order; those of a compressed file are sequential.
    pub fn is_seekable(&self) -> bool {
        self.pieces.iter().all(|piece| piece.offset.is_some())
    }

    /// The chunks in file order, each with the index of its first row.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened; [`Error::Data`] if it has changed since it was
    /// opened.
    pub fn pieces(&self) -> Result<TablePieces<'_>> {
        self.check_unchanged()?;
        match &self.source {
            PieceSource::Text(text) => {
                let (form, bytes) = Form::open(Source::open(&self.path)?, &text.options)?;
                let parser = Parser::new(form, bytes, Some(text.kinds.clone()))?;
                let ready = Vec::new().into_iter();
                Ok(Box::new(Pieces { large: self, text, parser, ready, place: 0, is_over: false }))
            }
            #[cfg(feature = "parquet")]
            PieceSource::Columnar(layout) => {
                let piece =
                    |(place, piece): (usize, &Piece)| Ok((piece.first_row, layout.piece(place)?));
                Ok(Box::new(self.pieces.iter().enumerate().map(piece)))
            }
        }
    }

    pub(in crate::data) fn piece_list(&self) -> &[Piece] {
        &self.pieces
    }

    /// The rows of a chunk that have all targets, each with its index among these rows.
    pub(in crate::data) fn known<'l>(
        &'l self,
        piece: &'l Piece,
    ) -> impl Iterator<Item = (usize, usize)> + 'l {
        let known = (0..piece.rows).filter(|row| !self.blank.contains(piece.first_row + row));
        known.zip(piece.first_known..)
    }

    /// A chunk of a file that can be read in any order.
    pub(in crate::data) fn piece(&self, place: usize) -> Result<Table> {
        match &self.source {
            PieceSource::Text(text) => self.piece_of_text(text, place),
            #[cfg(feature = "parquet")]
            PieceSource::Columnar(layout) => layout.piece(place),
        }
    }

    fn piece_of_text(&self, text: &TextSource, place: usize) -> Result<Table> {
        let piece = &self.pieces[place];
        let read = || {
            let mut file = File::open(&self.path)?;
            Chunk::read(&mut file, piece.offset.unwrap_or(0), piece.length, piece.has_header)
        };
        let lines = piece.lines_before;
        let chunk = read().map_err(|error| broken(&self.path, lines + 1, &error))?;
        let parsed = parsed(&text.form, chunk, Some(&text.kinds)).map_err(|fault| {
            text.form.other_length(lines + fault.line, fault.fields, fault.lines)
        })?;
        self.as_table(text, place, parsed.fragment)
    }

    fn as_table(&self, text: &TextSource, place: usize, fragment: Fragment) -> Result<Table> {
        let Some(piece) = self.pieces.get(place).filter(|piece| piece.rows == fragment.rows) else {
            return Err(self.changed());
        };
        let mut lines = Place { path: self.path.clone(), lines: Vec::new() };
        fragment.starts.iter().for_each(|&(row, line)| lines.add(row, piece.lines_before + line));
        let columns = fragment.columns.into_iter().zip(&text.form.names);
        let columns = columns.map(|(builder, name)| builder.finish(name.clone()).0).collect();
        let (rows, has_header) = (fragment.rows, text.form.has_header);
        Ok(Table { columns, rows, has_header, place: lines, notes: Vec::new() })
    }

    /// Checks that size and modification time of the file are unchanged.
    pub(in crate::data) fn check_unchanged(&self) -> Result<()> {
        let now = metadata(&self.path)?;
        let is_same = self.length.is_none_or(|length| length == now.len())
            && self.modified == now.modified().ok();
        if is_same { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> Error {
        Error::Data {
            path: self.path.clone(),
            position: "the file".into(),
            found: "other rows than when it was read first".into(),
            expected: "a file that stays as it is while it is read".into(),
        }
    }
}

fn metadata(path: &Path) -> Result<Metadata> {
    let found =
        std::fs::metadata(path).map_err(|source| Error::Io { path: path.into(), source })?;
    if found.is_file() {
        return Ok(found);
    }
    Err(Error::Input {
        operation: "data".into(),
        name: path.display().to_string(),
        found: "is no file".into(),
        allowed: "what is larger than memory is read several times: save it as a file first".into(),
    })
}

/// State of the first pass over a file.
struct Survey {
    columns: Vec<Builder>,
    watched: Vec<usize>,
    pieces: Vec<Piece>,
    rows: usize,
    /// For each watched column the blanks, and the cells that are blank if it is numeric.
    blanks: Vec<(RowSet, RowSet)>,
    comments: usize,
    is_latin1: bool,
    fingerprint: Fingerprint,
}

impl Survey {
    fn new(form: &Form, watched: Vec<usize>) -> Self {
        Survey {
            columns: form.names.iter().map(|_| Builder::new(form.decimal)).collect(),
            blanks: watched.iter().map(|_| Default::default()).collect(),
            watched,
            pieces: Vec::new(),
            rows: 0,
            comments: 0,
            is_latin1: false,
            fingerprint: Fingerprint::new(),
        }
    }

    fn add(&mut self, fragment: Fragment) {
        for (&place, (always, among_numbers)) in self.watched.iter().zip(&mut self.blanks) {
            let (blank, number_like) = fragment.columns[place].blanks();
            blank.into_iter().for_each(|row| always.insert(self.rows + row));
            number_like.into_iter().for_each(|row| among_numbers.insert(self.rows + row));
        }
        self.columns
            .iter_mut()
            .zip(fragment.columns)
            .for_each(|(column, further)| column.append_kind(&further));
        self.rows += fragment.rows;
        self.comments += fragment.comments;
        self.is_latin1 |= fragment.is_latin1;
    }

    fn finish(self, form: Form, options: &TableOptions, length: Option<u64>) -> LargeTable {
        let kinds: Vec<Kind> = self.columns.iter().map(Builder::kind).collect();
        let mut blank = RowSet::default();
        for (&place, (always, among_numbers)) in self.watched.iter().zip(&self.blanks) {
            blank.extend(always);
            if kinds[place] == Kind::Numbers {
                blank.extend(among_numbers);
            }
        }
        let mut notes = form.notes_with(self.comments, self.is_latin1);
        notes.extend(
            self.columns
                .into_iter()
                .zip(&form.names)
                .filter_map(|(column, name)| column.finish(name.clone()).1),
        );
        let mut pieces = self.pieces;
        number_known(&mut pieces, &blank);
        // Later passes use the detected format.
        let options = TableOptions {
            delimiter: Some(form.delimiter),
            decimal: Some(form.decimal),
            ..options.clone()
        };
        let (rows, fingerprint) = (self.rows, self.fingerprint.value());
        let path = form.path.clone();
        let source = PieceSource::Text(Box::new(TextSource { form, options, kinds }));
        let modified = modified(&path);
        LargeTable { path, source, pieces, rows, blank, notes, fingerprint, length, modified }
    }
}

/// Counts the rows with targets before each chunk.
fn number_known(pieces: &mut [Piece], blank: &RowSet) {
    let mut known = 0;
    for piece in pieces {
        piece.first_known = known;
        let rows = piece.first_row..piece.first_row + piece.rows;
        known += rows.filter(|&row| !blank.contains(row)).count();
    }
}

/// Fingerprint of a file's bytes.
#[cfg(feature = "parquet")]
fn fingerprint_of(path: &Path) -> Result<u64> {
    let mut source = Source::open(path)?;
    let mut fingerprint = Fingerprint::new();
    loop {
        let bytes = source.up_to(1 << 20)?;
        if bytes.is_empty() {
            return Ok(fingerprint.value());
        }
        fingerprint.add_all(&bytes);
    }
}

struct Pieces<'l> {
    large: &'l LargeTable,
    text: &'l TextSource,
    parser: Parser,
    ready: std::vec::IntoIter<Fragment>,
    /// Index of the next chunk.
    place: usize,
    is_over: bool,
}

impl Iterator for Pieces<'_> {
    type Item = Result<(usize, Table)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let fragment = match self.ready.next() {
            Some(fragment) => fragment,
            None => match self.parser.round() {
                Ok(round) => {
                    self.ready = round
                        .into_iter()
                        .map(|parsed| parsed.fragment)
                        .collect::<Vec<_>>()
                        .into_iter();
                    match self.ready.next() {
                        Some(fragment) => fragment,
                        None => {
                            self.is_over = true;
                            let is_whole = self.place == self.large.pieces.len();
                            return (!is_whole).then(|| Err(self.large.changed()));
                        }
                    }
                }
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            },
        };
        let first = self.large.pieces.get(self.place).map_or(0, |piece| piece.first_row);
        let table = self.large.as_table(self.text, self.place, fragment);
        self.place += 1;
        self.is_over = table.is_err();
        Some(table.map(|table| (first, table)))
    }
}
