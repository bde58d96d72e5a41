//! Writing a corpus: everything goes into a temporary directory beside the target, is flushed to
//! the disk, and becomes visible by one rename. What is not finished is never a corpus.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::manifest::{
    CORPUS_FORMAT, Duplicates, InputFacts, MANIFEST_FILE, Manifest, SplitFacts, SplitPolicy,
    Splits, SyntheticFacts, TOKEN_BYTES_FILE, TOKENIZER_FILE, TokenizerFacts, documents_file,
    tokens_file,
};
use super::shard::{FileFacts, HashedFile, TokenWidth};
use crate::spec::Split;
use crate::{Error, Result};

/// What the tokens of a corpus mean.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    /// V, the number of tokens.
    pub size: u32,
    /// The token that starts every document.
    pub separator: Option<u32>,
    /// The text of tokenizer.json.
    pub tokenizer: Option<&'a [u8]>,
    /// Bytes of text per token.
    pub token_bytes: Option<&'a [u16]>,
}

/// What is known of a corpus when all its tokens are written.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// See [`Manifest`].
    pub synthetic: Option<SyntheticFacts>,
    /// See [`Manifest`].
    pub tokenizer: Option<TokenizerFacts>,
    /// See [`Manifest`].
    pub split_policy: SplitPolicy,
    /// See [`Manifest`].
    pub duplicates: Option<Duplicates>,
    /// See [`Manifest`].
    pub input: InputFacts,
    /// Exact entropy floors, where known.
    pub floor_nats: Splits<Option<f64>>,
}

/// How a finished corpus came to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// It is new.
    Written,
    /// The same corpus was there already and was left alone.
    AlreadyThere,
    /// It replaced another corpus.
    Replaced,
}

/// A corpus in the making. Dropped before [`CorpusWriter::finish`], it leaves nothing behind.
pub struct CorpusWriter {
    target: PathBuf,
    temporary: PathBuf,
    overwrite: bool,
    vocabulary: u32,
    separator: Option<u32>,
    width: TokenWidth,
    files: BTreeMap<String, FileFacts>,
    splits: Splits<SplitWriter>,
}

struct SplitWriter {
    tokens_file: HashedFile,
    documents_file: HashedFile,
    facts: SplitFacts,
}

