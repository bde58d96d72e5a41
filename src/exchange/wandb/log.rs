//! The log inside a `.wandb` file: blocks of 32 KiB with chunks that carry a CRC.
//!
//! ```text
//! file    ":W&B" e1 be 00, then blocks; the 7 bytes belong to the first block
//! chunk   u32 CRC, u16 length, u8 type (1 whole, 2 first, 3 middle, 4 last), data; little-endian
//! block   chunks; zeros where fewer than 7 bytes are left
//! ```
//! The CRC is zlib's CRC-32 over type and data. A chunk that is damaged is skipped, and with it the
//! record that it was part of; everything else is read.

use std::io::Read;

use crate::{Error, Result};

const BLOCK: usize = 32 * 1024;
const HEADER: usize = 7;
/// First bytes of every file: a name, a magic number and version 0.
const MAGIC: [u8; 7] = [b':', b'W', b'&', b'B', 0xe1, 0xbe, 0x00];
/// Longest record that is put together from chunks.
const RECORD_MAX: usize = 16 << 20;
/// Warnings that are told one by one.
const WARNINGS_MAX: usize = 10;

/// Reads the records of a log in order.
#[derive(Debug)]
pub(super) struct Log<R> {
    input: R,
    block: Vec<u8>,
    /// Where the block begins in the file, and how far it was read.
    start: u64,
    position: usize,
    /// The chunks so far of a record that is spread over several.
    partial: Option<Vec<u8>>,
    warnings: Vec<String>,
    damaged: u64,
}

/// A chunk's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Whole,
    First,
    Middle,
    Last,
}

impl<R: Read> Log<R> {
    /// Opens a log; a file that does not begin like one is an error.
    pub(super) fn open(input: R) -> Result<Self> {
        let mut log = Self {
            input,
            block: Vec::with_capacity(BLOCK),
            start: 0,
            position: 0,
            partial: None,
            warnings: Vec::new(),
            damaged: 0,
        };
        log.next_block()?;
        if log.block.is_empty() {
            return Err(Error::data("the file is empty"));
        }
        if !log.block.starts_with(&MAGIC) {
            return Err(Error::data("this is no `.wandb` file: it does not begin with `:W&B`")
                .hint("W&B writes them as wandb/offline-run-*/run-*.wandb"));
        }
        log.position = HEADER;
        Ok(log)
    }

    /// The next whole record with its place in the file; `None` at the end.
    pub(super) fn next_record(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        loop {
            let Some((place, kind, data)) = self.next_chunk()? else {
                if self.partial.take().is_some() {
                    self.warn(self.start, "the file ends inside a record");
                }
                return Ok(None);
            };
            let record = self.block[data].to_vec();
            match (kind, self.partial.take()) {
                (Kind::Whole, None) => return Ok(Some((place, record))),
                (Kind::First, None) => self.partial = Some(record),
                (Kind::Whole, Some(_)) => {
                    self.warn(place, "a record has no end");
                    return Ok(Some((place, record)));
                }
                (Kind::First, Some(_)) => {
                    self.warn(place, "a record has no end");
                    self.partial = Some(record);
                }
                (_, None) => self.warn(place, "a record has no beginning"),
                (_, Some(sofar)) if sofar.len() + record.len() > RECORD_MAX => {
                    self.warn(place, "a record of more than 16 MiB");
                }
                (Kind::Middle, Some(mut sofar)) => {
                    sofar.extend(record);
                    self.partial = Some(sofar);
                }
                (Kind::Last, Some(mut sofar)) => {
                    sofar.extend(record);
                    return Ok(Some((place, sofar)));
                }
            }
        }
    }

    /// The next chunk whose CRC is right: its place in the file, type, and range of the block.
    fn next_chunk(&mut self) -> Result<Option<(u64, Kind, std::ops::Range<usize>)>> {
        loop {
            if self.block.len() - self.position < HEADER {
                let cut = self.block.len() < BLOCK && self.position < self.block.len();
                if cut && self.block[self.position..].iter().any(|&byte| byte != 0) {
                    self.damage(self.position, "the file ends inside a chunk");
                }
                self.next_block()?;
                if self.block.is_empty() {
                    return Ok(None);
                }
                continue;
            }
            let (place, header) = (self.position, &self.block[self.position..]);
            let crc = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
            let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
            let (kind, data) = (header[6], place + HEADER..place + HEADER + length);
            if header.iter().all(|&byte| byte == 0) {
                self.position = self.block.len();
                continue;
            }
            if data.end > self.block.len() {
                self.damage(place, "a chunk is longer than its block, or the file is cut");
                self.position = self.block.len();
                continue;
            }
            self.position = data.end;
            let kind = match kind {
                1 => Some(Kind::Whole),
                2 => Some(Kind::First),
                3 => Some(Kind::Middle),
                4 => Some(Kind::Last),
                _ => None,
            };
            let mut check = flate2::Crc::new();
            check.update(&self.block[place + HEADER - 1..data.end]);
            match kind {
                Some(kind) if check.sum() == crc => {
                    return Ok(Some((self.start + place as u64, kind, data)));
                }
                // The length may be wrong as well: if so, what follows has no right CRC either.
                _ => self.damage(place, "a chunk is damaged: its CRC is wrong"),
            }
        }
    }

