//! One file: what format it has, its hash, and its runs on their way to whoever takes them.

use std::fs::File;
use std::io::Seek;

use super::reading::{Format, Import, Imported, Reading, STDIN, Sink};
use super::{cell, json, jsonl, spool, table, wandb};
use crate::error::quoted_path;
use crate::store::ForeignSource;
use crate::{Error, Result};

/// Reads a file and passes its runs on.
///
/// # Errors
/// Where the file is missing, of another format, or wrong in a place that the message names.
pub fn import<'a>(import: &Import<'a>, sink: &'a mut Sink<'a>) -> Result<Imported> {
    let path = import.path;
    let is_stdin = path.as_os_str() == STDIN;
    let place = if is_stdin { "standard input".to_owned() } else { quoted_path(path) };
    let mut format = match import.format {
        Some(format) => format,
        None => Format::of(path).map_err(|error| error.within(&place))?,
    };
    let io = |cause: std::io::Error| Error::io("read", path, &cause);
    let mut file = if is_stdin { spool::stdin() } else { spool::open(path) }?;
    let again = |file: &mut File| file.rewind().and_then(|()| file.try_clone()).map_err(io);
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file).map_err(io)?;
    let name = |name: Option<&std::ffi::OsStr>| match is_stdin {
        true => "stdin".to_owned(),
        false => cell::printable(&name.unwrap_or_default().to_string_lossy()),
    };
    if format == Format::Csv
        && import.format.is_none()
        && table::is_wandb(again(&mut file)?, import.written)
    {
        format = Format::WandbCsv;
    }
    let source = ForeignSource {
        file: name(path.file_name()),
        format: format.name().to_owned(),
        blake3: hasher.finalize().to_hex().to_string(),
    };
    let mut reading = Reading::new(import, sink, source, name(path.file_stem()));
    read(format, again(&mut file)?, &mut reading)
        .and_then(|()| reading.finish())
        .map_err(|error| error.within(&place))
}

#[cfg(feature = "parquet")]
fn read_parquet(file: File, reading: &mut Reading<'_>) -> Result<()> {
    super::parquet::read(file, reading)
}

#[cfg(not(feature = "parquet"))]
fn read_parquet(_: File, _: &mut Reading<'_>) -> Result<()> {
    Err(Error::usage("this program was built without Parquet")
        .hint("build it with the feature `parquet`, or export the table as CSV"))
}

/// Reads a file of a format.
fn read(format: Format, file: File, reading: &mut Reading<'_>) -> Result<()> {
    match format {
        Format::Csv | Format::WandbCsv => table::read(file, format, reading),
        Format::Jsonl => jsonl::read(file, reading),
        Format::Parquet => read_parquet(file, reading),
        Format::Json => json::read(file, reading),
        Format::Wandb => wandb::read(file, reading),
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Reading a file that a test has in memory.

    use super::*;
    use crate::exchange::{Choice, Mapping, Written};
    use crate::store::{ForeignHistory, ForeignRun};

    /// What a file gave.
    #[derive(Debug)]
    pub(in super::super) struct Read {
        pub(in super::super) runs: Vec<(ForeignRun, ForeignHistory)>,
        pub(in super::super) warnings: Vec<String>,
    }

    /// Reads a file of this name and content without a mapping.
    pub(in super::super) fn read_bytes(name: &str, bytes: &[u8]) -> Result<Read> {
        read_mapped(name, bytes, "")
    }

    /// Reads it with a mapping.
    pub(in super::super) fn read_mapped(name: &str, bytes: &[u8], map: &str) -> Result<Read> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let maps: Vec<String> = (!map.is_empty()).then(|| map.to_owned()).into_iter().collect();
        let (mapping, choice) = (Mapping::parse(&maps)?, Choice::default());
        let mut runs = Vec::new();
        let mut sink = |run: ForeignRun, history: &ForeignHistory, _: &ForeignSource| {
            runs.push((run, history.clone()));
            Ok(())
        };
        let request = Import {
            path: &path,
            format: None,
            written: Written::default(),
            mapping: &mapping,
            choice: &choice,
            prefix: None,
        };
        let imported = import(&request, &mut sink)?;
        Ok(Read { runs, warnings: imported.warnings })
    }
}
