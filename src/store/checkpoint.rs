//! Checkpoints of a run in progress: one file each, whole or not at all, the last two kept.
//!
//! ```text
//! "scarce-checkpoint 1\n" · header length (u64) · header (JSON) · f32 sections · BLAKE3 (32 bytes)
//! ```
//! Numbers are little-endian. The hash covers everything before it, so a damaged file is detected
//! and the one before is used.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::metrics::{self, MetricsMark};
use super::record::Numerics;
use crate::disk::{fresh_file, has_ending, list, open_regular};
use crate::spec::JobId;
use crate::{Error, Result};

const MAGIC: &[u8] = b"scarce-checkpoint 1\n";
/// No header is longer; a longer one is damage.
const HEADER_BYTES_MAX: u64 = 1 << 20;
/// The number of checkpoints that are kept.
const KEPT: usize = 2;

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointHeader {
    /// The run.
    pub job: JobId,
    /// Its class of arithmetic; a run is not continued in another.
    pub numerics: Numerics,
    /// Steps done.
    pub step: u64,
    /// Length of `metrics.jsonl` at that step.
    pub metrics_bytes: u64,
    /// BLAKE3 of `metrics.jsonl` at that step; absent in checkpoints of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_blake3: Option<String>,
    /// Wall-clock seconds so far.
    pub wall_seconds: f64,
    /// CPU seconds so far.
    pub cpu_seconds: f64,
    /// Names and lengths of the sections.
    pub sections: Vec<(String, u64)>,
}

/// A checkpoint in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What it says of itself.
    pub header: CheckpointHeader,
    /// The numbers, in the order of `header.sections`.
    pub sections: Vec<Vec<f32>>,
}

/// The checkpoints of one run.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// The checkpoints in a working directory.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Writes a checkpoint and removes all but the last two. `sections` must agree with the header.
    pub fn save(&self, header: &CheckpointHeader, sections: &[&[f32]]) -> Result<()> {
        let path = self.folder.join(format!("step-{:012}.checkpoint", header.step));
        fresh_file(&path, |file| write(file, header, sections))?;
        // Later ones were passed over when the run was continued.
        let (mut old, later): (Vec<_>, Vec<_>) =
            self.paths()?.into_iter().filter(|p| p.is_file()).partition(|p| *p <= path);
        old.truncate(old.len().saturating_sub(KEPT));
        for old in old.into_iter().chain(later) {
            fs::remove_file(&old).map_err(|cause| Error::io("remove", &old, &cause))?;
        }
        Ok(())
    }

    /// The newest checkpoint that is whole and goes with the metrics beside it. Others are reported
    /// through `warn` and skipped.
    ///
    /// With `numbers`, every section must have so many; it is compared before anything is read.
    pub fn latest(
        &self,
        numbers: Option<usize>,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<Checkpoint>> {
        let paths = self.paths()?;
        for (left, path) in paths.iter().enumerate().rev() {
            let instead = if left > 0 { "using the one before" } else { "starting again" };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let cause = match read(path, numbers) {
                Ok(checkpoint) => match self.misfit(&checkpoint.header) {
                    Ok(None) => return Ok(Some(checkpoint)),
                    Ok(Some(why)) => format!("does not go with metrics.jsonl, which {why}"),
                    Err(cause) => format!("does not go with metrics.jsonl: {cause}"),
                },
                Err(cause) => format!("is damaged ({cause})"),
            };
            warn(format!("checkpoint {name} {cause}: {instead}"));
        }
        Ok(None)
    }

    /// Why a checkpoint does not go with the metrics beside it.
    fn misfit(&self, header: &CheckpointHeader) -> std::io::Result<Option<String>> {
        metrics::misfit(&self.folder.join("metrics.jsonl"), &header.metrics())
    }

    /// Removes all of them: what they hold cannot be trusted.
    pub fn forget(&self) -> Result<()> {
        for path in self.paths()?.into_iter().filter(|path| path.is_file()) {
            fs::remove_file(&path).map_err(|cause| Error::io("remove", &path, &cause))?;
        }
        Ok(())
    }

    /// Paths in ascending order of the step.
    fn paths(&self) -> Result<Vec<PathBuf>> {
        let mut paths = list(&self.folder)?;
        paths.retain(|path| has_ending(path, "checkpoint"));
        Ok(paths)
    }
}

