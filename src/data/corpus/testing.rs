//! Small corpora for tests.

use std::path::{Path, PathBuf};

use super::manifest::{InputFacts, SplitPolicy, Splits};
use super::writer::{CorpusWriter, Provenance, Vocabulary};
use crate::spec::{Allowed, Split};

/// Facts of a corpus that nobody made from anything.
pub(crate) fn provenance() -> Provenance {
    Provenance {
        synthetic: None,
        tokenizer: None,
        split_policy: SplitPolicy::Generated,
        duplicates: None,
        input: InputFacts::default(),
        allowed: Allowed::NONE,
        floor_nats: Splits::default(),
        side: std::collections::BTreeMap::new(),
    }
}

/// A writer of bare tokens, separated by token 0.
pub(crate) fn writer(target: &Path, vocabulary: u32) -> CorpusWriter {
    let vocabulary = Vocabulary { size: vocabulary, separator: Some(0), tokenizer: None };
    CorpusWriter::create(target, false, vocabulary).unwrap()
}

/// A corpus with these training documents and two tokens in each held-out document. It lives as
/// long as the first part of the result.
pub(crate) fn corpus(train: &[&[u32]], vocabulary: u32) -> (tempfile::TempDir, PathBuf) {
    let above = tempfile::tempdir().unwrap();
    let directory = above.path().join("corpus");
    let mut writer = writer(&directory, vocabulary);
    for document in train {
        writer.start_document(Split::Train, document, document.len() as u64 - 1).unwrap();
    }
    for split in [Split::Val, Split::Test] {
        writer.start_document(split, &[0, 1], 1).unwrap();
        writer.start_document(split, &[0, 2], 1).unwrap();
    }
    writer.finish(provenance()).unwrap();
    (above, directory)
}
