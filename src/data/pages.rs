//! Parquet files of strangers: panics of the crate become errors, and a file's sizes are looked
//! at before the crate asks for that much memory.
//!
//! A page's header says how long the page is unpacked, and the crate takes its word: four damaged
//! bytes ask for two gigabytes. The header is the first thing that is read from the start of a
//! page, and its first three fields are what a page is, and how long it is unpacked and packed.

use std::fs::File;
use std::io::{BufRead, BufReader};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length, SerializedFileReader};

use crate::Error;
use crate::token::catch_panics;

/// Far above what writers make of a page: a megabyte, or one text.
const PAGE_BYTES_MAX: u64 = 512 << 20;

/// The file.
#[derive(Debug)]
pub struct Pages(File);

/// Opens a file and reads its metadata.
///
/// # Errors
/// If it is not a whole Parquet file.
pub fn open(file: File) -> crate::Result<SerializedFileReader<Pages>> {
    fenced(|| SerializedFileReader::new(Pages(file)))
}

/// Calls the crate, which answers some damaged files with a panic.
///
/// # Errors
/// Whatever the crate complains about, in whatever way.
pub fn fenced<T>(action: impl FnOnce() -> Result<T>) -> crate::Result<T> {
    match catch_panics(action) {
        Some(result) => result.map_err(damaged),
        None => Err(damaged("its metadata contradict themselves")),
    }
}

fn damaged(cause: impl std::fmt::Display) -> Error {
    Error::data(format!("not a complete Parquet file: {cause}"))
        .hint("download or write the file again")
}

impl Length for Pages {
    fn len(&self) -> u64 {
        Length::len(&self.0)
    }
}

impl ChunkReader for Pages {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut reader = self.0.get_read(start)?;
        match unpacked_bytes(reader.fill_buf()?) {
            Some(bytes) if bytes > PAGE_BYTES_MAX => Err(ParquetError::General(format!(
                "a page of {} MiB is longer than {} MiB",
                bytes >> 20,
                PAGE_BYTES_MAX >> 20
            ))),
            _ => Ok(reader),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > Length::len(&self.0)) {
            return Err(ParquetError::EOF(
                "a part of it lies beyond the end of the file".to_owned(),
            ));
        }
        self.0.get_bytes(start, length)
    }
}

/// The second field of a page's header, in Thrift's compact protocol: a byte for the field (one
/// after the last, an i32), and a zigzag number.
fn unpacked_bytes(header: &[u8]) -> Option<u64> {
    const NEXT_I32: u8 = 0x15;
    let field = |bytes: &[u8]| -> Option<(u64, usize)> {
        let number = bytes.strip_prefix(&[NEXT_I32])?;
        let length = number.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
        let bits = number[..length].iter().rev();
        let value = bits.fold(0_u64, |value, byte| value << 7 | u64::from(byte & 0x7F));
        Some((value >> 1, 1 + length))
    };
    let (_, after_kind) = field(header)?;
    field(&header[after_kind..]).map(|(bytes, _)| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_page_is_read() {
        // A data page of 300 bytes, packed into 100.
        assert_eq!(unpacked_bytes(&[0x15, 0, 0x15, 0xD8, 0x04, 0x15, 0xC8, 0x01]), Some(300));
        // 2^31 - 1 bytes.
        let most = [0x15, 0, 0x15, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 0x15, 2];
        assert_eq!(unpacked_bytes(&most), Some(i32::MAX as u64));
        assert_eq!(unpacked_bytes(b"PAR1"), None);
        assert_eq!(unpacked_bytes(&[0x15, 0, 0x15, 0x80]), None);
        assert_eq!(unpacked_bytes(&[]), None);
    }
}
