//! Where a corpus lies: nothing but a corpus is ever replaced, and it appears by one rename.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::manifest::{MANIFEST_FILE, Manifest, PartFiles, TOKEN_BYTES_FILE, TOKENIZER_FILE};
use crate::spec::Split;
use crate::store::{HashedFile, sync_directory};
use crate::{Error, Result};

/// How a finished corpus came to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Publication {
    /// It is new.
    Written,
    /// The same corpus was there already and was left alone.
    AlreadyThere,
    /// The same corpus was there already, and side sets joined it.
    Extended,
    /// It replaced another corpus.
    Replaced,
}

/// Writes the manifest of the files in `temporary` and moves them to `target`. Returns the manifest
/// of what lies there then.
pub(super) fn publish(
    temporary: &Path,
    target: &Path,
    overwrite: bool,
    manifest: Manifest,
) -> Result<(Manifest, Publication)> {
    let failed = |cause: io::Error| Error::io("write", target, &cause);
    // Two at once would each write a manifest without what the other one has added.
    let _lock = lock(target).map_err(failed)?;
    let publication = match Manifest::read(target) {
        Ok(present) if present.id == manifest.id && !overwrite => {
            return join(temporary, target, present, manifest);
        }
        _ if !is_occupied(target) => Publication::Written,
        _ if overwrite => Publication::Replaced,
        Ok(present) => {
            return Err(Error::usage(format!(
                "`{}` holds another corpus ({}; this one is {})",
                target.display(),
                present.id.short(),
                manifest.id.short()
            ))
            .hint("give another `--out`, or `--force` to replace it"));
        }
        Err(error) => {
            return Err(error.hint("give another `--out`, or `--force` to replace it"));
        }
    };
    write_manifest(temporary, &manifest)?;
    sync_directory(temporary).map_err(failed)?;
    match publication {
        Publication::Replaced => {
            check_target(target)?;
            exchange(temporary, target).map_err(failed)?;
        }
        _ => match fs::rename(temporary, target) {
            // Another process was faster: it may have written the same corpus.
            Err(_) if is_occupied(target) => {
                fs::remove_file(temporary.join(MANIFEST_FILE)).map_err(failed)?;
                return publish(temporary, target, overwrite, manifest);
            }
            renamed => renamed.map_err(failed)?,
        },
    }
    sync_directory(&parent(target)).map_err(failed)?;
    Ok((manifest, publication))
}

/// Locks the corpus at `target`, if there is one: its manifest, which every change replaces.
fn lock(target: &Path) -> io::Result<Option<File>> {
    let path = target.join(MANIFEST_FILE);
    loop {
        if !path.is_file() {
            return Ok(None);
        }
        // Some file systems lock only files that are open for writing.
        let writing = File::options().read(true).write(true).open(&path);
        let file = match writing.or_else(|_| File::open(&path)) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
            Err(cause) => return Err(cause),
        };
        file.lock()?;
        // Whoever had the lock may have put another manifest in its place.
        let mine = file.metadata()?;
        let same = |now: fs::Metadata| (now.dev(), now.ino()) == (mine.dev(), mine.ino());
        if fs::metadata(&path).is_ok_and(same) {
            return Ok(Some(file));
        }
    }
}

/// Puts the corpus in `temporary` in the place of that in `target`, in one step: at any moment
/// either is there, whole. What was replaced is removed then.
fn exchange(temporary: &Path, target: &Path) -> io::Result<()> {
    match swap(temporary, target) {
        Ok(()) => {}
        Err(cause) if cause.kind() == io::ErrorKind::Unsupported => {
            exchange_by_steps(temporary, target)?;
        }
        Err(cause) => return Err(cause),
    }
    sync_directory(&parent(target))?;
    // Left over if this fails, but no longer in anybody's way.
    let _ = remove_corpus(temporary).and_then(|()| fs::remove_dir(temporary));
    Ok(())
}

/// The same corpus is there already: side sets that it lacks join it. Their files come first and
/// the manifest last, so that it is a whole corpus at any moment.
fn join(
    temporary: &Path,
    target: &Path,
    mut present: Manifest,
    manifest: Manifest,
) -> Result<(Manifest, Publication)> {
    let failed = |cause: io::Error| Error::io("write", target, &cause);
    let mut publication = Publication::AlreadyThere;
    for (name, facts) in manifest.side {
        if let Some(other) = present.side.get(&name) {
            if other.id == facts.id {
                continue;
            }
            return Err(Error::usage(format!(
                "`{}` holds this corpus with another side set `{name}` ({}; this one is {})",
                target.display(),
                other.id.short(),
                facts.id.short()
            ))
            .hint("give it another name, or `--force` to replace the corpus and its side sets"));
        }
        for file in PartFiles::of_side(&name).names() {
            fs::rename(temporary.join(&file), target.join(&file)).map_err(failed)?;
            let facts = manifest.files[&file].clone();
            present.files.insert(file, facts);
        }
        present.side.insert(name, facts);
        publication = Publication::Extended;
    }
    if publication == Publication::Extended {
        present.allowed = present.allowed.or(manifest.allowed);
        if let Some((present, new)) = present.tokenizer.as_mut().zip(manifest.tokenizer) {
            present.lost.extend(new.lost);
        }
        write_manifest(temporary, &present)?;
        let from = temporary.join(MANIFEST_FILE);
        fs::rename(from, target.join(MANIFEST_FILE)).map_err(failed)?;
        sync_directory(target).map_err(failed)?;
    }
    Ok((present, publication))
}

