//! Where a corpus lies: nothing but a corpus is ever replaced, and it appears by one rename.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::manifest::{Manifest, PartFiles, TOKEN_BYTES_FILE, TOKENIZER_FILE};
use crate::disk::{
    FreshFolder, InTheWay, MANIFEST_FILE, Published, bring_back, is_empty, is_whole, json_file,
    list, sync_directory, wait_for_lock,
};
use crate::spec::Split;
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

/// Writes the manifest of the files in `folder` and moves them to `target`. Returns the manifest of
/// what lies there then.
pub(super) fn publish(
    mut folder: FreshFolder,
    target: &Path,
    overwrite: bool,
    manifest: Manifest,
) -> Result<(Manifest, Publication)> {
    // Two at once would each write a manifest without what the other one has added.
    let lock = wait_for_lock(&target.join(MANIFEST_FILE));
    let _lock = lock.map_err(|cause| Error::io("write", target, &cause))?;
    let publication = match Manifest::read(target) {
        Ok(present) if present.id == manifest.id && !overwrite => {
            return join(&folder, target, present, manifest);
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
    folder.seal(&json_file(&manifest))?;
    let mut in_the_way = InTheWay::Stays;
    if publication == Publication::Replaced {
        check_target(target)?;
        in_the_way = InTheWay::Goes(is_corpus_file);
    }
    match folder.publish(target, in_the_way)? {
        // Another process was faster: it may have written the same corpus.
        Published::Elsewhere => publish(folder, target, overwrite, manifest),
        _ => Ok((manifest, publication)),
    }
}

/// The same corpus is there already: side sets that it lacks join it. Their files come first and
/// the manifest last, so that it is a whole corpus at any moment.
fn join(
    folder: &FreshFolder,
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
            fs::rename(folder.path().join(&file), target.join(&file)).map_err(failed)?;
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
        folder.seal(&json_file(&present))?;
        let from = folder.path().join(MANIFEST_FILE);
        fs::rename(from, target.join(MANIFEST_FILE)).map_err(failed)?;
        sync_directory(target).map_err(failed)?;
    }
    Ok((present, publication))
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
    let Ok(paths) = list(target) else { return taken("is a file") };
    let mut names = paths.iter().map(|path| path.file_name().unwrap_or_default().to_string_lossy());
    if let Some(other) = names.find(|name| !is_corpus_file(name)) {
        return taken(&format!("holds `{other}`, which is no part of a corpus"));
    }
    if is_whole(target) { Ok(()) } else { taken("is not empty and not a corpus") }
}

/// Whether something other than an empty directory lies at `path`.
fn is_occupied(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok() && !is_empty(path)
}

fn is_corpus_file(name: &str) -> bool {
    let of_split = |split| PartFiles::of_split(split).names().iter().any(|file| file == name);
    [MANIFEST_FILE, TOKENIZER_FILE, TOKEN_BYTES_FILE].contains(&name)
        || Split::ALL.into_iter().any(of_split)
        || PartFiles::side_of(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::corpus::testing::corpus;

    #[test]
    fn a_corpus_whose_replacement_was_killed_is_fetched_and_not_lost() {
        let (above, target) = corpus(&[&[0, 1, 2]], 10);
        let id = |path: &Path| Manifest::read(path).unwrap().id;
        let old = id(&target);
        fs::rename(&target, above.path().join(".corpus.replaced")).unwrap();
        check_target(&target).unwrap();
        assert_eq!(id(&target), old);
        assert_eq!(list(above.path()).unwrap(), [target]);
    }
}
