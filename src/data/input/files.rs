//! Which files to read: the given ones, and those of given directories in a fixed order.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{quoted, quoted_path};
use crate::{Error, Result};

/// What a file holds, by its name or because somebody said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// One document: .txt, .md.
    Text,
    /// One document per line: .jsonl.
    JsonLines,
    /// One document per object, one after the other or in one list: .json.
    Json,
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

/// How to find and read files.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// What every file holds, whatever it is called.
    pub format: Option<FileKind>,
    /// The file that standard input was stored in.
    pub standard_input: Option<InputFile>,
}

/// Whether a path stands for standard input.
#[must_use]
pub fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-" || path.as_os_str() == "/dev/stdin"
}

const KINDS: &str = ".txt, .md, .jsonl, .json (each also with .gz or .zst), .parquet, .bin";

impl InputFile {
    /// A file whose kind is known.
    pub fn new(
        path: &Path,
        name: String,
        metadata: &Metadata,
        (kind, packing): (FileKind, Packing),
    ) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self { path: path.to_owned(), name, kind, packing, bytes: metadata.len(), modified }
    }

    /// An error if the file was changed since it was listed: several passes must see one content.
    pub fn check_unchanged(&self) -> Result<()> {
        let metadata =
            fs::metadata(&self.path).map_err(|cause| Error::io("inspect", &self.path, &cause))?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        if (metadata.len(), modified) == (self.bytes, self.modified) {
            return Ok(());
        }
        Err(Error::data(format!("`{}` was changed while it was read", quoted_path(&self.path)))
            .hint("run it again when the file is complete"))
    }
}

/// Kind and packing by the extensions of a name.
fn kind(name: &str) -> Option<(FileKind, Packing)> {
    let (inner, packing) = packing(name);
    let kind = match (inner.rsplit_once('.')?.1, packing) {
        ("txt" | "text" | "md" | "markdown", _) => FileKind::Text,
        ("jsonl" | "ndjson", _) => FileKind::JsonLines,
        ("json", _) => FileKind::Json,
        ("parquet", Packing::Plain) => FileKind::Parquet,
        ("bin", Packing::Plain) => FileKind::Tokens,
        _ => return None,
    };
    Some((kind, packing))
}

/// The name in lower case without the ending of its packing.
fn packing(name: &str) -> (String, Packing) {
    let lower = name.to_lowercase();
    match lower.rsplit_once('.') {
        Some((inner, "gz")) => (inner.to_owned(), Packing::Gzip),
        Some((inner, "zst" | "zstd")) => (inner.to_owned(), Packing::Zstd),
        _ => (lower, Packing::Plain),
    }
}

/// What is known of a file's content.
fn kind_of(name: &str, format: Option<FileKind>) -> Option<(FileKind, Packing)> {
    match format {
        Some(kind) => Some((kind, packing(name).1)),
        None => kind(name),
    }
}

/// What to do about a file whose name says nothing, as a hint.
fn way_to_read(name: &str) -> String {
    let (inner, packing) = packing(name);
    let ending = inner.rsplit_once('.').map_or("", |(_, ending)| ending);
    let unpack = |tool: &str| format!("unpack it first: `{tool}`");
    let duckdb =
        "convert it first, for example `duckdb -c \"COPY (FROM 'in.csv') TO 'out.jsonl'\"`";
    match ending {
        "parquet" if packing != Packing::Plain => unpack("gzip -d, or zstd -d"),
        "bin" if packing != Packing::Plain => unpack("gzip -d, or zstd -d"),
        "bz2" => unpack("bunzip2"),
        "xz" => unpack("unxz"),
        "lz4" => unpack("lz4 -d"),
        "br" => unpack("brotli -d"),
        "zip" => unpack("unzip"),
        "tar" | "tgz" => unpack("tar -xf"),
        "csv" | "tsv" => duckdb.to_owned(),
        "arrow" | "feather" | "npy" | "npz" | "h5" | "pdf" | "docx" | "epub" => {
            format!("known are {KINDS}: convert it first")
        }
        _ => format!(
            "`--format text` reads it as one document, `--format jsonl` line by line; by name \
             known are {KINDS}"
        ),
    }
}

