//! The log of reads of sealed test splits: a choice that was made on `test` cannot hide.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk::{json_line, regular, sync_folder};
use crate::spec::{CorpusId, JobId};
use crate::{Error, Result};

/// One read of a test split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestRead {
    /// The corpus whose test split was read.
    pub corpus: CorpusId,
    /// The job that read it.
    pub job: JobId,
    /// When, in seconds since 1970 UTC.
    pub unix_seconds: u64,
}

/// Appends one line in one write under a lock, so that processes do not mix their lines.
pub(super) fn append(path: &Path, read: &TestRead) -> Result<()> {
    append_line(path, json_line(read)).map_err(|cause| Error::io("write", path, &cause))
}

/// A line that a full disk or a power cut has torn stays as it is; the new one starts afresh.
fn append_line(path: &Path, mut line: Vec<u8>) -> io::Result<()> {
    regular::check_absent_or_regular(path)?;
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    file.lock()?;
    let before = file.metadata()?.len();
    if before > 0 && last_byte(&mut file)? != b'\n' {
        line.insert(0, b'\n');
    }
    if let Err(cause) = file.write_all(&line).and_then(|()| file.sync_data()) {
        // Half a line helps nobody.
        let _ = file.set_len(before);
        return Err(cause);
    }
    sync_folder(path)
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// All reads, and the number of lines that cannot be read.
pub(super) fn all(path: &Path) -> Result<(Vec<TestRead>, usize)> {
    let bytes = match regular::read(path) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(cause) => return Err(Error::io("read", path, &cause)),
    };
    let (mut reads, mut torn) = (Vec::new(), 0);
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(read) => reads.push(read),
            Err(_) => {
                torn += 1;
                reads.extend(after_tear(line));
            }
        }
    }
    Ok((reads, torn))
}

/// Earlier versions wrote a whole read behind half of another one.
fn after_tear(line: &[u8]) -> Option<TestRead> {
    let start = line.iter().rposition(|&byte| byte == b'{')?;
    serde_json::from_slice(&line[start..]).ok()
}
