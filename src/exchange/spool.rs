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

/// Fills a buffer's worth of a reader that must not deliver more than so much between two resets:
/// an unclosed quote would otherwise take in the whole file.
#[derive(Debug)]
pub(super) struct Bounded<R> {
    input: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Bounded<R> {
    pub(super) fn new(input: R, limit: u64) -> Self {
        Self { input, left: limit, limit }
    }

    pub(super) fn reset(&mut self) {
        self.left = self.limit;
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(std::io::Error::other(format!("a row of over {} bytes", self.limit)));
            }
        }
        Ok(read)
    }
}
