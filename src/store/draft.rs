//! Writing a record: everything goes into a private folder that one rename makes visible.

use std::fs;
use std::path::{Path, PathBuf};

use super::atomic::{sync_folder, temporary_path, write_atomically};
use super::hashed::FileFacts;
use super::manifest::Manifest;
use super::record::Record;
use crate::spec::{Job, JobId};
use crate::{Error, Result};

/// A record that is being written. Dropping it unpublished removes it.
#[derive(Debug)]
pub struct Draft {
    folder: PathBuf,
    target: PathBuf,
    files: Manifest,
}

/// What became of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is the record now.
    Here,
    /// Another process was faster; this one was discarded.
    Elsewhere,
}

impl Draft {
    pub(super) fn new(root: &Path, id: JobId) -> Result<Self> {
        let target = root.join("records").join(id.to_string());
        let folder = temporary_path(&root.join("work").join(format!("draft-{id}")));
        fs::create_dir_all(&folder).map_err(|cause| Error::io("create", &folder, &cause))?;
        Ok(Self { folder, target, files: Manifest::new() })
    }

    /// Adds a file.
    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<()> {
        write_atomically(&self.folder.join(name), content)?;
        self.files.insert(name.to_owned(), FileFacts::of(content));
        Ok(())
    }

    /// Writes spec, record and manifest and makes the record visible, unless one exists already.
    pub fn publish(mut self, job: &Job, record: &Record) -> Result<Published> {
        let spec = toml::to_string(job)
            .map_err(|cause| Error::data(format!("the spec has no TOML form: {cause}")))?;
        self.add("spec.toml", spec.as_bytes())?;
        self.add("record.json", &json(record)?)?;
        write_atomically(&self.folder.join("manifest.json"), &json(&self.files)?)?;
        // A rename onto a folder that is not empty fails: the first publisher wins.
        match fs::rename(&self.folder, &self.target) {
            Ok(()) => {
                sync_folder(&self.target)
                    .map_err(|cause| Error::io("write", &self.target, &cause))?;
                Ok(Published::Here)
            }
            Err(_) if self.target.join("manifest.json").is_file() => Ok(Published::Elsewhere),
            Err(cause) => Err(Error::io("write", &self.target, &cause)),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After publication the folder has another name and nothing is left to remove.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|cause| Error::data(format!("a record has no JSON form: {cause}")))?;
    text.push(b'\n');
    Ok(text)
}
