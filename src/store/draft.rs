//! Writing a record: everything goes into a private folder that one rename makes visible.

use std::path::{Path, PathBuf};

use super::record::Record;
use super::stored;
use crate::disk::{FreshFolder, InTheWay, Published, json_file, temporary_path};
use crate::spec::{Job, JobId};
use crate::{Error, Result};

/// A record that is being written. Dropping it unpublished removes it.
#[derive(Debug)]
pub struct Draft {
    root: PathBuf,
    folder: FreshFolder,
    id: JobId,
}

impl Draft {
    pub(super) fn new(root: &Path, id: JobId) -> Result<Self> {
        let path = temporary_path(&root.join("work").join(format!("draft-{id}")));
        Ok(Self { root: root.to_owned(), folder: FreshFolder::create(path)?, id })
    }

    /// Adds a file.
    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.folder.add(name, content)
    }

    /// Writes spec, record and manifest and makes the record visible, unless one exists already.
    /// What lies in its place, but is no record, is moved to `aside/`.
    ///
    /// # Errors
    /// If the record could not be read again: nothing is visible then.
    pub fn publish(mut self, job: &Job, record: &Record) -> Result<Published> {
        let spec = toml::to_string(job)
            .map_err(|cause| Error::data(format!("the spec has no TOML form: {cause}")))?;
        self.add("spec.toml", spec.as_bytes())?;
        self.add("record.json", &json_file(record))?;
        self.folder.seal(&json_file(&self.folder.files))?;
        let unreadable = |error: Error| {
            let id = self.id.short();
            error.within(format!("record {id} is not published, because it could not be read"))
        };
        stored::record(self.folder.path(), self.id).map_err(unreadable)?;
        stored::job(self.folder.path(), self.id).map_err(unreadable)?;
        let target = self.root.join("records").join(self.id.to_string());
        self.folder.publish(&target, InTheWay::MovesTo(&self.root.join("aside")))
    }
}
