//! `metrics.jsonl`: one line per logged step, append-only.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Error, Result};

/// The metrics of a run in progress.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
    length_bytes: u64,
}

impl MetricsLog {
    /// Opens the log and cuts it to the length that a checkpoint recorded, so that a resumed run
    /// writes each line once. A log that is shorter than that (its tail was never flushed) starts
    /// again at its last whole line.
    pub fn open(path: &Path, length_bytes: u64) -> Result<Self> {
        let io = |cause: std::io::Error| Error::io("open", path, &cause);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(path)
            .map_err(io)?;
        let length_bytes = length_bytes.min(file.metadata().map_err(io)?.len());
        file.set_len(length_bytes).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok(Self { path: path.to_owned(), file, length_bytes })
    }

    /// Appends one line.
    pub fn append(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec(line)
            .map_err(|cause| Error::data(format!("a metric has no JSON form: {cause}")))?;
        text.push(b'\n');
        let written = self.file.write_all(&text);
        written.map_err(|cause| Error::io("write", &self.path, &cause))?;
        self.length_bytes += text.len() as u64;
        Ok(())
    }

    /// Flushes to the disk and returns the length so far, for a checkpoint to remember.
    pub fn sync(&mut self) -> Result<u64> {
        self.file.sync_data().map_err(|cause| Error::io("write", &self.path, &cause))?;
        Ok(self.length_bytes)
    }

    /// The whole log so far.
    pub fn contents(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.path).map_err(|cause| Error::io("read", &self.path, &cause))
    }
}
