//! Arrow arrays as columns of a table.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_ipc::reader::FileReader;
use arrow_schema::{ArrowError, DataType, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::data::columnar::format::Format;
use crate::data::table::column::{Builder, Kind};
use crate::data::table::number::Decimal;
use crate::data::table::table::Table;
use crate::{Error, Result};

/// Rows decoded at a time, and the maximum of a chunk.
const PIECE: usize = 1 << 16;

/// Whole numbers up to this one are exact in f64; for larger ones the text is kept too.
const LARGEST_WHOLE: u64 = 1 << 53;

type Batches = Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>>>;

/// Layout of a file: its columns, and chunks that can be read independently.
#[derive(Debug, Clone)]
pub(in crate::data) struct Layout {
    format: Format,
    path: PathBuf,
    /// The columns to read: index in the file, name and kind.
    columns: Vec<(usize, String, Kind)>,
    pub(in crate::data) notes: Vec<String>,
    pub(in crate::data) pieces: Vec<Piece>,
}

/// Rows of a file: a row group of Parquet or a section of one, a record batch of Arrow.
#[derive(Debug, Clone, Copy)]
pub(in crate::data) struct Piece {
    group: usize,
    offset: usize,
    pub(in crate::data) rows: usize,
}

impl Layout {
    pub(in crate::data) fn open(format: Format, path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let (schema, pieces) =
            laid_out(format, file).map_err(|error| damaged(format, path, &error))?;
        let (mut columns, mut notes) = (Vec::new(), Vec::new());
        for (place, field) in schema.fields().iter().enumerate() {
            match kind(field.data_type()) {
                Some(kind) => columns.push((place, field.name().clone(), kind)),
                None => notes.push(format!(
                    "column `{}` is left out: it holds {}",
                    field.name(),
                    field.data_type()
                )),
            }
        }
        Ok(Layout { format, path: path.into(), columns, notes, pieces })
    }

    /// Numbers of rows and of columns to read.
    pub(in crate::data) fn size(&self) -> [usize; 2] {
        [self.pieces.iter().map(|piece| piece.rows).sum(), self.columns.len()]
    }

    /// The columns without rows.
    pub(in crate::data) fn head(&self) -> Result<Table> {
        self.table(std::iter::empty(), Vec::new())
    }

    /// All rows.
    pub(in crate::data) fn whole(&self) -> Result<Table> {
        let file = File::open(&self.path)
            .map_err(|source| Error::Io { path: self.path.clone(), source })?;
        let batches = opened(self.format, file, None)
            .map_err(|error| damaged(self.format, &self.path, &error))?;
        let table = self.table(batches, self.notes.clone())?;
        if table.rows() > 0 {
            return Ok(table);
        }
        Err(self.wrong("its rows", "none".into(), "at least one"))
    }

    /// The rows of a chunk.
    pub(in crate::data) fn piece(&self, place: usize) -> Result<Table> {
        let (file, piece) = (File::open(&self.path), self.pieces[place]);
        let file = file.map_err(|source| Error::Io { path: self.path.clone(), source })?;
        let batches = opened(self.format, file, Some(piece))
            .map_err(|error| damaged(self.format, &self.path, &error))?;
        let table = self.table(batches, Vec::new())?;
        if table.rows() == piece.rows {
            return Ok(table);
        }
        let found = format!("{} rows", table.rows());
        Err(self.wrong(
            &format!("group {}", piece.group),
            found,
            &format!("{}, as its head says", piece.rows),
        ))
    }

    fn table(
        &self,
        batches: impl Iterator<Item = std::result::Result<RecordBatch, ArrowError>>,
        notes: Vec<String>,
    ) -> Result<Table> {
        let mut builders: Vec<Builder> =
            self.columns.iter().map(|(_, _, kind)| Builder::of(*kind, Decimal::Point)).collect();
        for batch in batches {
            let batch =
                batch.map_err(|error| damaged(self.format, &self.path, &error.to_string()))?;
            for ((place, name, _), builder) in self.columns.iter().zip(&mut builders) {
                let position = format!("column `{name}`");
                add(builder, batch.column(*place)).map_err(|error| {
                    self.wrong(&position, error.to_string(), "numbers, text, booleans or times")
                })?;
            }
        }
        let columns = builders
            .into_iter()
            .zip(&self.columns)
            .map(|(builder, (_, name, _))| builder.finish(name.clone()).0);
        Table::of_file(&self.path, columns.collect(), notes)
    }

    fn wrong(&self, position: &str, found: String, expected: &str) -> Error {
        Error::Data {
            path: self.path.clone(),
            position: position.into(),
            found,
            expected: expected.into(),
        }
    }
}

/// Columns and chunks of a file.
fn laid_out(format: Format, file: File) -> std::result::Result<(SchemaRef, Vec<Piece>), String> {
    match format {
        Format::Parquet => {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file)
                .map_err(|error| error.to_string())?;
            let mut pieces = Vec::new();
            for (group, found) in builder.metadata().row_groups().iter().enumerate() {
                let rows = usize::try_from(found.num_rows()).map_err(|error| error.to_string())?;
                let part = |offset| Piece { group, offset, rows: PIECE.min(rows - offset) };
                pieces.extend((0..rows).step_by(PIECE).map(part));
            }
            Ok((builder.schema().clone(), pieces))
        }
        Format::Arrow => {
            let mut reader = FileReader::try_new(BufReader::new(file), None)
                .map_err(|error| error.to_string())?;
            let mut pieces = Vec::new();
            // The number of rows is stored in the batch itself only.
            for (group, batch) in reader.by_ref().enumerate() {
                let rows = batch.map_err(|error| error.to_string())?.num_rows();
                pieces.push(Piece { group, offset: 0, rows });
            }
            Ok((reader.schema(), pieces))
        }
    }
}

