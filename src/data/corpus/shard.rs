//! Files of tokens and of document offsets: little-endian integers and nothing else.
//!
//! A shard is written once, hashed as it is written, and read with positioned reads, so that a file
//! that shrinks while in use gives an error and not a crash (a memory map would raise SIGBUS).

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::disk::{FileFacts, open_regular};
use crate::{Error, Result};

/// The integer type of a token file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenWidth {
    /// Two bytes, for vocabularies of at most 65,536.
    U16,
    /// Four bytes.
    U32,
}

impl TokenWidth {
    /// The narrowest type that holds every token of the vocabulary.
    #[must_use]
    pub fn for_vocabulary(vocabulary: u32) -> Self {
        if vocabulary <= 1 << 16 { Self::U16 } else { Self::U32 }
    }

    /// Bytes per token.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }

    /// Appends tokens in this width.
    pub(super) fn encode(self, tokens: &[u32], bytes: &mut Vec<u8>) {
        match self {
            Self::U16 => {
                let start = bytes.len();
                bytes.resize(start + 2 * tokens.len(), 0);
                for (pair, &token) in bytes[start..].as_chunks_mut().0.iter_mut().zip(tokens) {
                    *pair = (token as u16).to_le_bytes();
                }
            }
            Self::U32 => bytes.extend_from_slice(bytemuck::cast_slice(tokens)),
        }
    }

    /// Widens the first tokens of `bytes` into `tokens`.
    pub(in crate::data) fn decode(self, bytes: &[u8], tokens: &mut [u32]) {
        match self {
            Self::U16 => {
                for (token, pair) in tokens.iter_mut().zip(bytes.chunks_exact(2)) {
                    *token = u32::from(u16::from_le_bytes([pair[0], pair[1]]));
                }
            }
            Self::U32 => {
                let whole = &bytes[..4 * tokens.len()];
                bytemuck::cast_slice_mut(tokens).copy_from_slice(whole);
            }
        }
    }
}

/// A file that was compared with its manifest and is held open.
#[derive(Debug)]
pub(super) struct CheckedFile {
    path: PathBuf,
    file: File,
    facts: FileFacts,
    /// Seconds and nanoseconds of the last write, as the file system counts them.
    modified: (i64, i64),
    /// The same of the last change of anything, which no program can set back.
    changed: Mutex<(i64, i64)>,
}

impl CheckedFile {
    /// Opens `path` and compares its length and hash with what the manifest says.
    pub(super) fn open(path: PathBuf, facts: &FileFacts) -> Result<Self> {
        let file = open_regular(&path).map_err(|cause| Error::io("open", &path, &cause))?;
        let metadata = file.metadata().map_err(|cause| Error::io("inspect", &path, &cause))?;
        if metadata.len() != facts.bytes {
            return Err(damaged(
                &path,
                &format!("has {} bytes instead of {}", metadata.len(), facts.bytes),
            ));
        }
        // The times are from before the hash: a write in between counts as one in use.
        let (modified, changed) = (modified(&metadata), Mutex::new(changed(&metadata)));
        let file = Self { path, file, facts: facts.clone(), modified, changed };
        match file.has_its_content()? {
            true => Ok(file),
            false => Err(damaged(&file.path, "does not have the content that its manifest lists")),
        }
    }

    /// Whether the file, hashed once more, is what its manifest lists.
    fn has_its_content(&self) -> Result<bool> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; self.facts.bytes.clamp(1, 1 << 20) as usize];
        while hasher.count() < self.facts.bytes {
            let left = self.facts.bytes - hasher.count();
            let length = left.min(buffer.len() as u64) as usize;
            self.read_at(hasher.count(), &mut buffer[..length])?;
            hasher.update(&buffer[..length]);
        }
        Ok(hasher.finalize().to_hex().as_str() == self.facts.blake3)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An error if the file was cut, grew or was written to since it was opened. Cheap, unless
    /// something else has changed, such as its permissions or its number of links: then its
    /// content decides.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let metadata =
            self.file.metadata().map_err(|cause| Error::io("inspect", &self.path, &cause))?;
        let in_use = || damaged(&self.path, "was changed while it was in use");
        if metadata.len() != self.facts.bytes || modified(&metadata) != self.modified {
            return Err(in_use());
        }
        let mut known = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if changed(&metadata) != *known {
            if !self.has_its_content()? {
                return Err(in_use());
            }
            *known = changed(&metadata);
        }
        Ok(())
    }

    /// As [`CheckedFile::check_unchanged`], but reads the whole file again.
    pub(super) fn check_content(&self) -> Result<()> {
        self.check_unchanged()?;
        match self.has_its_content()? {
            true => Ok(()),
            false => Err(damaged(&self.path, "was changed while it was in use")),
        }
    }

    /// Fills `buffer` from byte `offset` on.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                damaged(&self.path, "was cut short while it was in use")
            }
            _ => Error::io("read", &self.path, &cause),
        })
    }

    /// The whole content; its length was checked against the disk, so it cannot be made up.
    pub(super) fn read_all(&self) -> Result<Vec<u8>> {
        let mut content = vec![0; self.facts.bytes as usize];
        self.read_at(0, &mut content)?;
        Ok(content)
    }

    /// Reads tokens from token index `start` on; every one is below `vocabulary`.
    pub(super) fn read_tokens(
        &self,
        width: TokenWidth,
        vocabulary: u32,
        start: u64,
        tokens: &mut [u32],
    ) -> Result<()> {
        const CHUNK_TOKENS: usize = 2048;
        let mut bytes = [0; CHUNK_TOKENS * 4];
        for (number, chunk) in (0..).zip(tokens.chunks_mut(CHUNK_TOKENS)) {
            let length = chunk.len() * width.bytes() as usize;
            let first = start + number * CHUNK_TOKENS as u64;
            self.read_at(first * width.bytes(), &mut bytes[..length])?;
            width.decode(&bytes[..length], chunk);
            // A token outside the vocabulary would index outside the embedding table.
            if let Some(token) = chunk.iter().find(|&&token| token >= vocabulary) {
                let what = format!("holds token {token}, outside its vocabulary of {vocabulary}");
                return Err(damaged(&self.path, &what));
            }
        }
        Ok(())
    }
}