impl CheckpointHeader {
    /// How much of the metrics it knows.
    #[must_use]
    pub fn metrics(&self) -> MetricsMark {
        MetricsMark { bytes: self.metrics_bytes, blake3: self.metrics_blake3.clone() }
    }
}

/// Passes bytes on and hashes them.
struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
}

impl<T: Write> Hashing<T> {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<T: Read> Hashing<T> {
    fn take(&mut self, bytes: &mut [u8]) -> std::io::Result<()> {
        self.inner.read_exact(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }
}

fn write(file: &mut File, header: &CheckpointHeader, sections: &[&[f32]]) -> std::io::Result<()> {
    let lengths = header.sections.iter().map(|(_, length)| *length);
    assert!(lengths.eq(sections.iter().map(|s| s.len() as u64)), "sections differ from the header");
    let mut out = Hashing { inner: BufWriter::new(file), hasher: blake3::Hasher::new() };
    let text = serde_json::to_vec(header).map_err(std::io::Error::other)?;
    out.put(MAGIC)?;
    out.put(&(text.len() as u64).to_le_bytes())?;
    out.put(&text)?;
    for section in sections {
        out.put(bytemuck::cast_slice(section))?;
    }
    let hash = out.hasher.finalize();
    out.inner.write_all(hash.as_bytes())?;
    out.inner.flush()
}

fn read(path: &Path, numbers: Option<usize>) -> std::io::Result<Checkpoint> {
    let damaged = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    let file = open_regular(path)?;
    let file_bytes = file.metadata()?.len();
    let mut input = Hashing { inner: BufReader::new(file), hasher: blake3::Hasher::new() };
    let mut magic = [0; MAGIC.len()];
    input.take(&mut magic)?;
    if magic != MAGIC {
        return Err(damaged("unknown format"));
    }
    let mut length = [0; 8];
    input.take(&mut length)?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > HEADER_BYTES_MAX.min(file_bytes) {
        return Err(damaged("impossible header length"));
    }
    let mut text = vec![0; usize::try_from(header_bytes).map_err(std::io::Error::other)?];
    input.take(&mut text)?;
    let header: CheckpointHeader = serde_json::from_slice(&text)?;
    let fits = |length: u64| numbers.is_none_or(|numbers| length == numbers as u64);
    if !header.sections.iter().all(|(_, length)| fits(*length)) {
        return Err(damaged("it is of a model of another shape"));
    }
    // The lengths must explain the file's size before anything of that size is allocated.
    let numbers = header.sections.iter().try_fold(0u64, |sum, (_, n)| sum.checked_add(*n));
    let expected = numbers
        .and_then(|n| n.checked_mul(4))
        .and_then(|n| n.checked_add(MAGIC.len() as u64 + 8 + header_bytes + 32));
    if expected != Some(file_bytes) {
        return Err(damaged("wrong length"));
    }
    let mut sections = Vec::with_capacity(header.sections.len());
    for (_, length) in &header.sections {
        let mut section = vec![0.0_f32; usize::try_from(*length).unwrap_or(0)];
        input.take(bytemuck::cast_slice_mut(&mut section))?;
        sections.push(section);
    }
    let computed = input.hasher.finalize();
    let mut stored = [0; 32];
    input.inner.read_exact(&mut stored)?;
    if computed != stored {
        Err(damaged("wrong hash"))
    } else {
        Ok(Checkpoint { header, sections })
    }
}
