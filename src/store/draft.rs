//! Writing a record: everything goes into a private folder that one rename makes visible.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::atomic::{sync_folder, temporary_path, write_atomically};
use super::hashed::FileFacts;
use super::manifest::Manifest;
use super::record::Record;
use super::stored;
use crate::spec::{Job, JobId};
use crate::{Error, Result};

/// A record that is being written. Dropping it unpublished removes it.
#[derive(Debug)]
pub struct Draft {
    root: PathBuf,
    folder: PathBuf,
    id: JobId,
    files: Manifest,
}

/// What became of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is the record now.
    Here,
    /// It is the record now. A folder without a manifest was in its place and has been moved.
    Instead {
        /// Where that folder lies now.
        of: PathBuf,
    },
    /// Another process was faster; this one was discarded.
    Elsewhere,
}

impl Draft {
    pub(super) fn new(root: &Path, id: JobId) -> Result<Self> {
        let folder = temporary_path(&root.join("work").join(format!("draft-{id}")));
        fs::create_dir(&folder).map_err(|cause| Error::io("create", &folder, &cause))?;
        Ok(Self { root: root.to_owned(), folder, id, files: Manifest::new() })
    }

    /// Adds a file.
    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<()> {
        write_atomically(&self.folder.join(name), content)?;
        self.files.insert(name.to_owned(), FileFacts::of(content));
        Ok(())
    }

    /// Writes spec, record and manifest and makes the record visible, unless one exists already.
    ///
    /// # Errors
    /// If the record could not be read again: nothing is visible then.
    pub fn publish(mut self, job: &Job, record: &Record) -> Result<Published> {
        let spec = toml::to_string(job)
            .map_err(|cause| Error::data(format!("the spec has no TOML form: {cause}")))?;
        self.add("spec.toml", spec.as_bytes())?;
        self.add("record.json", &json(record)?)?;
        write_atomically(&self.folder.join("manifest.json"), &json(&self.files)?)?;
        let unreadable = |error: Error| {
            let id = self.id.short();
            error.within(format!("record {id} is not published, because it could not be read"))
        };
        stored::record(&self.folder, self.id).map_err(unreadable)?;
        stored::job(&self.folder, self.id).map_err(unreadable)?;
        self.make_visible()
    }

    /// A rename onto a folder that is not empty fails: the first publisher wins.
    fn make_visible(&self) -> Result<Published> {
        let target = self.root.join("records").join(self.id.to_string());
        let failed = |cause: std::io::Error| Error::io("write", &target, &cause);
        let mut published = Published::Here;
        if let Err(cause) = fs::rename(&self.folder, &target) {
            if stored::is_record(&target) {
                return Ok(Published::Elsewhere);
            }
            if fs::symlink_metadata(&target).is_err() {
                return Err(failed(cause));
            }
            let Some(aside) = move_aside(&self.root, &target).map_err(failed)? else {
                return Ok(Published::Elsewhere);
            };
            published = Published::Instead { of: aside };
            fs::rename(&self.folder, &target).map_err(failed)?;
        }
        sync_folder(&target).map_err(failed)?;
        Ok(published)
    }
}

/// Moves what lies in the place of a record, but is none, to `aside/`; `None` if it has become a
/// record meanwhile.
fn move_aside(root: &Path, target: &Path) -> std::io::Result<Option<PathBuf>> {
    let folder = root.join("aside");
    fs::create_dir_all(&folder)?;
    let name = target.file_name().unwrap_or_default().display();
    let free = |number: u32| {
        let path = folder.join(format!("{name}-{number}"));
        fs::symlink_metadata(&path).is_err().then_some(path)
    };
    let full = || std::io::Error::new(ErrorKind::AlreadyExists, "`aside/` is full");
    let aside = (1..1000).find_map(free).ok_or_else(full)?;
    fs::rename(target, &aside)?;
    if stored::is_record(&aside) {
        fs::rename(&aside, target)?;
        return Ok(None);
    }
    Ok(Some(aside))
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
