//! The store: a directory that remembers what every job left behind, under the hash of its spec.
//!
//! ```text
//! format                what this directory is, and its version
//! records/ID/           one immutable record per job (docs/store-format.md)
//! work/ID/              a job in progress: claim, checkpoints, metrics so far
//! foreign/BATCH/        runs of other programs, imported
//! names/NAME.toml       which records are meant by a name
//! test-reads.jsonl      every read of a sealed test split
//! ```
//! Records appear by an atomic rename and never change. Several processes, on one or several
//! hosts, may share a store: work may rarely be done twice, but a record is never corrupted or
//! replaced.

mod atomic;
mod checkpoint;
mod claim;
mod clock;
mod draft;
mod foreign;
mod hashed;
mod manifest;
mod memory;
mod metrics;
mod names;
mod reads;
mod record;
mod usage;

use std::fs;
use std::path::{Path, PathBuf};

use crate::spec::{Job, JobId};
use crate::{Error, Result};

pub use atomic::{fresh_file, sync_directory, write_atomically};
pub use checkpoint::{Checkpoint, CheckpointHeader, Checkpoints};
pub use claim::{Claim, Held};
pub use clock::{unix_seconds, utc};
pub use draft::{Draft, Published};
pub use foreign::{
    Added, ForeignDraft, ForeignHistory, ForeignId, ForeignRecord, ForeignRun, ForeignSettings,
    ForeignSource,
};
pub use hashed::{FileFacts, HashedFile};
pub use memory::Memory;
pub use metrics::MetricsLog;
pub use names::{Found, NamedModel, check_name};
pub use reads::TestRead;
pub use record::{
    AboveFloor, Cost, Loss, Machine, Measured, Numerics, Outcome, Record, SideLoss, SideMean,
    TrainedOn,
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
    /// Opens a store, creating it if the directory is missing or empty.
    pub fn open(root: &Path) -> Result<Self> {
        let store = Self { root: root.to_owned() };
        for part in ["records", "work"] {
            let path = root.join(part);
            fs::create_dir_all(&path).map_err(|e| Error::io("create", &path, &e))?;
        }
        let path = root.join("format");
        match fs::read_to_string(&path) {
            Ok(text) => store.check_format(&text)?,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                write_atomically(&path, format!("scarce-store {FORMAT_VERSION}\n").as_bytes())?;
            }
            Err(cause) => return Err(Error::io("read", &path, &cause)),
        }
        Ok(store)
    }

    fn check_format(&self, text: &str) -> Result<()> {
        let version = text.trim().strip_prefix("scarce-store ").and_then(|v| v.parse::<u32>().ok());
        match version {
            Some(version) if version <= FORMAT_VERSION => Ok(()),
            Some(version) => Err(Error::data(format!(
                "the store `{}` has format {version}, this program reads up to {FORMAT_VERSION}",
                self.root.display()
            ))
            .hint("it was written by a newer version: update scarce, or use another --store")),
            None => Err(Error::data(format!("`{}` is not a scarce store", self.root.display()))
                .hint("its `format` file is damaged or belongs to something else")),
        }
    }

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
        self.record_path(id).join("manifest.json").is_file()
    }

    /// Reads a record if it exists. Its small files are checked against their hashes.
    pub fn record(&self, id: JobId) -> Result<Option<Record>> {
        if !self.has(id) {
            return Ok(None);
        }
        let bytes = self.read_file(id, "record.json")?;
        let path = self.record_path(id).join("record.json");
        let record = serde_json::from_slice(&bytes)
            .map_err(|cause| Error::data(format!("`{}`: {cause}", path.display())))?;
        Ok(Some(record))
    }

    /// The job that a record belongs to.
    pub fn job(&self, id: JobId) -> Result<Job> {
        let bytes = self.read_file(id, "spec.toml")?;
        let path = self.record_path(id).join("spec.toml");
        let bad =
            |cause: &dyn std::fmt::Display| Error::data(format!("`{}`: {cause}", path.display()));
        let text = std::str::from_utf8(&bytes).map_err(|cause| bad(&cause))?;
        let job: Job = toml::from_str(text).map_err(|cause| bad(&cause))?;
        if job.id() != id {
            return Err(bad(&"the spec does not hash to the record's id"));
        }
        Ok(job)
    }

    /// Reads one file of a record and checks it against the record's manifest.
    pub fn read_file(&self, id: JobId, name: &str) -> Result<Vec<u8>> {
        manifest::read_checked(&self.record_path(id), name)
    }

    /// Whether a record holds this file; weights may have been dropped by policy.
    pub fn has_file(&self, id: JobId, name: &str) -> Result<bool> {
        Ok(manifest::read(&self.record_path(id))?.contains_key(name))
    }

    /// Hashes every file of a record again and compares with its manifest. Returns their names.
    pub fn verify(&self, id: JobId) -> Result<Vec<String>> {
        let names: Vec<String> = manifest::read(&self.record_path(id))?.into_keys().collect();
        for name in &names {
            self.read_file(id, name)?;
        }
        self.job(id)?;
        Ok(names)
    }

    /// All record ids in ascending order.
    pub fn ids(&self) -> Result<Vec<JobId>> {
        let path = self.root.join("records");
        let failed = |cause: &std::io::Error| Error::io("list", &path, cause);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&path).map_err(|cause| failed(&cause))? {
            let name = entry.map_err(|cause| failed(&cause))?.file_name();
            if let Some(id) = name.to_str().and_then(|name| name.parse::<JobId>().ok())
                && self.has(id)
            {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
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

    /// Removes what a finished job left in `work/`.
    pub fn clear_work(&self, id: JobId) -> Result<()> {
        let path = self.work_path(id);
        match fs::remove_dir_all(&path) {
            Ok(()) => Ok(()),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(Error::io("remove", &path, &cause)),
        }
    }

    /// Enters a read of a sealed test split.
    pub fn log_test_read(&self, read: &TestRead) -> Result<()> {
        reads::append(&self.root.join("test-reads.jsonl"), read)
    }

    /// All reads of sealed test splits so far.
    pub fn test_reads(&self) -> Result<Vec<TestRead>> {
        reads::all(&self.root.join("test-reads.jsonl"))
    }
}

#[cfg(test)]
mod tests;
