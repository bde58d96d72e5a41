//! Parquet files: one document per row of a text column.
//!
//! Columns are read page by page through the crate's plain interface, without Arrow. A field of a
//! struct has a dotted name.

use std::fs::File;
use std::ops::ControlFlow;

use parquet::basic::{Compression, Type};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::files::InputFile;
use super::text::decode_whole;
use super::{Pass, whole_document};
use crate::data::pages::{self, Pages, fenced};
use crate::error::quoted;
use crate::{Error, Result};

/// Rows held in memory at a time.
const BATCH_ROWS: usize = 64;

/// Columns that a message names.
const NAMES_MAX: usize = 6;

pub(super) fn visit(input: &InputFile, pass: &mut Pass<'_, String>) -> Result<ControlFlow<()>> {
    let file =
        File::open(&input.path).map_err(|cause| Error::data(format!("failed to open: {cause}")))?;
    let reader = pages::open(file)?;
    let column = text_column(&reader, &pass.reading.text_field)?;
    check_packing(&reader, column)?;
    let groups = reader.num_row_groups();
    let mut row = 0;
    for group in 0..groups {
        let flow = visit_group(&reader, group, column, &mut row, &mut |text| {
            pass.counts.null_texts += u64::from(text.is_none());
            let place = |at| format!("byte {at} of the text");
            let text = decode_whole(text.unwrap_or(&[]), pass, place)?;
            whole_document(&text, pass)
        })?;
        if flow.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        // Rows of a group are read column-wise: the file's share is as good as it gets.
        let share = |done: usize| input.bytes * done as u64 / groups as u64;
        pass.observer.advance(share(group + 1) - share(group))?;
    }
    Ok(ControlFlow::Continue(()))
}

/// The index of the column of texts.
fn text_column(reader: &SerializedFileReader<Pages>, name: &str) -> Result<usize> {
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let columns = schema.columns();
    let is_text = |index: usize| {
        let column = &columns[index];
        column.physical_type() == Type::BYTE_ARRAY && column.max_rep_level() == 0
    };
    let shown = quoted(name);
    match columns.iter().position(|column| column.path().string() == name) {
        Some(index) if is_text(index) => Ok(index),
        Some(_) => Err(Error::data(format!("the column `{shown}` does not hold texts"))),
        None => {
            let texts = (0..columns.len()).filter(|&index| is_text(index));
            let names: Vec<String> = texts
                .take(NAMES_MAX)
                .map(|index| quoted(&columns[index].path().string()))
                .collect();
            Err(Error::data(format!("there is no column `{shown}`")).hint(match names.len() {
                0 => "it has no column of texts; lists of texts are not read".to_owned(),
                _ => format!(
                    "`--text-field` names the column; columns of texts are: {}",
                    names.join(", ")
                ),
            }))
        }
    }
}

/// An error if the column is packed in a way that the crate was built without.
fn check_packing(reader: &SerializedFileReader<Pages>, column: usize) -> Result<()> {
    let groups = reader.metadata().row_groups().iter();
    let packings = groups.filter_map(|group| group.columns().get(column)).map(|c| c.compression());
    for packing in packings {
        let name = match packing {
            Compression::BROTLI(_) => "Brotli",
            Compression::LZO => "LZO",
            _ => continue,
        };
        return Err(Error::data(format!("the column is packed with {name}, which is not read"))
            .hint(
                "convert it, for example `duckdb -c \"COPY (FROM 'in.parquet') TO 'out.parquet' \
                 (COMPRESSION zstd)\"`",
            ));
    }
    Ok(())
}

/// Takes the text of a row, or that there is none.
type Sink<'a> = dyn FnMut(Option<&[u8]>) -> Result<ControlFlow<()>> + 'a;

/// Passes the texts of one row group on; `row` counts the rows of the file.
fn visit_group(
    reader: &SerializedFileReader<Pages>,
    group: usize,
    column: usize,
    row: &mut u64,
    sink: &mut Sink<'_>,
) -> Result<ControlFlow<()>> {
    let row_group = fenced(|| reader.get_row_group(group))?;
    let column_reader = fenced(|| row_group.get_column_reader(column))?;
    let mut texts = get_typed_column_reader::<ByteArrayType>(column_reader);
    let (mut values, mut levels) = (Vec::<ByteArray>::new(), Vec::new());
    let descriptor = reader.metadata().row_group(group).column(column).column_descr_ptr();
    let present = descriptor.max_def_level();
    loop {
        values.clear();
        levels.clear();
        let definition_levels = (present > 0).then_some(&mut levels);
        let (rows, _, _) =
            fenced(|| texts.read_records(BATCH_ROWS, definition_levels, None, &mut values))?;
        if rows == 0 {
            return Ok(ControlFlow::Continue(()));
        }
        let mut next = values.iter();
        for index in 0..rows {
            *row += 1;
            // A null has a level below the full one, and no value.
            let is_null = levels.get(index).is_some_and(|&level| level < present);
            let text = match is_null {
                true => None,
                false => next.next().map(ByteArray::data),
            };
            let flow = sink(text).map_err(|error| error.within(format_args!("row {row}")))?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
    }
}
