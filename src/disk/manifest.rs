//! `manifest.json` of a folder: the BLAKE3 hash and length of every other file in it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::hashed::FileFacts;
use super::regular;
use crate::{Error, Result};

/// The name of the manifest; its presence makes a folder whole.
pub const MANIFEST_FILE: &str = "manifest.json";

/// File names and what they must contain.
pub type Files = BTreeMap<String, FileFacts>;

/// Whether a folder has a manifest; nothing is read.
#[must_use]
pub fn is_whole(folder: &Path) -> bool {
    folder.join(MANIFEST_FILE).is_file()
}

/// Reads a manifest of nothing but files.
pub fn read(folder: &Path) -> Result<Files> {
    let path = folder.join(MANIFEST_FILE);
    let text = regular::read_small_text(&path);
    let text = text.map_err(|cause| Error::io("read", &path, &cause))?;
    serde_json::from_str(&text)
        .map_err(|cause| Error::data(format!("`{}`: {cause}", path.display())))
}

/// Reads a file and compares length and hash with the manifest; `None` if that does not list it.
/// The length is compared first, so that a wrong file is not read into memory.
pub fn read_checked(folder: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    let path = folder.join(name);
    let Some(expected) = read(folder)?.remove(name) else { return Ok(None) };
    let io = |cause: std::io::Error| Error::io("read", &path, &cause);
    let mut file = regular::open_regular(&path).map_err(io)?;
    if file.metadata().map_err(io)?.len() != expected.bytes {
        return Err(damaged(&path));
    }
    let mut content = Vec::new();
    file.read_to_end(&mut content).map_err(io)?;
    if FileFacts::of(&content) == expected { Ok(Some(content)) } else { Err(damaged(&path)) }
}

/// What is said of a file that is not as its manifest lists it.
#[must_use]
pub fn damaged(path: &Path) -> Error {
    Error::data(format!("`{}` is damaged: its hash is not the manifest's", path.display()))
}
