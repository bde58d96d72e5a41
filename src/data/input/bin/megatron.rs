//! The index that Megatron's preprocessing writes beside a token file: `NAME.idx` of `NAME.bin`.
//!
//! Little-endian: "MMIDIDX\0\0", u64 version 1, u8 type, u64 S sequences, u64 D offsets of
//! documents, then S i32 lengths in tokens, S i64 places in bytes and D i64 numbers of the first
//! sequence of each document, the number of sequences last.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::TokenInteger;
use crate::data::input::files::InputFile;
use crate::error::quoted_path;
use crate::{Error, Result};

const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
const HEADER_BYTES: u64 = 34;

/// What an index says of its token file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) width: TokenInteger,
    /// Where documents end, in tokens.
    pub(super) ends: Vec<u64>,
}

/// Where the index beside a token file lies, if there is one.
pub(super) fn path(input: &InputFile) -> Option<PathBuf> {
    let path = input.path.with_extension("idx");
    (path != input.path && path.is_file()).then_some(path)
}

/// The index beside a token file, if there is one.
pub(super) fn index(input: &InputFile) -> Result<Option<Index>> {
    let Some(path) = path(input) else { return Ok(None) };
    read(&path).map(Some).map_err(|error| {
        error
            .within(quoted_path(&path))
            .hint("`--token-width` reads the token file without its index")
    })
}

fn read(path: &Path) -> Result<Index> {
    let failed = |cause: std::io::Error| Error::data(format!("failed to read: {cause}"));
    let wrong = || Error::data("not an index of Megatron");
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes < HEADER_BYTES {
        return Err(wrong());
    }
    let mut file = BufReader::new(file);
    let mut header = [0; HEADER_BYTES as usize];
    file.read_exact(&mut header).map_err(failed)?;
    let long = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    if !header.starts_with(MAGIC) || long(9) != 1 {
        return Err(wrong());
    }
    let width = match header[17] {
        1 => TokenInteger::U8,
        3 | 8 => TokenInteger::U16,
        4 => TokenInteger::U32,
        5 => TokenInteger::U64,
        kind => return Err(Error::data(format!("its tokens have type {kind}, no integers"))),
    };
    let (sequences, offsets) = (long(18), long(26));
    // Both counts are tied to the length of the file before anything is allocated.
    let expected = sequences
        .checked_mul(12)
        .zip(offsets.checked_mul(8))
        .and_then(|(lengths, offsets)| lengths.checked_add(offsets)?.checked_add(HEADER_BYTES));
    if expected != Some(bytes) {
        return Err(Error::data("the index is cut short, or longer than it says"));
    }
    let mut lengths = vec![0; 4 * sequences as usize];
    file.read_exact(&mut lengths).map_err(failed)?;
    file.seek_relative(8 * sequences as i64).map_err(failed)?;
    let mut firsts = vec![0; 8 * offsets as usize];
    file.read_exact(&mut firsts).map_err(failed)?;
    // Tokens before each sequence, and at the end.
    let mut before = vec![0_u64];
    for length in lengths.as_chunks().0 {
        let length = u64::try_from(i32::from_le_bytes(*length)).map_err(|_| wrong())?;
        before.push(before[before.len() - 1] + length);
    }
    let mut ends = Vec::new();
    for first in firsts.as_chunks().0 {
        let end = before.get(i64::from_le_bytes(*first) as usize).ok_or_else(wrong)?;
        if ends.last().is_some_and(|last| last > end) {
            return Err(wrong());
        }
        ends.push(*end);
    }
    // The first document begins at the first token; where it ends comes after that.
    ends.retain(|&end| end > 0);
    if ends.last() != before.last().filter(|&&all| all > 0) {
        return Err(wrong());
    }
    Ok(Index { width, ends })
}
