//! The store: a directory that remembers what every job left behind, under the hash of its spec.
//!
//! ```text
//! format                what this directory is, and its version
//! records/ID/           one immutable record per job (docs/store-format.md)
//! work/ID/              a job in progress: claim, checkpoints, metrics so far
//! foreign/BATCH/        runs of other programs, imported
//! names/NAME.toml       which records are meant by a name
//! arithmetic.json       which arithmetic runs have on this kind of machine
//! aside/ID-N/           what lay in the place of a record and was none
//! test-reads.jsonl      every read of a sealed test split
//! ```
//! Records appear by an atomic rename and never change. Several processes, on one or several
//! hosts, may share a store: work may rarely be done twice, but a record is never corrupted or
//! replaced.

mod arithmetic;
mod checkpoint;
mod claim;
mod clock;
mod column;
mod draft;
mod foreign;
mod memory;
mod metrics;
mod names;
mod open;
mod reads;
mod record;
mod stored;
mod sweep;
mod usage;

use std::path::{Path, PathBuf};

use crate::disk::{Files, is_whole, list, manifest};
use crate::spec::{Job, JobId};
use crate::{Error, Result};

pub use crate::disk::{FileFacts, Published, write_atomically};
pub use arithmetic::{ArithmeticRate, ChosenArithmetic, ChosenFor};
pub use checkpoint::{Checkpoint, CheckpointHeader, Checkpoints};
pub use claim::{Claim, Held};
pub use clock::{unix_seconds, utc};
pub use column::{Average, Column};
pub use draft::Draft;
pub use foreign::{
    Added, ForeignDraft, ForeignHistory, ForeignId, ForeignRecord, ForeignRun, ForeignSettings,
    ForeignSource, Place,
};
pub use memory::Memory;
pub use metrics::{MetricsLog, MetricsMark};
pub use names::{Found, NamedModel, check_name};
pub use reads::TestRead;
pub use record::{
    AboveFloor, Cost, EnsembleFacts, EnsembleSize, Loss, Machine, Measured, MemberPair,
    MemberPairs, Numerics, Outcome, Record, SideLoss, SideMean, TrainedOn,
};
pub use usage::{busy_seconds, cpu_seconds, peak_memory_bytes};

/// The version of the directory layout that this program writes and the newest that it reads.
/// Raise it when an older program would misread what a newer one writes.
const FORMAT_VERSION: u32 = 1;

/// A directory of records.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Where the store lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of a record, whether it exists or not.
    #[must_use]
    pub fn record_path(&self, id: JobId) -> PathBuf {
        self.root.join("records").join(id.to_string())
    }

    /// The directory of a job in progress.
    #[must_use]
    pub fn work_path(&self, id: JobId) -> PathBuf {
        self.root.join("work").join(id.to_string())
    }

    /// Whether a finished record exists; its content is not looked at.
    #[must_use]
    pub fn has(&self, id: JobId) -> bool {
        is_whole(&self.record_path(id))
    }

    /// Reads a record if it exists. Its small files are checked against their hashes.
    pub fn record(&self, id: JobId) -> Result<Option<Record>> {
        if !self.has(id) {
            return Ok(None);
        }
        stored::record(&self.record_path(id), id).map(Some).map_err(|error| error.hint(WAY_OUT))
    }

    /// All records that can be read, in ascending order of their ids. The others are told through
    /// `warn`: one bad record never hides the good ones.
    pub fn records(&self, warn: &mut dyn FnMut(String)) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for id in self.ids()? {
            match self.record(id) {
                Ok(record) => records.extend(record),
                Err(error) => warn(left_out(id, &error)),
            }
        }
        Ok(records)
    }

    /// The job that a record belongs to.
    pub fn job(&self, id: JobId) -> Result<Job> {
        stored::job(&self.record_path(id), id).map_err(|error| error.hint(WAY_OUT))
    }

    /// Reads one file of a record and checks it against the record's manifest.
    pub fn read_file(&self, id: JobId, name: &str) -> Result<Vec<u8>> {
        stored::file(&self.record_path(id), name).map_err(|error| error.hint(WAY_OUT))
    }

    fn manifest(&self, id: JobId) -> Result<Files> {
        manifest::read(&self.record_path(id)).map_err(|error| error.hint(WAY_OUT))
    }

    /// Whether a record holds this file; weights may have been dropped by policy.
    pub fn has_file(&self, id: JobId, name: &str) -> Result<bool> {
        Ok(self.manifest(id)?.contains_key(name))
    }

    /// Hashes every file of a record again and compares with its manifest. Returns their names.
    pub fn verify(&self, id: JobId) -> Result<Vec<String>> {
        let names: Vec<String> = self.manifest(id)?.into_keys().collect();
        for name in &names {
            self.read_file(id, name)?;
        }
        self.job(id)?;
        self.record(id)?;
        Ok(names)
    }

    /// All record ids in ascending order.
    pub fn ids(&self) -> Result<Vec<JobId>> {
        let paths = list(&self.root.join("records"))?;
        let ids = paths.iter().filter_map(|path| id_of(path));
        Ok(ids.filter(|id| self.has(*id)).collect())
    }

    /// The record whose id starts with `prefix`: users type the shortest unique one.
    pub fn find(&self, prefix: &str) -> Result<JobId> {
        let ids = self.ids()?;
        let matching: Vec<_> = ids.iter().filter(|id| id.to_string().starts_with(prefix)).collect();
        match matching[..] {
            [id] => Ok(*id),
            [] => Err(Error::usage(format!("no record's id starts with `{prefix}`"))
                .hint("`scarce runs` lists the records")),
            _ => Err(Error::usage(format!("{} records start with `{prefix}`", matching.len()))
                .hint(format!(
                    "give more digits: {}",
                    matching.iter().take(4).map(|id| id.short()).collect::<Vec<_>>().join(", ")
                ))),
        }
    }

    /// Claims a job for this process; see [`Claim`].
    pub fn claim(&self, id: JobId) -> Result<Claim> {
        claim::claim(&self.work_path(id))
    }

    /// Starts to write the record of a job; nothing is visible before it is published.
    pub fn draft(&self, id: JobId) -> Result<Draft> {
        Draft::new(&self.root, id)
    }

    /// Enters a read of a sealed test split.
    pub fn log_test_read(&self, read: &TestRead) -> Result<()> {
        reads::append(&self.root.join("test-reads.jsonl"), read)
    }

    /// All reads of sealed test splits so far. Lines that cannot be read are told through `warn`.
    pub fn test_reads(&self, warn: &mut dyn FnMut(String)) -> Result<Vec<TestRead>> {
        let path = self.root.join("test-reads.jsonl");
        let (reads, torn) = reads::all(&path)?;
        if torn > 0 {
            let lines = if torn == 1 { "line is" } else { "lines are" };
            warn(format!("`{}`: {torn} {lines} torn: a read may be missing", path.display()));
        }
        Ok(reads)
    }
}

/// The job of a folder `ID`.
fn id_of(folder: &Path) -> Option<JobId> {
    folder.file_name()?.to_str()?.parse().ok()
}

/// What to do about a record that cannot be read.
const WAY_OUT: &str = "remove the record's directory and run the job again";

/// A warning about a record that a list does without.
#[must_use]
pub fn left_out(id: JobId, error: &Error) -> String {
    format!("record {} cannot be read and is left out: {error}", id.short())
}

#[cfg(test)]
mod tests;
