//! Parquet: tables of runs or steps, column by column through the crate's plain interface.
//!
//! Columns that repeat within a row are not read. Nested ones have dotted names.

use std::fs::File;

use ::parquet::basic::{ConvertedType, LogicalType, Type};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, DataType};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::schema::types::ColumnDescriptor;
use serde_json::Value;

use super::reading::Reading;
use super::row::Row;
use crate::data::pages::{self, Pages, fenced};
use crate::error::quoted;
use crate::model::half_to_f32;
use crate::{Error, Result};

/// Rows held in memory at a time.
const BATCH_ROWS: usize = 256;
/// Columns that a table may have.
const COLUMNS_MAX: usize = 5000;

/// A column that is read.
struct Column {
    index: usize,
    name: String,
    /// Definition level of a value that is there.
    present: i16,
    kind: Kind,
}

/// What the bytes of a column mean beyond their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Text,
    /// Whole numbers without a sign.
    Unsigned,
    /// Whole numbers with so many decimals.
    Decimal(u32),
    /// Two bytes of a half-precision number.
    Half,
    /// Nothing that a run is described by.
    Other,
}

/// Reads the runs of a file.
pub(super) fn read(file: File, reading: &mut Reading<'_>) -> Result<()> {
    let reader = pages::open(file)?;
    let columns = columns(&reader)?;
    reading.columns.extend(columns.iter().map(|column| column.name.clone()));
    reading.mapping.check(&reading.columns)?;
    reading.mapping.check_loss(&reading.columns)?;
    let has = |field| reading.mapping.finds(field, &reading.columns);
    let numbered = !has("id") && !has("name") && !has("step");
    let mut count = 0_u64;
    for group in 0..reader.num_row_groups() {
        let group = fenced(|| reader.get_row_group(group))?;
        let mut readers = Vec::new();
        for column in &columns {
            readers.push(fenced(|| group.get_column_reader(column.index))?);
        }
        let rows = u64::try_from(group.metadata().num_rows()).unwrap_or(0);
        let mut left = rows;
        while left > 0 {
            let batch = left.min(BATCH_ROWS as u64) as usize;
            for values in batch_rows(&columns, &mut readers, batch)? {
                count += 1;
                let mut row = Row::default();
                for (column, value) in columns.iter().zip(values) {
                    row.set(&column.name, value)?;
                }
                if numbered {
                    row.set("id", Value::from(format!("{}#{count}", reading.stem)))?;
                }
                let place = |error: Error| error.within(format_args!("row {count}"));
                reading.row(row).map_err(place)?;
            }
            left -= batch as u64;
        }
    }
    Ok(())
}

/// The columns with at most one value per row.
fn columns(reader: &SerializedFileReader<Pages>) -> Result<Vec<Column>> {
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let plain = schema.columns().iter().enumerate().filter(|(_, c)| c.max_rep_level() == 0);
    let columns: Vec<Column> = plain
        .map(|(index, column)| Column {
            index,
            name: column.path().string(),
            present: column.max_def_level(),
            kind: kind(column),
        })
        .collect();
    match columns.len() {
        0 => Err(Error::data("the table has no columns of plain values")),
        count if count > COLUMNS_MAX => {
            Err(Error::data(format!("the table has more than {COLUMNS_MAX} columns")))
        }
        _ => Ok(columns),
    }
}

fn kind(column: &ColumnDescriptor) -> Kind {
    let scale = |scale: i32| u32::try_from(scale).map_or(Kind::Other, Kind::Decimal);
    match (column.logical_type_ref(), column.converted_type(), column.physical_type()) {
        (Some(LogicalType::Decimal(decimal)), ..) => scale(decimal.scale),
        (_, ConvertedType::DECIMAL, _) => scale(column.type_scale()),
        (Some(LogicalType::Float16), ..) => Kind::Half,
        (Some(LogicalType::Integer(whole)), ..) if !whole.is_signed => Kind::Unsigned,
        (_, ConvertedType::UINT_32 | ConvertedType::UINT_64, _) => Kind::Unsigned,
        (_, converted, Type::BYTE_ARRAY) => match converted {
            ConvertedType::UTF8
            | ConvertedType::JSON
            | ConvertedType::ENUM
            | ConvertedType::NONE => Kind::Text,
            _ => Kind::Other,
        },
        _ => Kind::Plain,
    }
}

/// A whole number of some bytes, the largest first, with a sign.
fn whole(bytes: &[u8]) -> f64 {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let value = bytes.iter().fold(0.0, |sum, byte| 256.0 * sum + f64::from(*byte));
    if negative { value - libm::exp2(8.0 * bytes.len() as f64) } else { value }
}

/// A number with so many decimals: the division is what reading its text gives, too.
fn decimal(whole: f64, places: u32) -> Value {
    real(whole / 10_f64.powi(places.cast_signed()))
}

