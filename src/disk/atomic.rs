//! Files that exist whole or not at all: temporary name, write, fsync, rename, fsync of the folder.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::unique::unique_word;
use crate::{Error, Result};

/// Writes `bytes` under `path` so that a crash leaves the old file or the new one.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    fresh_file(path, |file| file.write_all(bytes))
}

/// Lets `fill` write a new file and then puts it in the place of `path`. The temporary file is
/// removed if anything fails.
pub fn fresh_file(path: &Path, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let temporary = temporary_path(path);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        fill(&mut file)?;
        flush(&file)?;
        fs::rename(&temporary, path)?;
        sync_folder(path)
    };
    write().map_err(|cause| {
        let _ = fs::remove_file(&temporary);
        Error::io("write", path, &cause)
    })
}

/// Makes a rename inside the folder of `path` durable.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    sync_directory(folder_of(path))
}

/// The folder that a path lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes renames inside a folder durable.
pub fn sync_directory(folder: &Path) -> std::io::Result<()> {
    flush(&File::open(folder)?)
}

/// Flushes to the disk itself: without it a power cut may leave an empty file under a new name.
fn flush(file: &File) -> std::io::Result<()> {
    file.sync_all().inspect(|()| flushed(file))
}

#[cfg(test)]
use tests::flushed;

/// Tests notice here what was flushed, because no test can cut the power.
#[cfg(not(test))]
fn flushed(_file: &File) {}

/// A name beside `path` that no other process or thread uses.
#[must_use]
pub fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", unique_word()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    thread_local! {
        /// Of every flush of this thread: which file, and its length.
        static FLUSHED: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn flushed(file: &File) {
        let metadata = file.metadata().unwrap();
        FLUSHED.with_borrow_mut(|all| all.push((metadata.ino(), metadata.len())));
    }

    #[test]
    fn a_file_reaches_the_disk_before_its_name_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"three").unwrap();
        let flushed = FLUSHED.take();
        assert_eq!(flushed.len(), 4, "file and folder, twice");
        assert_eq!(flushed[2], (fs::metadata(&path).unwrap().ino(), 5), "whole, then renamed");
        assert_eq!(flushed[3].0, fs::metadata(folder.path()).unwrap().ino());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
