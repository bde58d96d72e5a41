//! Files that must be regular ones: a named pipe would block for ever, and a device may never end.

use std::fs::{self, File, Metadata};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// No file that is read whole and is not hashed is longer; a longer one is damage.
const SMALL_BYTES_MAX: u64 = 1 << 26;

/// Opens a file for reading, unless it is a pipe, a device or a directory.
///
/// # Errors
/// As [`File::open`], and if it is not a regular file.
pub fn open_regular(path: &Path) -> Result<File> {
    // Opening a pipe waits for a writer, so it is asked for first; what was opened counts.
    check(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// An error if something lies at `path` that is not a regular file.
pub fn check_absent_or_regular(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(metadata) => check(&metadata),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// The whole content of a regular file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    open_regular(path)?.read_to_end(&mut content)?;
    Ok(content)
}

/// The whole text of a regular file that nothing vouches for.
pub fn read_small_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    open_regular(path)?.take(SMALL_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 {
        0..=SMALL_BYTES_MAX => Ok(text),
        _ => Err(Error::new(ErrorKind::InvalidData, "it is far too long for what it should be")),
    }
}

fn check(metadata: &Metadata) -> Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::InvalidData, "it is not a regular file")),
    }
}
