//! Reading the folder of a record, and being sure of every byte.

use std::path::Path;

use super::record::Record;
use crate::disk::manifest;
use crate::spec::{Job, JobId, parse_toml};
use crate::{Error, Result};

/// A file of a record, as its manifest lists it.
pub(super) fn file(folder: &Path, name: &str) -> Result<Vec<u8>> {
    manifest::read_checked(folder, name)?.ok_or_else(|| {
        Error::data(format!("the record holds no `{}`", folder.join(name).display()))
            .hint("it may have been dropped to save space: the same spec trains it again")
    })
}

/// What is wrong with a file of a record.
fn bad(folder: &Path, name: &str) -> impl Fn(&dyn std::fmt::Display) -> Error {
    let path = folder.join(name);
    move |cause| Error::data(format!("`{}`: {cause}", path.display()))
}

/// What the job of a record left behind.
pub(super) fn record(folder: &Path, id: JobId) -> Result<Record> {
    let (bytes, bad) = (file(folder, "record.json")?, bad(folder, "record.json"));
    let record: Record = serde_json::from_slice(&bytes).map_err(|cause| bad(&cause))?;
    if record.id == id { Ok(record) } else { Err(bad(&"it is the record of another job")) }
}

/// The job that a record belongs to.
pub(super) fn job(folder: &Path, id: JobId) -> Result<Job> {
    let (bytes, bad) = (file(folder, "spec.toml")?, bad(folder, "spec.toml"));
    let text = std::str::from_utf8(&bytes).map_err(|cause| bad(&cause))?;
    let job: Job = parse_toml(text).map_err(|cause| bad(&cause))?;
    if job.id() != id {
        return Err(bad(&"the spec does not hash to the record's id"));
    }
    // A spec of no model would divide by its width of zero.
    job.validate().map_err(|cause| bad(&cause))?;
    Ok(job)
}
