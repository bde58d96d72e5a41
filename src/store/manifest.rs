//! `manifest.json`: the BLAKE3 hash and length of every other file of a record.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::hashed::FileFacts;
use super::regular;
use crate::{Error, Result};

/// File names and what they must contain.
pub(super) type Manifest = BTreeMap<String, FileFacts>;

/// Reads the manifest of a record.
pub(super) fn read(record: &Path) -> Result<Manifest> {
    let path = record.join("manifest.json");
    let text = regular::read_small_text(&path);
    let text = text.map_err(|cause| Error::io("read", &path, &cause))?;
    serde_json::from_str(&text)
        .map_err(|cause| Error::data(format!("`{}`: {cause}", path.display())))
}

/// Reads a file of a record and compares length and hash with the manifest. The length is compared
/// first, so that a wrong file is not read into memory.
pub(super) fn read_checked(record: &Path, name: &str) -> Result<Vec<u8>> {
    let path = record.join(name);
    let Some(expected) = read(record)?.remove(name) else {
        return Err(Error::data(format!("the record holds no `{}`", path.display()))
            .hint("it may have been dropped to save space: the same spec trains it again"));
    };
    let io = |cause: std::io::Error| Error::io("read", &path, &cause);
    let damaged =
        || Error::data(format!("`{}` is damaged: its hash is not the manifest's", path.display()));
    let mut file = regular::open_regular(&path).map_err(io)?;
    if file.metadata().map_err(io)?.len() != expected.bytes {
        return Err(damaged());
    }
    let mut content = Vec::new();
    file.read_to_end(&mut content).map_err(io)?;
    if FileFacts::of(&content) == expected { Ok(content) } else { Err(damaged()) }
}
