//! Files that are hashed while they are written, and what a manifest says of them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Length and hash of a finished file, as manifests list them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFacts {
    /// Length in bytes.
    pub bytes: u64,
    /// BLAKE3 hash of the content, 64 hexadecimal digits.
    pub blake3: String,
}

impl FileFacts {
    /// The facts of a file with this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, blake3: blake3::hash(content).to_hex().to_string() }
    }
}

/// A file that is hashed while it is written.
#[derive(Debug)]
pub struct HashedFile {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl HashedFile {
    /// A new file; it must not exist.
    pub fn create(path: PathBuf) -> Result<Self> {
        let file = File::create_new(&path).map_err(|cause| Error::io("create", &path, &cause))?;
        let file = BufWriter::with_capacity(1 << 18, file);
        Ok(Self { path, file, hasher: blake3::Hasher::new(), bytes: 0 })
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|cause| Error::io("write", &self.path, &cause))
    }

    /// Flushes to the disk itself: after this the content survives a power cut.
    pub fn finish(&mut self) -> Result<FileFacts> {
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .map_err(|cause| Error::io("write", &self.path, &cause))?;
        let blake3 = self.hasher.finalize().to_hex().to_string();
        Ok(FileFacts { bytes: self.bytes, blake3 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_clean_error() {
        let path = PathBuf::from("/dev/full");
        let file = BufWriter::new(File::options().write(true).open(&path).unwrap());
        let mut file = HashedFile { path, file, hasher: blake3::Hasher::new(), bytes: 0 };
        let written = file.write(&[1; 100_000]);
        let error = written.and_then(|()| file.finish().map(drop)).unwrap_err();
        assert!(error.to_string().starts_with("failed to write `/dev/full`"), "{error}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("disk is full")), "{error}");
    }
}
