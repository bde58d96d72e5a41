//! Locks on files: the system releases them when their process dies, however it dies.
//!
//! Whoever locks a file must make sure that it still is the one at its path. It may have been
//! removed or replaced between opening and locking, and then its lock guards nothing.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::regular;

/// The state of a lock.
#[derive(Debug)]
pub enum Lock {
    /// This process has it now.
    Mine(File),
    /// Another process of this host has it.
    Busy,
    /// The file was removed meanwhile, or its folder.
    Gone,
}

/// Tries to lock a file.
///
/// # Errors
/// If it cannot be opened or locked; that it is missing is no error.
pub fn try_lock(path: &Path, create: bool) -> io::Result<Lock> {
    regular::check_absent_or_regular(path)?;
    let opened = OpenOptions::new().create(create).truncate(false).write(true).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Lock::Gone),
        Err(cause) => return Err(cause),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Lock::Busy),
        Err(TryLockError::Error(cause)) => return Err(cause),
    }
    Ok(if is_at(&file, path)? { Lock::Mine(file) } else { Lock::Gone })
}

/// Waits for the lock of a file that others replace; none without the file.
///
/// # Errors
/// As [`try_lock`].
pub fn wait_for_lock(path: &Path) -> io::Result<Option<File>> {
    while path.is_file() {
        // Some file systems lock only files that are open for writing.
        let writing = File::options().read(true).write(true).open(path);
        let file = match writing.or_else(|_| File::open(path)) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => continue,
            Err(cause) => return Err(cause),
        };
        file.lock()?;
        if is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Whether an open file is the one at `path`.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let mine = file.metadata()?;
    let same = |at: fs::Metadata| (at.dev(), at.ino()) == (mine.dev(), mine.ino());
    Ok(fs::metadata(path).is_ok_and(same))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_guards_nothing_any_more_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let Lock::Mine(held) = try_lock(&path, true).unwrap() else {
            panic!("nobody else is here")
        };
        assert!(matches!(try_lock(&path, true).unwrap(), Lock::Busy));
        // Removed and made anew by another waiter, while this one was about to get it.
        let late = File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        drop(held);
        assert!(late.try_lock().is_ok());
        assert!(matches!(try_lock(&path, false).unwrap(), Lock::Gone));
        assert!(matches!(try_lock(&path, true).unwrap(), Lock::Mine(_)));
        // The whole folder is gone: its job has ended, and its record is there.
        let gone = folder.path().join("gone").join("lock");
        assert!(matches!(try_lock(&gone, true).unwrap(), Lock::Gone));
    }
}
