//! Which files to read: the given ones, and those of given directories in a fixed order.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What a file holds, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// One document: .txt, .md.
    Text,
    /// One document per line: .jsonl.
    JsonLines,
    /// One document per row: .parquet.
    Parquet,
    /// Tokens: .bin of nanoGPT or llm.c.
    Tokens,
}

/// How a file is packed, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// .gz
    Gzip,
    /// .zst
    Zstd,
}

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its path below the given one, for the manifest: no directories of this machine.
    pub name: String,
    /// What it holds.
    pub kind: FileKind,
    /// How it is packed.
    pub packing: Packing,
    /// Its length in bytes, as stored.
    pub bytes: u64,
    modified: (i64, i64),
}

const KINDS: &str = ".txt, .md, .jsonl (each also with .gz or .zst), .parquet, .bin";

impl InputFile {
    fn new(path: &Path, name: String, metadata: &Metadata) -> Result<Option<Self>> {
        let Some((kind, packing)) = kind(&name) else { return Ok(None) };
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Some(Self {
            path: path.to_owned(),
            name,
            kind,
            packing,
            bytes: metadata.len(),
            modified,
        }))
    }

    /// An error if the file was changed since it was listed: several passes must see one content.
    pub fn check_unchanged(&self) -> Result<()> {
        let metadata =
            fs::metadata(&self.path).map_err(|cause| Error::io("inspect", &self.path, &cause))?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        if (metadata.len(), modified) == (self.bytes, self.modified) {
            return Ok(());
        }
        Err(Error::data(format!("`{}` was changed while it was read", self.path.display()))
            .hint("run it again when the file is complete"))
    }
}

/// Kind and packing by the extensions of a name.
fn kind(name: &str) -> Option<(FileKind, Packing)> {
    let lower = name.to_lowercase();
    let (inner, packing) = match lower.rsplit_once('.')? {
        (inner, "gz") => (inner, Packing::Gzip),
        (inner, "zst" | "zstd") => (inner, Packing::Zstd),
        _ => (&*lower, Packing::Plain),
    };
    match (inner.rsplit_once('.')?.1, packing) {
        ("txt" | "text" | "md" | "markdown", _) => Some((FileKind::Text, packing)),
        ("jsonl" | "ndjson", _) => Some((FileKind::JsonLines, packing)),
        ("parquet", Packing::Plain) => Some((FileKind::Parquet, packing)),
        ("bin", Packing::Plain) => Some((FileKind::Tokens, packing)),
        _ => None,
    }
}

/// The files of `paths`, in the given order; directories are searched to their ends, in the order
/// of names. Returns the files, and the names of files in directories that were passed over because
/// their extension says nothing.
///
/// # Errors
/// If a path does not exist, is neither file nor directory, or names a file of an unknown kind.
pub fn expand(paths: &[PathBuf]) -> Result<(Vec<InputFile>, Vec<String>)> {
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    for path in paths {
        let metadata = fs::metadata(path).map_err(|cause| Error::io("read", path, &cause))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if metadata.is_dir() {
            walk(path, &name.unwrap_or_default(), &mut files, &mut skipped)?;
        } else if metadata.is_file() {
            let unknown = || {
                Error::usage(format!("`{}` is of an unknown kind", path.display()))
                    .hint(format!("known are {KINDS}"))
            };
            let file = InputFile::new(path, name.unwrap_or_default(), &metadata)?;
            files.push(file.ok_or_else(unknown)?);
        } else {
            return Err(Error::usage(format!("`{}` is not a regular file", path.display()))
                .hint("inputs are read more than once: store a pipe's output in a file first"));
        }
    }
    if files.is_empty() {
        return Err(Error::data("there is no file to read").hint(format!("known are {KINDS}")));
    }
    Ok((files, skipped))
}

fn walk(
    directory: &Path,
    above: &str,
    files: &mut Vec<InputFile>,
    skipped: &mut Vec<String>,
) -> Result<()> {
    let failed = |cause| Error::io("list", directory, &cause);
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .map_err(failed)?;
    entries.sort();
    for path in entries {
        let own = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let own = own.unwrap_or_default();
        // Hidden files belong to tools, not to the text.
        if own.starts_with('.') {
            continue;
        }
        let name = if above.is_empty() { own } else { format!("{above}/{own}") };
        let link = fs::symlink_metadata(&path).map_err(|cause| Error::io("read", &path, &cause))?;
        if link.is_dir() {
            walk(&path, &name, files, skipped)?;
            continue;
        }
        // A link may point to a file; one to a directory could form a loop and is passed over.
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                match InputFile::new(&path, name.clone(), &metadata)? {
                    Some(file) => files.push(file),
                    None => skipped.push(name),
                }
            }
            _ => skipped.push(name),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_kinds() {
        for (name, expected) in [
            ("a.txt", Some((FileKind::Text, Packing::Plain))),
            ("A.MD.GZ", Some((FileKind::Text, Packing::Gzip))),
            ("a.b.jsonl.zst", Some((FileKind::JsonLines, Packing::Zstd))),
            ("a.parquet", Some((FileKind::Parquet, Packing::Plain))),
            ("train.bin", Some((FileKind::Tokens, Packing::Plain))),
            ("a.parquet.gz", None),
            ("a.json", None),
            ("a.gz", None),
            ("txt", None),
            ("", None),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }

    #[test]
    fn directories_are_walked_in_the_order_of_names() {
        let above = tempfile::tempdir().unwrap();
        for name in ["b.txt", "a/z.txt", "a/y.jsonl", ".hidden.txt", "LICENSE", "c/d/e.md"] {
            let path = above.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        std::os::unix::fs::symlink(above.path(), above.path().join("loop")).unwrap();
        let (files, skipped) = expand(&[above.path().to_owned()]).unwrap();
        let names: Vec<&str> =
            files.iter().map(|file| file.name.split_once('/').unwrap().1).collect();
        assert_eq!(names, ["a/y.jsonl", "a/z.txt", "b.txt", "c/d/e.md"]);
        assert_eq!(skipped.len(), 2);
    }

    #[test]
    fn missing_empty_and_unknown_inputs_are_errors() {
        let above = tempfile::tempdir().unwrap();
        let check = |path: PathBuf, part: &str, code: u8| {
            let error = expand(&[path]).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.exit_code(), code);
        };
        check(above.path().join("none.txt"), "failed to read", 3);
        check(above.path().to_owned(), "there is no file to read", 3);
        fs::write(above.path().join("data.xyz"), "").unwrap();
        check(above.path().join("data.xyz"), "is of an unknown kind", 2);
        check(PathBuf::from("/dev/null"), "is not a regular file", 2);
    }
}
