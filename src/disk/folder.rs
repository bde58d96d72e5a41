//! Folders that exist whole or not at all: they grow under another name, the manifest is written
//! last, and one rename makes them visible. What is not finished is never taken for whole.

use std::fs;
use std::io::{self, ErrorKind};
use std::mem;
use std::path::{Path, PathBuf};

use super::atomic::{folder_of, sync_folder, write_atomically};
use super::hashed::FileFacts;
use super::manifest::{Files, MANIFEST_FILE, is_whole};
use super::unique::unique_word;
use crate::{Error, Result};

/// A folder in the making. Dropping it unpublished removes it.
#[derive(Debug)]
pub struct FreshFolder {
    path: PathBuf,
    /// What the manifest is to list.
    pub files: Files,
}

/// What becomes of something else that lies in the place of a folder. An empty folder is nothing.
#[derive(Clone, Copy, Debug)]
pub enum InTheWay<'a> {
    /// It stays: the first publisher wins. If it is not whole, that is an error.
    Stays,
    /// It stays if it is whole; else it is moved into this folder, with a number behind its name.
    MovesTo(&'a Path),
    /// It gives way in one step: at any moment either is there, whole. Then its files are removed
    /// whose names are known; others stay.
    Goes(fn(&str) -> bool),
}

/// What became of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is in its place now.
    Here,
    /// It is in its place now. What lay there and was not whole has been moved.
    Instead {
        /// Where that lies now.
        of: PathBuf,
    },
    /// Another process was faster: this one can be discarded.
    Elsewhere,
}

impl FreshFolder {
    /// A new folder; it must not exist.
    pub fn create(path: PathBuf) -> Result<Self> {
        fs::create_dir(&path).map_err(|cause| Error::io("create", &path, &cause))?;
        Ok(Self { path, files: Files::new() })
    }

    /// A hidden folder beside `target`, on the same file system, so that a rename can move it.
    pub fn beside(target: &Path) -> Result<Self> {
        let name = target.file_name().ok_or_else(|| {
            Error::usage(format!("`{}` does not name a directory to write", target.display()))
        })?;
        let above = folder_of(target);
        fs::create_dir_all(above).map_err(|cause| Error::io("create", above, &cause))?;
        Self::create(above.join(format!(".{}.partial-{}", name.display(), unique_word())))
    }

    /// Where it grows; what else is put there is moved along.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a whole file.
    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<()> {
        write_atomically(&self.path.join(name), content)?;
        self.files.insert(name.to_owned(), FileFacts::of(content));
        Ok(())
    }

    /// Writes the manifest and makes all names in the folder durable.
    pub fn seal(&self, manifest: &[u8]) -> Result<()> {
        write_atomically(&self.path.join(MANIFEST_FILE), manifest)
    }

    /// Makes the sealed folder visible at `target`.
    pub fn publish(&mut self, target: &Path, in_the_way: InTheWay<'_>) -> Result<Published> {
        let published = match in_the_way {
            InTheWay::Stays => self.appear(target, None),
            InTheWay::MovesTo(aside) => self.appear(target, Some(aside)),
            InTheWay::Goes(is_known) => self.replace(target, is_known),
        };
        published.map_err(|cause| Error::io("write", target, &cause))
    }

    /// A rename onto a folder that is not empty fails: the first publisher wins.
    fn appear(&self, target: &Path, aside: Option<&Path>) -> io::Result<Published> {
        let mut published = Published::Here;
        if let Err(cause) = fs::rename(&self.path, target) {
            if is_whole(target) {
                return Ok(Published::Elsewhere);
            }
            let Some(aside) = aside.filter(|_| fs::symlink_metadata(target).is_ok()) else {
                return Err(cause);
            };
            let Some(of) = move_aside(target, aside)? else { return Ok(Published::Elsewhere) };
            published = Published::Instead { of };
            fs::rename(&self.path, target)?;
        }
        sync_folder(target)?;
        Ok(published)
    }

    fn replace(&mut self, target: &Path, is_known: fn(&str) -> bool) -> io::Result<Published> {
        match swap(&self.path, target) {
            Err(cause) if cause.kind() == ErrorKind::Unsupported => {
                swap_by_steps(&self.path, target, is_known)?;
            }
            swapped => swapped?,
        }
        sync_folder(target)?;
        // Left over if this fails, but no longer in anybody's way.
        let _ = remove(&mem::take(&mut self.path), is_known);
        Ok(Published::Here)
    }
}

