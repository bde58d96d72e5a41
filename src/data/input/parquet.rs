//! Parquet files: one document per row of a text column.
//!
//! Columns are read page by page through the crate's plain interface, without Arrow.

use std::fs::File;
use std::ops::ControlFlow;

use parquet::basic::Type;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::files::InputFile;
use super::stream::Observer;
use super::text::{InvalidUtf8, invalid};
use super::{ReadCounts, Reading, Visitor, whole_document};
use crate::{Error, Result};

/// Rows held in memory at a time.
const BATCH_ROWS: usize = 64;

pub(super) fn visit(
    input: &InputFile,
    reading: &Reading,
    visitor: &mut dyn Visitor<String>,
    observer: &mut dyn Observer,
    counts: &mut ReadCounts,
) -> Result<ControlFlow<()>> {
    let file =
        File::open(&input.path).map_err(|cause| Error::data(format!("failed to open: {cause}")))?;
    let reader = SerializedFileReader::new(file).map_err(damaged)?;
    let column = text_column(&reader, &reading.text_field)?;
    let groups = reader.num_row_groups();
    let mut row = 0;
    for group in 0..groups {
        let flow = visit_group(&reader, group, column, &mut row, &mut |text| {
            let text = decode(text, reading.invalid_utf8, counts)?;
            whole_document(&text, visitor, counts)
        })?;
        if flow.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        // Rows of a group are read column-wise: the file's share is as good as it gets.
        let share = |done: usize| input.bytes * done as u64 / groups as u64;
        observer.advance(share(group + 1) - share(group))?;
    }
    Ok(ControlFlow::Continue(()))
}

/// The index of the column of texts.
fn text_column(reader: &SerializedFileReader<File>, name: &str) -> Result<usize> {
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let columns = schema.columns();
    let is_text = |index: usize| {
        let column = &columns[index];
        column.physical_type() == Type::BYTE_ARRAY && column.max_rep_level() == 0
    };
    match columns.iter().position(|column| column.path().string() == name) {
        Some(index) if is_text(index) => Ok(index),
        Some(_) => Err(Error::data(format!("the column `{name}` does not hold texts"))),
        None => {
            let names: Vec<String> = (0..columns.len())
                .filter(|&index| is_text(index))
                .map(|index| columns[index].path().string())
                .collect();
            Err(Error::data(format!("there is no column `{name}`")).hint(format!(
                "`--text-field` names the column; columns of texts are: {}",
                names.join(", ")
            )))
        }
    }
}

/// Passes the texts of one row group on; `row` counts the rows of the file.
fn visit_group(
    reader: &SerializedFileReader<File>,
    group: usize,
    column: usize,
    row: &mut u64,
    sink: &mut dyn FnMut(&[u8]) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    let row_group = reader.get_row_group(group).map_err(damaged)?;
    let column_reader = row_group.get_column_reader(column).map_err(damaged)?;
    let mut texts = get_typed_column_reader::<ByteArrayType>(column_reader);
    let (mut values, mut levels) = (Vec::<ByteArray>::new(), Vec::new());
    let descriptor = reader.metadata().row_group(group).column(column).column_descr_ptr();
    let present = descriptor.max_def_level();
    loop {
        values.clear();
        levels.clear();
        let definition_levels = (present > 0).then_some(&mut levels);
        let (rows, _, _) = texts
            .read_records(BATCH_ROWS, definition_levels, None, &mut values)
            .map_err(damaged)?;
        if rows == 0 {
            return Ok(ControlFlow::Continue(()));
        }
        let mut next = values.iter();
        for index in 0..rows {
            *row += 1;
            // A null has a level below the full one, and no value.
            let is_null = levels.get(index).is_some_and(|&level| level < present);
            let text = match is_null {
                true => &[][..],
                false => next.next().map_or(&[][..], ByteArray::data),
            };
            let flow = sink(text).map_err(|error| error.within(format_args!("row {row}")))?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
    }
}

fn decode(bytes: &[u8], policy: InvalidUtf8, counts: &mut ReadCounts) -> Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) if policy == InvalidUtf8::Replace => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            counts.replaced_characters +=
                text.chars().filter(|&c| c == char::REPLACEMENT_CHARACTER).count() as u64;
            Ok(text)
        }
        Err(error) => Err(invalid(&format!("byte {} of the text", error.valid_up_to()))),
    }
}

fn damaged(cause: ParquetError) -> Error {
    Error::data(format!("not a complete Parquet file: {cause}"))
        .hint("download or write the file again")
}