fn modified(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

fn changed(metadata: &Metadata) -> (i64, i64) {
    (metadata.ctime(), metadata.ctime_nsec())
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::data(format!("`{}` {what}", path.display()))
        .hint("the corpus is damaged: write it again with `scarce prepare`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::HashedFile;

    fn write(directory: &Path, width: TokenWidth, tokens: &[u32]) -> (PathBuf, FileFacts) {
        let path = directory.join("x.tokens");
        let mut file = HashedFile::create(path.clone()).unwrap();
        let mut encoded = Vec::new();
        width.encode(tokens, &mut encoded);
        file.write(&encoded).unwrap();
        (path, file.finish().unwrap())
    }

    #[test]
    fn tokens_survive_in_both_widths() {
        for (width, top) in [(TokenWidth::U16, 65_535), (TokenWidth::U32, u32::MAX - 1)] {
            let directory = tempfile::tempdir().unwrap();
            let tokens: Vec<u32> = (0..5000).chain([top]).collect();
            let (path, facts) = write(directory.path(), width, &tokens);
            assert_eq!(facts.bytes, 5001 * width.bytes());
            let file = CheckedFile::open(path, &facts).unwrap();
            let mut read = vec![0; 4000];
            file.read_tokens(width, top + 1, 1001, &mut read).unwrap();
            assert_eq!(read, tokens[1001..]);
            let error = file.read_tokens(width, top, 1001, &mut read).unwrap_err();
            assert!(error.to_string().contains("outside its vocabulary"), "{error}");
        }
    }

    #[test]
    fn a_file_cut_or_changed_while_open_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let (path, facts) = write(directory.path(), TokenWidth::U16, &[1; 3000]);
        let file = CheckedFile::open(path.clone(), &facts).unwrap();
        file.check_unchanged().unwrap();
        File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
        let mut read = vec![0; 3000];
        let error = file.read_tokens(TokenWidth::U16, 2, 0, &mut read).unwrap_err();
        assert!(error.to_string().contains("was cut short while it was in use"), "{error}");
        assert_eq!(error.exit_code(), 3);
        assert!(file.check_unchanged().is_err());
    }

    #[test]
    fn a_change_that_hides_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let (path, facts) = write(directory.path(), TokenWidth::U16, &[1; 3000]);
        let file = CheckedFile::open(path.clone(), &facts).unwrap();
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        let write_back_dated = |byte: u8| {
            let open = File::options().write(true).open(&path).unwrap();
            open.write_all_at(&[byte], 77).unwrap();
            open.set_modified(time).unwrap();
        };
        write_back_dated(9);
        assert!(file.check_content().is_err());
        write_back_dated(0);
        file.check_content().unwrap();
        // Another link, or other permissions, are no other content.
        std::fs::hard_link(&path, directory.path().join("link")).unwrap();
        file.check_unchanged().unwrap();
        // Even if the file system told nothing at all, the content is compared at last.
        write_back_dated(9);
        let metadata = std::fs::metadata(&path).unwrap();
        *file.changed.lock().unwrap() = changed(&metadata);
        file.check_unchanged().unwrap();
        let error = file.check_content().unwrap_err().to_string();
        assert!(error.contains("was changed while it was in use"), "{error}");
    }

    #[test]
    fn a_changed_byte_and_a_changed_length_are_found_on_open() {
        let directory = tempfile::tempdir().unwrap();
        let (path, facts) = write(directory.path(), TokenWidth::U16, &[1; 3000]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[77] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = CheckedFile::open(path.clone(), &facts).unwrap_err().to_string();
        assert!(error.contains("x.tokens` does not have the content"), "{error}");
        std::fs::write(&path, &bytes[..5998]).unwrap();
        let error = CheckedFile::open(path, &facts).unwrap_err().to_string();
        assert!(error.contains("has 5998 bytes instead of 6000"), "{error}");
    }
}
