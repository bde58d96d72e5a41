//! Writing a corpus: everything goes into a temporary directory beside the target, is flushed to
//! the disk, and becomes visible by one rename. What is not finished is never a corpus.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use super::manifest::{
    CORPUS_FORMAT, Duplicates, InputFacts, Manifest, PartFiles, SideFacts, SplitFacts, SplitPolicy,
    Splits, SyntheticFacts, TOKEN_BYTES_FILE, TOKENIZER_FILE, TokenizerFacts,
};
use super::part::PartWriter;
use super::place::{Publication, check_target, publish};
use super::shard::TokenWidth;
use crate::disk::FreshFolder;
use crate::spec::{Allowed, SideName, Split};
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
    /// See [`Manifest`].
    pub allowed: Allowed,
    /// Exact entropy floors, where known.
    pub floor_nats: Splits<Option<f64>>,
    /// What is known of each side set that was written.
    pub side: BTreeMap<SideName, SideProvenance>,
}

/// What is known of a side set when all its tokens are written.
#[derive(Clone, Debug, Default)]
pub struct SideProvenance {
    /// See [`SideFacts`].
    pub duplicates: Option<Duplicates>,
    /// See [`SideFacts`].
    pub input: InputFacts,
}

/// A corpus in the making. Dropped before [`CorpusWriter::finish`], it leaves nothing behind.
pub struct CorpusWriter {
    target: PathBuf,
    /// In which the corpus grows.
    folder: FreshFolder,
    overwrite: bool,
    vocabulary: u32,
    separator: Option<u32>,
    splits: Splits<PartWriter>,
    sides: BTreeMap<SideName, PartWriter>,
}

impl CorpusWriter {
    /// Starts a corpus that will lie at `target`.
    ///
    /// # Errors
    /// If `target` holds something that is not a corpus (which is never replaced), or if the
    /// directory above it cannot be written.
    pub fn create(target: &Path, overwrite: bool, vocabulary: Vocabulary<'_>) -> Result<Self> {
        check_target(target)?;
        let mut folder = FreshFolder::beside(target)?;
        if let Some(json) = vocabulary.tokenizer {
            folder.add(TOKENIZER_FILE, json)?;
        }
        let split_writer =
            |split| PartWriter::create(folder.path(), PartFiles::of_split(split), vocabulary.size);
        let splits = Splits {
            train: split_writer(Split::Train)?,
            val: split_writer(Split::Val)?,
            test: split_writer(Split::Test)?,
        };
        Ok(Self {
            target: target.to_owned(),
            folder,
            overwrite,
            vocabulary: vocabulary.size,
            separator: vocabulary.separator,
            splits,
            sides: BTreeMap::new(),
        })
    }

    /// Writes how many bytes of text each token stands for.
    ///
    /// # Panics
    /// If there is not one number per token.
    pub fn token_bytes(&mut self, lengths: &[u16]) -> Result<()> {
        assert_eq!(lengths.len(), self.vocabulary as usize, "one length per token");
        self.folder.add(TOKEN_BYTES_FILE, bytemuck::cast_slice(lengths))
    }

    /// The directory in which the corpus grows; what else is put there is moved along.
    pub(in crate::data) fn temporary(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a new document of `split` with these tokens, which stand for `bytes` bytes of text.
    ///
    /// # Panics
    /// As [`PartWriter::push`].
    pub fn start_document(&mut self, split: Split, tokens: &[u32], bytes: u64) -> Result<()> {
        self.split(split).push(true, tokens, bytes)
    }

    /// The writer of a split.
    pub fn split(&mut self, split: Split) -> &mut PartWriter {
        self.splits.get_mut(split)
    }

    /// The writer of a side set, which comes into being when it is first asked for.
    pub fn side(&mut self, name: &SideName) -> Result<&mut PartWriter> {
        match self.sides.entry(name.clone()) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let files = PartFiles::of_side(name);
                Ok(entry.insert(PartWriter::create(self.folder.path(), files, self.vocabulary)?))
            }
        }
    }

    /// Completes the files, writes the manifest and moves the corpus to its place. Returns the
    /// manifest of what lies there then.
    ///
    /// # Errors
    /// If a split or a side set is empty, if the disk fails, or if another corpus is in the way.
    pub fn finish(mut self, provenance: Provenance) -> Result<(Manifest, Publication)> {
        let mut splits = Splits::<SplitFacts>::default();
        for split in Split::ALL {
            let writer = self.splits.get_mut(split);
            let facts = writer.facts();
            if facts.documents == 0 {
                return Err(Error::data(format!("the {split} split would be empty")));
            }
            self.folder.files.extend(writer.finish()?);
            let floor_nats = *provenance.floor_nats.get(split);
            *splits.get_mut(split) = SplitFacts { floor_nats, ..facts };
        }
        let side = self.finish_sides(provenance.side)?;
        let manifest = Manifest {
            format: CORPUS_FORMAT,
            id: Manifest::content_id(self.vocabulary, self.separator, &self.folder.files),
            vocabulary: self.vocabulary,
            separator: self.separator,
            width: TokenWidth::for_vocabulary(self.vocabulary),
            splits,
            side,
            synthetic: provenance.synthetic,
            tokenizer: provenance.tokenizer,
            split_policy: provenance.split_policy,
            duplicates: provenance.duplicates,
            input: provenance.input,
            allowed: provenance.allowed,
            files: self.folder.files.clone(),
            written_by: concat!("scarce ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        publish(self.folder, &self.target, self.overwrite, manifest)
    }

    fn finish_sides(
        &mut self,
        mut provenance: BTreeMap<SideName, SideProvenance>,
    ) -> Result<BTreeMap<SideName, SideFacts>> {
        let mut side = BTreeMap::new();
        for (name, writer) in &mut self.sides {
            let SplitFacts { documents, tokens, bytes, .. } = writer.facts();
            if tokens < 2 {
                return Err(Error::data(format!("nothing can be predicted in side set `{name}`"))
                    .hint("it needs at least two tokens"));
            }
            self.folder.files.extend(writer.finish()?);
            let id =
                SideFacts::content_id(name, self.vocabulary, self.separator, &self.folder.files);
            let SideProvenance { duplicates, input } = provenance.remove(name).unwrap_or_default();
            side.insert(
                name.clone(),
                SideFacts { id, documents, tokens, bytes, duplicates, input },
            );
        }
        Ok(side)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
    fn a_side_set_that_predicts_nothing_is_an_error_and_leaves_nothing() {
        let above = tempfile::tempdir().unwrap();
        let mut writer = writer(&above.path().join("corpus"), 10);
        for split in Split::ALL {
            writer.start_document(split, &[0, 1], 1).unwrap();
        }
        writer.side(&"one".parse().unwrap()).unwrap().push(true, &[1], 1).unwrap();
        let error = writer.finish(provenance()).unwrap_err();
        assert!(error.to_string().contains("predicted in side set `one`"), "{error}");
        assert_eq!(names(above.path()), [""; 0]);
    }

    #[test]
    fn the_same_corpus_is_left_alone_and_another_needs_force() {
        let above = tempfile::tempdir().unwrap();
        let target = above.path().join("corpus");
        let write = |token: u32, overwrite: bool| {
            let vocabulary = Vocabulary { size: 10, separator: Some(0), tokenizer: None };
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
        let vocabulary = Vocabulary { size: 9, separator: None, tokenizer: None };
        let error = CorpusWriter::create(&file.join("corpus"), false, vocabulary).err().unwrap();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().starts_with("failed to create"), "{error}");
    }
}