/// The record batches of a file, or of a chunk of it.
fn opened(
    format: Format,
    file: File,
    piece: Option<Piece>,
) -> std::result::Result<Batches, String> {
    match format {
        Format::Parquet => {
            let mut builder = ParquetRecordBatchReaderBuilder::try_new(file)
                .map_err(|error| error.to_string())?;
            if let Some(Piece { group, offset, rows }) = piece {
                builder = builder.with_row_groups(vec![group]).with_offset(offset).with_limit(rows);
            }
            let reader =
                builder.with_batch_size(PIECE).build().map_err(|error| error.to_string())?;
            Ok(Box::new(reader))
        }
        Format::Arrow => {
            let mut reader = FileReader::try_new(BufReader::new(file), None)
                .map_err(|error| error.to_string())?;
            let count = piece.map_or(usize::MAX, |_| 1);
            if let Some(piece) = piece {
                reader.set_index(piece.group).map_err(|error| error.to_string())?;
            }
            Ok(Box::new(reader.take(count)))
        }
    }
}

fn damaged(format: Format, path: &Path, error: &str) -> Error {
    Error::Data {
        path: path.into(),
        position: format!("its {} data", format.name()),
        found: error.into(),
        expected: "a whole file, not compressed with LZO or Brotli; Feather of version 2".into(),
    }
}

/// The kind of a column by its type; none if it is not a number, text, boolean or time.
fn kind(of: &DataType) -> Option<Kind> {
    match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => {
            Some(Kind::Words)
        }
        DataType::Dictionary(_, values) => kind(values),
        DataType::Null
        | DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(..)
        | DataType::Duration(_) => Some(Kind::Numbers),
        DataType::Time32(_) | DataType::Time64(_) => Some(Kind::Numbers),
        number if number.is_numeric() => Some(Kind::Numbers),
        _ => None,
    }
}

/// Adds the cells of an array; nulls become blanks.
fn add(builder: &mut Builder, array: &ArrayRef) -> std::result::Result<(), ArrowError> {
    let array = match array.data_type() {
        DataType::Dictionary(_, values) => &cast(array, values)?,
        _ => array,
    };
    match array.data_type() {
        DataType::Boolean => {
            let word = |truth: bool| if truth { "True" } else { "False" };
            array.as_boolean().iter().for_each(|cell| builder.add(cell.map_or("", word)));
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let text = cast(array, &DataType::LargeUtf8)?;
            text.as_string::<i64>().iter().for_each(|cell| builder.add(cell.unwrap_or("").trim()));
        }
        DataType::Null => (0..array.len()).for_each(|_| builder.add_number(f64::NAN, None)),
        DataType::Int64 => {
            array.as_primitive::<Int64Type>().iter().for_each(|cell| whole(builder, cell))
        }
        DataType::UInt64 => {
            let cells = array.as_primitive::<UInt64Type>().iter();
            for cell in cells {
                match cell {
                    Some(large) if large > LARGEST_WHOLE => {
                        builder.add_number(large as f64, Some(large.to_string()))
                    }
                    cell => builder.add_number(cell.map_or(f64::NAN, |cell| cell as f64), None),
                }
            }
        }
        time if per_second(time).is_some() => {
            let unit = per_second(time).unwrap_or(1.0);
            let ticks = cast(&ticks(array)?, &DataType::Int64)?;
            let seconds = |cell: Option<i64>| cell.map_or(f64::NAN, |cell| cell as f64 / unit);
            ticks
                .as_primitive::<Int64Type>()
                .iter()
                .for_each(|cell| builder.add_number(seconds(cell), None));
        }
        _ => {
            let numbers = cast(array, &DataType::Float64)?;
            let cells = numbers.as_primitive::<Float64Type>().iter();
            cells.for_each(|cell| builder.add_number(cell.unwrap_or(f64::NAN), None));
        }
    }
    Ok(())
}

fn whole(builder: &mut Builder, cell: Option<i64>) {
    match cell {
        Some(large) if large.unsigned_abs() > LARGEST_WHOLE => {
            builder.add_number(large as f64, Some(large.to_string()))
        }
        cell => builder.add_number(cell.map_or(f64::NAN, |cell| cell as f64), None),
    }
}

/// Ticks per second of a time type; dates are converted to seconds too.
fn per_second(of: &DataType) -> Option<f64> {
    let of_unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 1.0,
        TimeUnit::Millisecond => 1e3,
        TimeUnit::Microsecond => 1e6,
        TimeUnit::Nanosecond => 1e9,
    };
    match of {
        DataType::Date32 => Some(1.0 / 86_400.0),
        DataType::Date64 => Some(1e3),
        DataType::Timestamp(unit, _) | DataType::Duration(unit) => Some(of_unit(unit)),
        DataType::Time32(unit) | DataType::Time64(unit) => Some(of_unit(unit)),
        _ => None,
    }
}

/// A time as whole numbers of its own width.
fn ticks(array: &ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
    let width = match array.data_type() {
        DataType::Date32 | DataType::Time32(_) => DataType::Int32,
        _ => DataType::Int64,
    };
    cast(&Arc::clone(array), &width)
}