impl Drop for FreshFolder {
    fn drop(&mut self) {
        // After publication there is nothing left to remove; before it, a failure to remove only
        // leaves a folder that no program takes for whole.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Moves what lies at `target`, but is not whole, into `folder`; `None` if it has become whole
/// meanwhile.
fn move_aside(target: &Path, folder: &Path) -> io::Result<Option<PathBuf>> {
    fs::create_dir_all(folder)?;
    let name = target.file_name().unwrap_or_default().display();
    let free = |number: u32| {
        let path = folder.join(format!("{name}-{number}"));
        fs::symlink_metadata(&path).is_err().then_some(path)
    };
    let full = || {
        let name = folder.file_name().unwrap_or_default().display();
        io::Error::new(ErrorKind::AlreadyExists, format!("`{name}/` is full"))
    };
    let aside = (1..1000).find_map(free).ok_or_else(full)?;
    fs::rename(target, &aside)?;
    if is_whole(&aside) {
        fs::rename(&aside, target)?;
        return Ok(None);
    }
    Ok(Some(aside))
}

/// Swaps two folders.
fn swap(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(|errno| match errno {
        Errno::INVAL | Errno::NOSYS | Errno::NOTSUP => ErrorKind::Unsupported.into(),
        errno => errno.into(),
    })
}

/// For file systems that cannot swap: the old folder waits beside its place for a moment, from
/// where [`bring_back`] fetches it if the program is killed in that moment.
fn swap_by_steps(fresh: &Path, target: &Path, is_known: fn(&str) -> bool) -> io::Result<()> {
    let old = replaced(target);
    if old.exists() {
        remove(&old, is_known)?;
    }
    fs::rename(target, &old)?;
    if let Err(cause) = fs::rename(fresh, target) {
        fs::rename(&old, target)?;
        return Err(cause);
    }
    fs::rename(&old, fresh)
}

/// Puts a folder back whose replacement was killed half-way.
pub fn bring_back(target: &Path) -> Result<()> {
    let old = replaced(target);
    if fs::symlink_metadata(target).is_ok() || !is_whole(&old) {
        return Ok(());
    }
    fs::rename(&old, target).map_err(|cause| Error::io("write", target, &cause))
}

/// Where a folder waits that is being replaced on a file system that cannot swap.
fn replaced(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default();
    folder_of(target).join(format!(".{}.replaced", name.display()))
}

/// Removes the known files of a folder, the manifest first: what is left is then not whole any
/// more. A folder with other files in it stays, and that is an error.
fn remove(folder: &Path, is_known: fn(&str) -> bool) -> io::Result<()> {
    match fs::remove_file(folder.join(MANIFEST_FILE)) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    for entry in fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()? {
        if is_known(&entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sealed folder with one file.
    fn fresh(target: &Path, content: &str) -> FreshFolder {
        let mut folder = FreshFolder::beside(target).unwrap();
        folder.add("content", content.as_bytes()).unwrap();
        folder.seal(b"{}").unwrap();
        folder
    }

    fn content(folder: &Path) -> String {
        fs::read_to_string(folder.join("content")).unwrap()
    }

    fn is_known(name: &str) -> bool {
        ["content", MANIFEST_FILE].contains(&name)
    }

    #[test]
    fn the_first_publisher_wins_and_what_is_not_whole_is_moved_or_an_error() {
        let above = tempfile::tempdir().unwrap();
        let (target, aside) = (above.path().join("target"), above.path().join("aside"));
        let publish = |text: &str, in_the_way| fresh(&target, text).publish(&target, in_the_way);
        assert_eq!(publish("one", InTheWay::Stays).unwrap(), Published::Here);
        assert_eq!(publish("two", InTheWay::Stays).unwrap(), Published::Elsewhere);
        assert_eq!(publish("two", InTheWay::MovesTo(&aside)).unwrap(), Published::Elsewhere);
        assert_eq!(content(&target), "one");
        fs::remove_file(target.join(MANIFEST_FILE)).unwrap();
        let error = publish("two", InTheWay::Stays).unwrap_err().to_string();
        assert!(error.starts_with("failed to write"), "{error}");
        let of = aside.join("target-1");
        let published = publish("two", InTheWay::MovesTo(&aside)).unwrap();
        assert_eq!(published, Published::Instead { of: of.clone() });
        assert_eq!((content(&target), content(&of)), ("two".to_owned(), "one".to_owned()));
        assert_eq!(fs::read_dir(above.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn a_folder_is_replaced_with_and_without_a_swap() {
        let above = tempfile::tempdir().unwrap();
        let target = above.path().join("target");
        fresh(&target, "old").publish(&target, InTheWay::Stays).unwrap();
        for step_by_step in [false, true] {
            // As after a kill between both renames: the old one is fetched, not lost.
            fs::rename(&target, replaced(&target)).unwrap();
            bring_back(&target).unwrap();
            assert_eq!(content(&target), "old");
            let mut folder = fresh(&target, "new");
            match step_by_step {
                true => swap_by_steps(&folder.path, &target, is_known).unwrap(),
                false => swap(&folder.path, &target).unwrap(),
            }
            assert_eq!((content(&target), content(&folder.path)), ("new".into(), "old".into()));
            assert!(!replaced(&target).exists());
            folder.publish(&target, InTheWay::Goes(is_known)).unwrap();
            assert_eq!(content(&target), "old");
            assert_eq!(fs::read_dir(above.path()).unwrap().count(), 1, "nothing else is left");
        }
    }

    #[test]
    fn of_what_was_replaced_only_known_files_are_removed() {
        let above = tempfile::tempdir().unwrap();
        let target = above.path().join("target");
        fresh(&target, "old").publish(&target, InTheWay::Stays).unwrap();
        fs::write(target.join("thesis.tex"), "precious").unwrap();
        let mut folder = fresh(&target, "new");
        let path = folder.path().to_owned();
        folder.publish(&target, InTheWay::Goes(is_known)).unwrap();
        drop(folder);
        assert_eq!(content(&target), "new");
        assert_eq!(fs::read_to_string(path.join("thesis.tex")).unwrap(), "precious");
        assert_eq!(fs::read_dir(path).unwrap().count(), 1);
    }
}
