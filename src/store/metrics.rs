//! `metrics.jsonl`: one line per logged step, append-only.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::disk::{json_line, regular};
use crate::{Error, Result};

/// The metrics of a run in progress.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
    length_bytes: u64,
    /// Of everything so far: what stands in the file at the end must be what was written.
    hasher: blake3::Hasher,
}

/// How much of a log a checkpoint knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsMark {
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its content, 64 hexadecimal digits; absent in checkpoints of older versions.
    pub blake3: Option<String>,
}

impl MetricsLog {
    /// Opens the log and cuts it to what a checkpoint knows of it, so that a resumed run writes
    /// each line once.
    ///
    /// # Errors
    /// If the log does not begin with what the checkpoint knows.
    pub fn open(path: &Path, mark: &MetricsMark) -> Result<Self> {
        let io = |cause: io::Error| Error::io("open", path, &cause);
        regular::check_absent_or_regular(path).map_err(io)?;
        let mut options = OpenOptions::new();
        let mut file =
            options.create(true).read(true).write(true).truncate(false).open(path).map_err(io)?;
        let hasher = beginning(&mut file, mark.bytes).map_err(io)?;
        if let Some(why) = difference(&hasher, mark) {
            return Err(Error::data(format!("`{}` {why}", path.display())));
        }
        file.set_len(mark.bytes).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok(Self { path: path.to_owned(), file, length_bytes: mark.bytes, hasher })
    }

    /// Appends one line.
    pub fn append(&mut self, line: &impl Serialize) -> Result<()> {
        let text = json_line(line);
        let written = self.file.write_all(&text);
        written.map_err(|cause| Error::io("write", &self.path, &cause))?;
        self.length_bytes += text.len() as u64;
        self.hasher.update(&text);
        Ok(())
    }

    /// Flushes to the disk and returns what a checkpoint is to remember.
    pub fn sync(&mut self) -> Result<MetricsMark> {
        self.file.sync_data().map_err(|cause| Error::io("write", &self.path, &cause))?;
        let blake3 = Some(self.hasher.finalize().to_hex().to_string());
        Ok(MetricsMark { bytes: self.length_bytes, blake3 })
    }

    /// The whole log so far.
    ///
    /// # Errors
    /// If somebody else has written to it.
    pub fn contents(&self) -> Result<Vec<u8>> {
        let content = regular::read(&self.path);
        let content = content.map_err(|cause| Error::io("read", &self.path, &cause))?;
        if blake3::hash(&content) == self.hasher.finalize() {
            return Ok(content);
        }
        Err(Error::data(format!("`{}` was changed while it was in use", self.path.display()))
            .hint("the same command goes on from a checkpoint that fits"))
    }
}

/// Why a log does not go with a checkpoint; `None` if it does.
pub(super) fn misfit(path: &Path, mark: &MetricsMark) -> io::Result<Option<String>> {
    let hasher = match regular::open_regular(path) {
        Ok(mut file) => beginning(&mut file, mark.bytes)?,
        Err(cause) if cause.kind() == ErrorKind::NotFound => blake3::Hasher::new(),
        Err(cause) => return Err(cause),
    };
    Ok(difference(&hasher, mark))
}

/// The hash of up to `bytes` bytes from the start on.
fn beginning(file: &mut File, bytes: u64) -> io::Result<blake3::Hasher> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.take(bytes))?;
    Ok(hasher)
}

fn difference(hasher: &blake3::Hasher, mark: &MetricsMark) -> Option<String> {
    let known = |blake3: &String| hasher.finalize().to_hex().as_str() == blake3;
    if hasher.count() < mark.bytes {
        Some(format!("has {} bytes instead of {}", hasher.count(), mark.bytes))
    } else if mark.blake3.as_ref().is_none_or(known) {
        None
    } else {
        Some("was changed".to_owned())
    }
}
