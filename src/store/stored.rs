//! Reading the folder of a record, and being sure of every byte.

use std::path::Path;

use super::manifest;
use super::record::Record;
use crate::spec::{Job, JobId, parse_toml};
use crate::{Error, Result};

/// Whether a folder is a record; its content is not looked at.
pub(super) fn is_record(folder: &Path) -> bool {
    folder.join("manifest.json").is_file()
}

/// What the job of a record left behind.
pub(super) fn record(folder: &Path, id: JobId) -> Result<Record> {
    let bytes = manifest::read_checked(folder, "record.json")?;
    let path = folder.join("record.json");
    let bad = |cause: &dyn std::fmt::Display| Error::data(format!("`{}`: {cause}", path.display()));
    let record: Record = serde_json::from_slice(&bytes).map_err(|cause| bad(&cause))?;
    if record.id == id { Ok(record) } else { Err(bad(&"it is the record of another job")) }
}

/// The job that a record belongs to.
pub(super) fn job(folder: &Path, id: JobId) -> Result<Job> {
    let bytes = manifest::read_checked(folder, "spec.toml")?;
    let path = folder.join("spec.toml");
    let bad = |cause: &dyn std::fmt::Display| Error::data(format!("`{}`: {cause}", path.display()));
    let text = std::str::from_utf8(&bytes).map_err(|cause| bad(&cause))?;
    let job: Job = parse_toml(text).map_err(|cause| bad(&cause))?;
    if job.id() != id {
        return Err(bad(&"the spec does not hash to the record's id"));
    }
    // A spec of no model would divide by its width of zero.
    job.validate().map_err(|cause| bad(&cause))?;
    Ok(job)
}
