//! Arrow's arrays as columns of a table.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_ipc::reader::FileReader;
use arrow_schema::{ArrowError, DataType, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::super::table::{Builder, Decimal, Kind, Table};
use super::Format;
use crate::{Error, Result};

/// Rows that are decoded at a time.
const BATCH: usize = 1 << 16;

/// Whole numbers up to here are numbers of f64; of larger ones the text is kept too.
const LARGEST_WHOLE: u64 = 1 << 53;

type Batches = Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>>>;

/// Reads the table in a file.
pub(super) fn read(format: Format, path: &Path) -> Result<Table> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let (schema, batches) = open(format, file).map_err(|error| damaged(format, path, &error))?;
    let mut notes = Vec::new();
    let mut columns = Vec::new();
    for (place, field) in schema.fields().iter().enumerate() {
        match kind(field.data_type()) {
            Some(kind) => columns.push((place, field.name().clone(), Builder::of(kind, Decimal::Point))),
            None => notes.push(format!("column `{}` is left out: it holds {}", field.name(), field.data_type())),
        }
    }
    let mut rows = 0;
    for batch in batches {
        let batch = batch.map_err(|error| damaged(format, path, &error.to_string()))?;
        rows += batch.num_rows();
        for (place, name, builder) in &mut columns {
            let wrong = |error: ArrowError| Error::Data {
                path: path.into(),
                position: format!("column `{name}`"),
                found: error.to_string(),
                expected: "numbers, text, booleans or times".into(),
            };
            add(builder, batch.column(*place)).map_err(wrong)?;
        }
    }
    let columns = columns.into_iter().map(|(_, name, builder)| builder.finish(name).0).collect();
    if rows == 0 {
        return Err(Error::Data {
            path: path.into(),
            position: "its rows".into(),
            found: "none".into(),
            expected: "at least one".into(),
        });
    }
    Table::of_file(path, columns, notes)
}

fn open(format: Format, file: File) -> std::result::Result<(SchemaRef, Batches), String> {
    match format {
        Format::Parquet => {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
            let schema = builder.schema().clone();
            let reader = builder.with_batch_size(BATCH).build().map_err(|error| error.to_string())?;
            Ok((schema, Box::new(reader)))
        }
        Format::Arrow => {
            let reader = FileReader::try_new(BufReader::new(file), None).map_err(|error| error.to_string())?;
            Ok((reader.schema(), Box::new(reader)))
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

/// What a column of a type holds; none of what is no number, text, truth or time.
fn kind(of: &DataType) -> Option<Kind> {
    match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => Some(Kind::Words),
        DataType::Dictionary(_, values) => kind(values),
        DataType::Null | DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Duration(_) => {
            Some(Kind::Numbers)
        }
        DataType::Time32(_) | DataType::Time64(_) => Some(Kind::Numbers),
        number if number.is_numeric() => Some(Kind::Numbers),
        _ => None,
    }
}

/// Adds the cells of an array; a null is a blank.
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
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().for_each(|cell| whole(builder, cell)),
        DataType::UInt64 => {
            let cells = array.as_primitive::<UInt64Type>().iter();
            for cell in cells {
                match cell {
                    Some(large) if large > LARGEST_WHOLE => builder.add_number(large as f64, Some(large.to_string())),
                    cell => builder.add_number(cell.map_or(f64::NAN, |cell| cell as f64), None),
                }
            }
        }
        time if per_second(time).is_some() => {
            let unit = per_second(time).unwrap_or(1.0);
            let ticks = cast(&ticks(array)?, &DataType::Int64)?;
            let seconds = |cell: Option<i64>| cell.map_or(f64::NAN, |cell| cell as f64 / unit);
            ticks.as_primitive::<Int64Type>().iter().for_each(|cell| builder.add_number(seconds(cell), None));
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

/// Ticks of a time in a second; days of a date are told in seconds too.
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
