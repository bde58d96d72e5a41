//! Standard input as a file: inputs are read more than once, so it is stored first.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use super::files::{FileKind, InputFile, Packing};
use super::stream::{Observer, Stream};
use crate::disk::FreshFolder;
use crate::{Error, Result};

/// What was stored; removed when it is dropped.
#[derive(Debug)]
pub struct StandardInput {
    _folder: FreshFolder,
    file: InputFile,
    /// Whether its kind was found out and not given.
    guessed: bool,
}

impl StandardInput {
    /// Stores standard input in `folder`, which belongs to it from now on.
    pub fn store(
        folder: FreshFolder,
        format: Option<FileKind>,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let path = folder.path().join("standard-input");
        copy(&path, observer)?;
        let metadata = fs::metadata(&path).map_err(|cause| Error::io("inspect", &path, &cause))?;
        let file = |kind| InputFile::new(&path, "standard input".to_owned(), &metadata, kind);
        let packing = packing(&path)?;
        let kind = match format {
            Some(kind) => kind,
            None => kind(&file((FileKind::Text, packing)))?,
        };
        Ok(Self { _folder: folder, file: file((kind, packing)), guessed: format.is_none() })
    }

    /// The file that it was stored in.
    #[must_use]
    pub fn file(&self) -> &InputFile {
        &self.file
    }

    /// How it was read, if nobody said how, as a sentence.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let what = match self.file.kind {
            FileKind::Text => "one document of text",
            FileKind::JsonLines => "JSON lines",
            FileKind::Json => "a list of JSON objects",
            FileKind::Parquet => "a Parquet file",
            FileKind::Tokens => "tokens",
        };
        self.guessed.then(|| {
            format!(
                "standard input was read as {what}, by its first bytes; `--format` says otherwise"
            )
        })
    }
}

fn copy(path: &Path, observer: &mut dyn Observer) -> Result<()> {
    let failed = |cause| Error::io("write", path, &cause);
    let mut file = File::create_new(path).map_err(failed)?;
    let mut from = std::io::stdin().lock();
    let mut buffer = vec![0; 1 << 18];
    observer.stage("storing", 0);
    loop {
        let read = from
            .read(&mut buffer)
            .map_err(|cause| Error::data(format!("failed to read standard input: {cause}")))?;
        if read == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..read]).map_err(failed)?;
        observer.advance(read as u64)?;
    }
}

/// How the file is packed, by its first bytes.
fn packing(path: &Path) -> Result<Packing> {
    let mut start = [0; 4];
    let failed = |cause| Error::io("read", path, &cause);
    let read = File::open(path).map_err(failed)?.read(&mut start).map_err(failed)?;
    Ok(match start[..read] {
        [0x1F, 0x8B, ..] => Packing::Gzip,
        [0x28, 0xB5, 0x2F, 0xFD] => Packing::Zstd,
        _ => Packing::Plain,
    })
}

/// What an unpacked file holds, by its first bytes.
fn kind(file: &InputFile) -> Result<FileKind> {
    let mut stream = Stream::open(file)?;
    let start = stream.fill()?;
    if start.starts_with(b"PAR1") {
        return Ok(FileKind::Parquet);
    }
    let start = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(start);
    Ok(match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => FileKind::JsonLines,
        // A list of objects, not text in brackets.
        Some(b'[') if start.iter().filter(|b| !b.is_ascii_whitespace()).nth(1) == Some(&b'{') => {
            FileKind::Json
        }
        _ => FileKind::Text,
    })
}
