//! What lies in a folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The paths in a folder, in the order of their names; none without the folder.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let all = fs::read_dir(folder).and_then(|all| all.map(|one| Ok(one?.path())).collect());
    let mut paths: Vec<PathBuf> = match all {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Vec::new(),
        paths => paths.map_err(|cause| Error::io("list", folder, &cause))?,
    };
    paths.sort();
    Ok(paths)
}

/// Whether a folder is there and empty.
#[must_use]
pub fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Whether the last ending of a name is this one.
#[must_use]
pub fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension == ending)
}
