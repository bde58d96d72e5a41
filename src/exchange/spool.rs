//! Files that are read more than once: what cannot be rewound is copied to a nameless file first.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use crate::disk::unique_word;
use crate::{Error, Result};

/// Opens a file. Pipes and devices are read to their end.
pub(super) fn open(path: &Path) -> Result<File> {
    let io = |cause: std::io::Error| Error::io("read", path, &cause);
    let file = File::open(path).map_err(io)?;
    let kind = file.metadata().map_err(io)?;
    if kind.is_dir() {
        return Err(Error::usage(format!("`{}` is a folder", crate::error::quoted_path(path)))
            .hint("name the files in it, for example wandb/offline-run-*/run-*.wandb"));
    }
    if kind.is_file() { Ok(file) } else { copy(file).map_err(io) }
}

/// Standard input, read to its end.
pub(super) fn stdin() -> Result<File> {
    copy(std::io::stdin().lock())
        .map_err(|cause| Error::data(format!("failed to read standard input: {cause}")))
}

/// The bytes in a file without a name, which is gone when it is closed.
fn copy(mut input: impl Read) -> std::io::Result<File> {
    let path = std::env::temp_dir().join(format!("scarce-{}.tmp", unique_word()));
    let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    std::io::copy(&mut input, &mut file)?;
    file.rewind()?;
    Ok(file)
}