/// The value of some bytes.
fn of_bytes(bytes: &[u8], kind: Kind) -> Value {
    match kind {
        Kind::Text => Value::from(String::from_utf8_lossy(bytes).into_owned()),
        Kind::Decimal(places) => decimal(whole(bytes), places),
        Kind::Half => match *bytes {
            [low, high] => real(f64::from(half_to_f32(u16::from_le_bytes([low, high])))),
            _ => Value::Null,
        },
        _ => Value::Null,
    }
}

/// The next rows of a group.
fn batch_rows(
    columns: &[Column],
    readers: &mut [ColumnReader],
    count: usize,
) -> Result<Vec<Vec<Value>>> {
    let mut rows = vec![Vec::with_capacity(columns.len()); count];
    for (column, reader) in columns.iter().zip(readers) {
        let values = match reader {
            ColumnReader::BoolColumnReader(r) => next(r, column, count, |flag| Value::from(*flag)),
            ColumnReader::Int32ColumnReader(r) => next(r, column, count, |&n| match column.kind {
                Kind::Decimal(places) => decimal(f64::from(n), places),
                Kind::Unsigned => Value::from(n.cast_unsigned()),
                _ => Value::from(n),
            }),
            ColumnReader::Int64ColumnReader(r) => next(r, column, count, |&n| match column.kind {
                Kind::Decimal(places) => decimal(n as f64, places),
                Kind::Unsigned => Value::from(n.cast_unsigned()),
                _ => Value::from(n),
            }),
            ColumnReader::FloatColumnReader(r) => {
                next(r, column, count, |number| real(f64::from(*number)))
            }
            ColumnReader::DoubleColumnReader(r) => next(r, column, count, |number| real(*number)),
            ColumnReader::ByteArrayColumnReader(r) => {
                next(r, column, count, |bytes: &ByteArray| of_bytes(bytes.data(), column.kind))
            }
            ColumnReader::FixedLenByteArrayColumnReader(r) => {
                next(r, column, count, |bytes| of_bytes(bytes.data(), column.kind))
            }
            // Old timestamps.
            ColumnReader::Int96ColumnReader(_) => Ok(vec![Value::Null; count]),
        }?;
        for (row, value) in rows.iter_mut().zip(values) {
            row.push(value);
        }
    }
    Ok(rows)
}

/// The next values of a column; null where there is none.
fn next<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    column: &Column,
    count: usize,
    value: impl Fn(&T::T) -> Value,
) -> Result<Vec<Value>> {
    let mut found = Vec::with_capacity(count);
    while found.len() < count {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let wanted = (column.present > 0).then_some(&mut levels);
        let missing = count - found.len();
        let (rows, ..) = fenced(|| reader.read_records(missing, wanted, None, &mut values))?;
        if rows == 0 {
            let name = quoted(&column.name);
            return Err(Error::data(format!("the column `{name}` is too short")));
        }
        let mut values = values.iter();
        found.extend((0..rows).map(|index| {
            let is_null = levels.get(index).is_some_and(|&level| level < column.present);
            if is_null { Value::Null } else { values.next().map_or(Value::Null, &value) }
        }));
    }
    Ok(found)
}

/// A real number as JSON, which has words for those that are not finite.
fn real(number: f64) -> Value {
    serde_json::Number::from_f64(number)
        .map_or_else(|| Value::from(number.to_string()), Value::Number)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::parquet::data_type::{ByteArrayType, DoubleType, Int64Type};
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;

    use super::super::source::testing::{read_bytes, read_mapped};
    use super::*;

    /// Steps of two runs: ids, steps and losses, of which one is missing.
    fn table() -> Vec<u8> {
        let schema = "message m { REQUIRED BYTE_ARRAY run_id (UTF8); REQUIRED INT64 _step; \
                      OPTIONAL DOUBLE loss; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = Arc::new(WriterProperties::builder().build());
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let ids: Vec<ByteArray> = ["a", "b", "a", "b"].map(ByteArray::from).into();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[1, 1, 2, 2], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let losses = column.typed::<DoubleType>();
        losses.write_batch(&[4.0, 4.5, 3.5], Some(&[1, 1, 1, 0]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn tables_are_read() {
        let read = read_bytes("t.parquet", &table()).unwrap();
        let found: Vec<_> =
            read.runs.iter().map(|(r, h)| (r.id.as_str(), r.loss_nats(), h.step.len())).collect();
        assert_eq!(found, [("a", Some(3.5), 2), ("b", Some(4.5), 1)]);
        let error = read_mapped("t.parquet", &table(), "lr=rate").unwrap_err().to_string();
        assert!(error.contains("t.parquet: there is no column `rate`"), "{error}");
    }

    #[test]
    fn damaged_tables_are_errors() {
        let bytes = table();
        for length in 0..bytes.len() {
            let error = read_bytes("t.parquet", &bytes[..length]).unwrap_err();
            assert_eq!(error.exit_code(), 3, "{length}");
        }
        for place in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[place] ^= 0x11;
            // A flip may hit a number; it must end in a run or in an error.
            let _ = read_bytes("t.parquet", &bad);
        }
    }
}