/// The files of `paths`, in the given order; directories are searched to their ends, in the order
/// of names. Returns the files, and the names of files in directories that were passed over because
/// their extension says nothing.
///
/// # Errors
/// If a path does not exist, is neither file nor directory, or names a file of an unknown kind.
pub fn expand(paths: &[PathBuf], sources: &Sources) -> Result<(Vec<InputFile>, Vec<String>)> {
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    for path in paths {
        if is_standard_input(path) {
            files.extend(sources.standard_input.clone());
            continue;
        }
        let metadata = fs::metadata(path).map_err(|cause| Error::io("read", path, &cause))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        if metadata.is_dir() {
            walk(path, &name, sources.format, &mut files, &mut skipped)?;
        } else if metadata.is_file() {
            let known = kind_of(&name, sources.format).ok_or_else(|| {
                Error::usage(format!("`{}` is of an unknown kind", quoted_path(path)))
                    .hint(way_to_read(&name))
            })?;
            files.push(InputFile::new(path, name, &metadata, known));
        } else {
            return Err(Error::usage(format!("`{}` is not a regular file", quoted_path(path)))
                .hint("inputs are read more than once: give `-` for standard input, or a file"));
        }
    }
    match (files.is_empty(), skipped.first()) {
        (false, _) => Ok((files, skipped)),
        (true, None) => {
            Err(Error::data("there is no file to read").hint(format!("known are {KINDS}")))
        }
        (true, Some(first)) => Err(Error::data(format!(
            "there is no file to read: {} passed over, `{}`{}",
            if skipped.len() == 1 {
                "one was".to_owned()
            } else {
                format!("{} were", skipped.len())
            },
            quoted(first),
            if skipped.len() == 1 { "" } else { " among them" }
        ))
        .hint(way_to_read_in_folder(first))),
    }
}

/// As [`way_to_read`], for a file in a directory: plain .json is often no text there.
fn way_to_read_in_folder(name: &str) -> String {
    match kind(name) {
        Some((FileKind::Json, _)) => {
            "in a directory .json files are read with `--format json` only".to_owned()
        }
        _ => way_to_read(name),
    }
}

/// Whether a file in a directory is read. Plain .json is a tool's settings more often than text.
fn is_taken(known: (FileKind, Packing), format: Option<FileKind>) -> bool {
    format.is_some() || known != (FileKind::Json, Packing::Plain)
}

fn walk(
    directory: &Path,
    above: &str,
    format: Option<FileKind>,
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
            walk(&path, &name, format, files, skipped)?;
            continue;
        }
        // A link may point to a file; one to a directory could form a loop and is passed over.
        let metadata = fs::metadata(&path).ok().filter(Metadata::is_file);
        let known = kind_of(&name, format).filter(|&known| is_taken(known, format));
        match metadata.zip(known) {
            Some((metadata, known)) => files.push(InputFile::new(&path, name, &metadata, known)),
            // The index of token files is read beside them.
            None if path.extension().is_some_and(|ending| ending == "idx")
                && path.with_extension("bin").is_file() => {}
            None => skipped.push(name),
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
            ("c4-train.00000.json.gz", Some((FileKind::Json, Packing::Gzip))),
            ("a.json", Some((FileKind::Json, Packing::Plain))),
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
        for name in
            ["b.txt", "a/z.txt", "a/y.jsonl", ".hidden.txt", "LICENSE", "c/d/e.md", "info.json"]
        {
            let path = above.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        std::os::unix::fs::symlink(above.path(), above.path().join("loop")).unwrap();
        let (files, skipped) = expand(&[above.path().to_owned()], &Sources::default()).unwrap();
        let names: Vec<&str> =
            files.iter().map(|file| file.name.split_once('/').unwrap().1).collect();
        assert_eq!(names, ["a/y.jsonl", "a/z.txt", "b.txt", "c/d/e.md"]);
        assert_eq!(skipped.len(), 3);
    }

    #[test]
    fn missing_empty_and_unknown_inputs_are_errors() {
        let above = tempfile::tempdir().unwrap();
        let check = |path: PathBuf, part: &str, code: u8| {
            let error = expand(&[path], &Sources::default()).unwrap_err();
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