    fn next_block(&mut self) -> Result<()> {
        self.start += self.block.len() as u64;
        self.position = 0;
        self.block.clear();
        let limit = BLOCK as u64;
        let read = (&mut self.input).take(limit).read_to_end(&mut self.block);
        read.map(|_| ()).map_err(|cause| Error::data(format!("failed to read: {cause}")))
    }

    /// Damage at this place of the block: a record that is being put together is lost.
    fn damage(&mut self, place: usize, what: &str) {
        self.partial = None;
        self.warn(self.start + place as u64, what);
    }

    /// Notes something that was skipped.
    pub(super) fn warn(&mut self, place: u64, what: &str) {
        self.damaged += 1;
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(format!("byte {place}: {what}; skipped"));
        }
    }

    /// What was skipped, in words.
    pub(super) fn into_warnings(mut self) -> Vec<String> {
        let untold = self.damaged - self.warnings.len() as u64;
        if untold > 0 {
            self.warnings.push(format!("and {untold} more places"));
        }
        self.warnings
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! A small writer of logs, for tests.

    use super::{BLOCK, HEADER, MAGIC};

    /// A log of these records.
    pub(in super::super) fn log(records: &[Vec<u8>]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for record in records {
            let mut rest = &record[..];
            let mut first = true;
            loop {
                let left = BLOCK - out.len() % BLOCK;
                if left < HEADER {
                    out.resize(out.len() + left, 0);
                    continue;
                }
                let (now, later) = rest.split_at(rest.len().min(left - HEADER));
                let kind = match (first, later.is_empty()) {
                    (true, true) => 1,
                    (true, false) => 2,
                    (false, false) => 3,
                    (false, true) => 4,
                };
                let mut crc = flate2::Crc::new();
                crc.update(&[kind]);
                crc.update(now);
                out.extend(crc.sum().to_le_bytes());
                out.extend((now.len() as u16).to_le_bytes());
                out.push(kind);
                out.extend(now);
                (rest, first) = (later, false);
                if rest.is_empty() {
                    break;
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<String>) {
        let mut log = Log::open(bytes).unwrap();
        let mut records = Vec::new();
        while let Some((_, record)) = log.next_record().unwrap() {
            records.push(record);
        }
        (records, log.into_warnings())
    }

    /// Records of many lengths, some over several blocks, and one that fills a block exactly.
    fn records() -> Vec<Vec<u8>> {
        let lengths = [0, 1, 50_000, 7, 100_000, BLOCK - 2 * HEADER, 3, 9000, 9000, 9000, 9000];
        let record = |(index, length): (usize, usize)| vec![index as u8 + 1; length];
        lengths.into_iter().enumerate().map(record).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let records = records();
        assert_eq!(read(&testing::log(&records)), (records, vec![]));
        let message = |bytes: &[u8]| Log::open(bytes).unwrap_err().to_string();
        assert!(message(b"").contains("empty"));
        assert!(message(b":W&B").contains("no `.wandb` file"));
        assert!(message(b"step,loss\n").contains("no `.wandb` file"));
    }

    #[test]
    fn damage_costs_its_record_and_is_told() {
        let records = records();
        let bytes = testing::log(&records);
        for place in (HEADER..bytes.len()).step_by(997) {
            let mut bad = bytes.clone();
            bad[place] ^= 0x40;
            let (found, warnings) = read(&bad);
            assert!(!warnings.is_empty() || found == records, "{place}");
            assert!(found.iter().all(|record| records.contains(record)), "{place}");
            assert!(found.len() + 6 >= records.len(), "{place}: {} are left", found.len());
        }
        for length in (HEADER..bytes.len()).step_by(1009) {
            let (found, _) = read(&bytes[..length]);
            assert_eq!(found[..], records[..found.len()], "{length}");
        }
        let (found, warnings) = read(&bytes[..bytes.len() - 1]);
        assert_eq!(found.len(), records.len() - 1);
        assert!(warnings[0].starts_with("byte ") && warnings[0].contains("cut"), "{warnings:?}");
    }
}