fn write_manifest(directory: &Path, manifest: &Manifest) -> Result<()> {
    let mut text = serde_json::to_string_pretty(manifest).expect("a manifest is plain data");
    text.push('\n');
    let mut file = HashedFile::create(directory.join(MANIFEST_FILE))?;
    file.write(text.as_bytes())?;
    file.finish().map(drop)
}

/// Brings a corpus back whose replacement was killed, where a file system cannot swap folders.
/// An error if `target` holds anything but a corpus. Asked before the work starts, so that hours
/// of encoding are not lost to a mistyped path.
pub fn check_target(target: &Path) -> Result<()> {
    bring_back(target)?;
    if !is_occupied(target) {
        return Ok(());
    }
    let taken = |what: &str| {
        Err(Error::usage(format!("`{}` {what}", target.display()))
            .hint("give a directory that does not exist yet as `--out`"))
    };
    let Ok(entries) = fs::read_dir(target) else { return taken("is a file") };
    let mut has_manifest = false;
    for entry in entries {
        let name = entry.map_err(|cause| Error::io("list", target, &cause))?.file_name();
        has_manifest |= name == MANIFEST_FILE;
        if !is_corpus_file(&name.to_string_lossy()) {
            return taken(&format!("holds `{}`, which is no part of a corpus", name.display()));
        }
    }
    if has_manifest { Ok(()) } else { taken("is not empty and not a corpus") }
}

/// Whether something other than an empty directory lies at `path`.
fn is_occupied(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => fs::symlink_metadata(path).is_ok(),
    }
}

fn is_corpus_file(name: &str) -> bool {
    let of_split = |split| PartFiles::of_split(split).names().iter().any(|file| file == name);
    [MANIFEST_FILE, TOKENIZER_FILE, TOKEN_BYTES_FILE].contains(&name)
        || Split::ALL.into_iter().any(of_split)
        || PartFiles::side_of(name).is_some()
}

/// Removes the files of a corpus, the manifest first: what is left is then no corpus any more. A
/// directory with other files in it stays, and the rename that follows fails.
fn remove_corpus(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(MANIFEST_FILE)) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    for entry in fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()? {
        if is_corpus_file(&entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// For file systems that cannot swap: the old corpus waits beside its place for a moment, from
/// where [`bring_back`] fetches it if the program is killed in that moment.
fn exchange_by_steps(temporary: &Path, target: &Path) -> io::Result<()> {
    let old = replaced(target);
    if old.exists() {
        remove_corpus(&old).and_then(|()| fs::remove_dir(&old))?;
    }
    fs::rename(target, &old)?;
    if let Err(cause) = fs::rename(temporary, target) {
        fs::rename(&old, target)?;
        return Err(cause);
    }
    fs::rename(&old, temporary)
}

/// Puts a corpus back whose replacement was killed half-way.
pub(super) fn bring_back(target: &Path) -> Result<()> {
    let old = replaced(target);
    if fs::symlink_metadata(target).is_ok() || !old.join(MANIFEST_FILE).is_file() {
        return Ok(());
    }
    fs::rename(&old, target).map_err(|cause| Error::io("write", target, &cause))
}

/// Swaps two folders.
fn swap(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(|errno| match errno {
        Errno::INVAL | Errno::NOSYS | Errno::NOTSUP => io::ErrorKind::Unsupported.into(),
        errno => errno.into(),
    })
}

/// Where a corpus waits that is being replaced on a file system that cannot swap.
fn replaced(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default();
    parent(target).join(format!(".{}.replaced", name.display()))
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A new directory beside `target`, on the same file system, so that a rename can move it.
pub(in crate::data) fn temporary_beside(target: &Path) -> Result<PathBuf> {
    let name = target.file_name().ok_or_else(|| {
        Error::usage(format!("`{}` does not name a directory to write", target.display()))
    })?;
    let above = parent(target);
    fs::create_dir_all(&above).map_err(|cause| Error::io("create", &above, &cause))?;
    for attempt in 0..1000 {
        let process = std::process::id();
        let path = above.join(format!(".{}.partial-{process}-{attempt}", name.display()));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(Error::io("create", &path, &cause)),
        }
    }
    Err(Error::data(format!("too many unfinished corpora beside `{}`", target.display()))
        .hint("remove the directories named `.NAME.partial-*` there"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::corpus::testing::corpus;

    #[test]
    fn a_corpus_is_replaced_with_and_without_a_swap() {
        for step_by_step in [false, true] {
            let (_above, target) = corpus(&[&[0, 1, 2]], 10);
            let (_beside, other) = corpus(&[&[0, 3, 4]], 10);
            let id = |path: &Path| Manifest::read(path).unwrap().id;
            let (old, new) = (id(&target), id(&other));
            // As after a kill between both renames: the old one is fetched, not lost.
            fs::rename(&target, replaced(&target)).unwrap();
            check_target(&target).unwrap();
            assert_eq!(id(&target), old);
            let temporary = temporary_beside(&target).unwrap();
            fs::remove_dir(&temporary).unwrap();
            fs::rename(&other, &temporary).unwrap();
            match step_by_step {
                true => exchange_by_steps(&temporary, &target).unwrap(),
                false => swap(&temporary, &target).unwrap(),
            }
            assert_eq!((id(&target), id(&temporary)), (new, old));
            assert!(!replaced(&target).exists());
            exchange(&temporary, &target).unwrap();
            assert_eq!((id(&target), temporary.exists()), (old, false));
        }
    }
}