impl CorpusWriter {
    /// Starts a corpus that will lie at `target`.
    ///
    /// # Errors
    /// If `target` holds something that is not a corpus (which is never replaced), or if the
    /// directory above it cannot be written.
    pub fn create(target: &Path, overwrite: bool, vocabulary: Vocabulary<'_>) -> Result<Self> {
        check_target(target)?;
        let temporary = temporary_beside(target)?;
        let guard = RemoveOnError(Some(&temporary));
        let mut files = BTreeMap::new();
        let mut whole = |name: &str, content: &[u8]| -> Result<()> {
            let mut file = HashedFile::create(temporary.join(name))?;
            file.write(content)?;
            files.insert(name.to_owned(), file.finish()?);
            Ok(())
        };
        if let Some(json) = vocabulary.tokenizer {
            whole(TOKENIZER_FILE, json)?;
        }
        if let Some(lengths) = vocabulary.token_bytes {
            assert_eq!(lengths.len(), vocabulary.size as usize, "one length per token");
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| length.to_le_bytes()).collect();
            whole(TOKEN_BYTES_FILE, &bytes)?;
        }
        let split_writer = |split| -> Result<SplitWriter> {
            Ok(SplitWriter {
                tokens_file: HashedFile::create(temporary.join(tokens_file(split)))?,
                documents_file: HashedFile::create(temporary.join(documents_file(split)))?,
                facts: SplitFacts::default(),
            })
        };
        let splits = Splits {
            train: split_writer(Split::Train)?,
            val: split_writer(Split::Val)?,
            test: split_writer(Split::Test)?,
        };
        guard.disarm();
        Ok(Self {
            target: target.to_owned(),
            overwrite,
            vocabulary: vocabulary.size,
            separator: vocabulary.separator,
            width: TokenWidth::for_vocabulary(vocabulary.size),
            files,
            splits,
            temporary,
        })
    }

    /// The directory in which the corpus grows; what else is put there is moved along.
    pub(in crate::data) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Starts a new document of `split` with these tokens, which stand for `bytes` bytes of text.
    ///
    /// # Panics
    /// If there are no tokens, or one is outside the vocabulary: readers of inputs check that.
    pub fn start_document(&mut self, split: Split, tokens: &[u32], bytes: u64) -> Result<()> {
        assert!(!tokens.is_empty(), "a document needs a token");
        let writer = self.splits.get_mut(split);
        writer.documents_file.write(&writer.facts.tokens.to_le_bytes())?;
        writer.facts.documents += 1;
        self.continue_document(split, tokens, bytes)
    }

    /// Adds tokens to the document of `split` that was started last.
    ///
    /// # Panics
    /// As [`CorpusWriter::start_document`], and if no document was started.
    pub fn continue_document(&mut self, split: Split, tokens: &[u32], bytes: u64) -> Result<()> {
        let inside = tokens.iter().all(|&token| token < self.vocabulary);
        assert!(inside, "a token is outside the vocabulary of {}", self.vocabulary);
        let writer = self.splits.get_mut(split);
        assert!(writer.facts.documents > 0, "no document was started");
        writer.facts.tokens += tokens.len() as u64;
        writer.facts.bytes += bytes;
        writer.tokens_file.write_tokens(self.width, tokens)
    }

    /// Documents written to a split so far.
    #[must_use]
    pub fn documents(&self, split: Split) -> u64 {
        self.splits.get(split).facts.documents
    }

    /// Completes the files, writes the manifest and moves the corpus to its place.
    ///
    /// # Errors
    /// If a split is empty, if the disk fails, or if a different corpus is in the way.
    pub fn finish(mut self, provenance: Provenance) -> Result<(Manifest, Publication)> {
        let mut facts = Splits::<SplitFacts>::default();
        for split in Split::ALL {
            *facts.get_mut(split) = self.finish_split(split, &provenance)?;
        }
        let manifest = Manifest {
            format: CORPUS_FORMAT,
            id: Manifest::content_id(self.vocabulary, self.separator, &self.files),
            vocabulary: self.vocabulary,
            separator: self.separator,
            width: self.width,
            splits: facts,
            synthetic: provenance.synthetic,
            tokenizer: provenance.tokenizer,
            split_policy: provenance.split_policy,
            duplicates: provenance.duplicates,
            input: provenance.input,
            files: std::mem::take(&mut self.files),
            written_by: concat!("scarce ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let mut text = serde_json::to_string_pretty(&manifest).expect("a manifest is plain data");
        text.push('\n');
        let mut file = HashedFile::create(self.temporary.join(MANIFEST_FILE))?;
        file.write(text.as_bytes())?;
        file.finish()?;
        let publication = self.publish(&manifest)?;
        Ok((manifest, publication))
    }

    fn finish_split(&mut self, split: Split, provenance: &Provenance) -> Result<SplitFacts> {
        let writer = self.splits.get_mut(split);
        if writer.facts.documents == 0 {
            return Err(Error::data(format!("the {split} split would be empty")));
        }
        let end = writer.facts.tokens;
        writer.documents_file.write(&end.to_le_bytes())?;
        self.files.insert(tokens_file(split), writer.tokens_file.finish()?);
        self.files.insert(documents_file(split), writer.documents_file.finish()?);
        Ok(SplitFacts { floor_nats: *provenance.floor_nats.get(split), ..writer.facts })
    }

    fn publish(&self, manifest: &Manifest) -> Result<Publication> {
        let failed = |cause: io::Error| Error::io("write", &self.target, &cause);
        sync_directory(&self.temporary).map_err(failed)?;
        let publication = match Manifest::read(&self.target) {
            Ok(present) if present.id == manifest.id && !self.overwrite => {
                return Ok(Publication::AlreadyThere);
            }
            _ if !is_occupied(&self.target) => Publication::Written,
            _ if self.overwrite => {
                remove_corpus(&self.target).map_err(failed)?;
                Publication::Replaced
            }
            Ok(present) => {
                return Err(Error::usage(format!(
                    "`{}` holds another corpus ({}; this one is {})",
                    self.target.display(),
                    present.id.short(),
                    manifest.id.short()
                ))
                .hint("give another `--out`, or `--force` to replace it"));
            }
            Err(error) => {
                return Err(error.hint("give another `--out`, or `--force` to replace it"));
            }
        };
        fs::rename(&self.temporary, &self.target).map_err(failed)?;
        sync_directory(&parent(&self.target)).map_err(failed)?;
        Ok(publication)
    }
}

impl Drop for CorpusWriter {
    fn drop(&mut self) {
        // After publication there is nothing left to remove; before it, a failure to remove only
        // leaves a directory that no program takes for a corpus.
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

/// Removes a directory unless it is disarmed: for errors before the writer exists.
struct RemoveOnError<'a>(Option<&'a Path>);

impl RemoveOnError<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for RemoveOnError<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// An error if `target` holds anything but a corpus. Asked before the work starts, so that hours
/// of encoding are not lost to a mistyped path.
pub fn check_target(target: &Path) -> Result<()> {
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

fn corpus_files() -> impl Iterator<Item = String> {
    let shards =
        Split::ALL.into_iter().flat_map(|split| [tokens_file(split), documents_file(split)]);
    [MANIFEST_FILE, TOKENIZER_FILE, TOKEN_BYTES_FILE].map(str::to_owned).into_iter().chain(shards)
}

fn is_corpus_file(name: &str) -> bool {
    corpus_files().any(|known| known == name)
}

/// Removes the files of a corpus, the manifest first: what is left is then no corpus any more. A
/// directory with other files in it stays, and the rename that follows fails.
fn remove_corpus(directory: &Path) -> io::Result<()> {
    for name in corpus_files() {
        match fs::remove_file(directory.join(name)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
    }
    Ok(())
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A new directory beside `target`, on the same file system, so that a rename can move it.
fn temporary_beside(target: &Path) -> Result<PathBuf> {
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

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::corpus::testing::{corpus, provenance, writer};
    use crate::data::corpus::{Corpus, Manifest};

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_unfinished_corpus_leaves_nothing() {
        let above = tempfile::tempdir().unwrap();
        let target = above.path().join("corpus");
        let mut writer = writer(&target, 10);
        writer.start_document(Split::Train, &[0, 1, 2], 2).unwrap();
        assert_eq!(names(above.path()).len(), 1);
        assert!(Corpus::open(&target).is_err());
        drop(writer);
        assert_eq!(names(above.path()), [""; 0]);
    }

    #[test]
    fn an_empty_split_is_an_error_and_leaves_nothing() {
        let above = tempfile::tempdir().unwrap();
        let target = above.path().join("corpus");
        let mut writer = writer(&target, 10);
        writer.start_document(Split::Train, &[0, 1, 2], 2).unwrap();
        writer.start_document(Split::Val, &[0, 1, 2], 2).unwrap();
        let error = writer.finish(provenance()).unwrap_err();
        assert!(error.to_string().contains("the test split would be empty"), "{error}");
        assert_eq!(names(above.path()), [""; 0]);
    }

    #[test]
    fn the_same_corpus_is_left_alone_and_another_needs_force() {
        let above = tempfile::tempdir().unwrap();
        let target = above.path().join("corpus");
        let write = |token: u32, overwrite: bool| {
            let vocabulary =
                Vocabulary { size: 10, separator: Some(0), tokenizer: None, token_bytes: None };
            let mut writer = CorpusWriter::create(&target, overwrite, vocabulary)?;
            for split in Split::ALL {
                writer.start_document(split, &[0, token], 1)?;
            }
            writer.finish(provenance())
        };
        let (first, publication) = write(1, false).unwrap();
        assert_eq!(publication, Publication::Written);
        assert_eq!(write(1, false).unwrap().1, Publication::AlreadyThere);
        let error = write(2, false).unwrap_err();
        assert!(error.to_string().contains("holds another corpus"), "{error}");
        assert_eq!(error.exit_code(), 2);
        assert_eq!(Manifest::read(&target).unwrap().id, first.id);
        let (second, publication) = write(2, true).unwrap();
        assert_eq!(publication, Publication::Replaced);
        assert_ne!(second.id, first.id);
        assert_eq!(Corpus::open(&target).unwrap().id(), second.id);
        assert_eq!(names(above.path()), ["corpus"]);
    }

    #[test]
    fn other_peoples_files_are_never_replaced() {
        let above = tempfile::tempdir().unwrap();
        let target = above.path().join("thesis");
        fs::create_dir(&target).unwrap();
        check_target(&target).unwrap();
        fs::write(target.join("chapter.tex"), "precious").unwrap();
        let error = check_target(&target).unwrap_err();
        assert!(error.to_string().contains("holds `chapter.tex`"), "{error}");
        assert!(check_target(&target.join("chapter.tex")).is_err());
        let (_above, inside) = corpus(&[&[0, 1]], 10);
        fs::write(inside.join("notes.txt"), "mine").unwrap();
        assert!(check_target(&inside).is_err());
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_a_clean_error() {
        let above = tempfile::tempdir().unwrap();
        let file = above.path().join("file");
        fs::write(&file, "").unwrap();
        let vocabulary =
            Vocabulary { size: 9, separator: None, tokenizer: None, token_bytes: None };
        let error = CorpusWriter::create(&file.join("corpus"), false, vocabulary).err().unwrap();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().starts_with("failed to create"), "{error}");
    }
}
