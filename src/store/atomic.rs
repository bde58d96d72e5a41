//! Files that exist whole or not at all: temporary name, write, fsync, rename, fsync of the folder.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

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
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(path)
    };
    write().map_err(|cause| {
        let _ = fs::remove_file(&temporary);
        Error::io("write", path, &cause)
    })
}

/// Makes a rename inside the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => sync_directory(folder),
        _ => sync_directory(Path::new(".")),
    }
}

/// Makes renames inside a folder durable.
pub fn sync_directory(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A name beside `path` that no other process or thread uses.
pub(super) fn temporary_path(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}-{count}.tmp", std::process::id()));
    path.with_file_name(name)
}
