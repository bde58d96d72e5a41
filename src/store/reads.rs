//! The log of reads of sealed test splits: a choice that was made on `test` cannot hide.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

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
    let io = |cause: std::io::Error| Error::io("write", path, &cause);
    let mut line = serde_json::to_vec(read)
        .map_err(|cause| Error::data(format!("a test read has no JSON form: {cause}")))?;
    line.push(b'\n');
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
    file.lock().map_err(io)?;
    file.write_all(&line).map_err(io)?;
    file.sync_data().map_err(io)
}

pub(super) fn all(path: &Path) -> Result<Vec<TestRead>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(Error::io("read", path, &cause)),
    };
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|cause| Error::data(format!("{}:{}: {cause}", path.display(), number + 1)))
    };
    text.lines().enumerate().map(line).collect()
}
