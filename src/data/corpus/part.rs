//! Writing one part of a corpus: tokens, and where documents begin.

use std::path::Path;

use super::manifest::{PartFiles, SplitFacts};
use super::shard::TokenWidth;
use crate::Result;
use crate::disk::{FileFacts, HashedFile};

/// The two growing files of a split or of a side set.
pub struct PartWriter {
    names: PartFiles,
    tokens_file: HashedFile,
    documents_file: HashedFile,
    vocabulary: u32,
    width: TokenWidth,
    facts: SplitFacts,
    /// Tokens as bytes.
    encoded: Vec<u8>,
}

impl PartWriter {
    pub(super) fn create(directory: &Path, names: PartFiles, vocabulary: u32) -> Result<Self> {
        Ok(Self {
            tokens_file: HashedFile::create(directory.join(&names.tokens))?,
            documents_file: HashedFile::create(directory.join(&names.documents))?,
            names,
            vocabulary,
            width: TokenWidth::for_vocabulary(vocabulary),
            facts: SplitFacts::default(),
            encoded: Vec::new(),
        })
    }

    /// Adds tokens, which stand for `bytes` bytes of text, as a new document or to the last one.
    ///
    /// # Panics
    /// If a document would be without tokens, if a token is outside the vocabulary (readers of
    /// inputs check both), or if there is no document to go on with.
    pub fn push(&mut self, starts_document: bool, tokens: &[u32], bytes: u64) -> Result<()> {
        if starts_document {
            assert!(!tokens.is_empty(), "a document needs a token");
            self.documents_file.write(&self.facts.tokens.to_le_bytes())?;
            self.facts.documents += 1;
        }
        let inside = tokens.iter().all(|&token| token < self.vocabulary);
        assert!(inside, "a token is outside the vocabulary of {}", self.vocabulary);
        assert!(self.facts.documents > 0, "no document was started");
        self.facts.tokens += tokens.len() as u64;
        self.facts.bytes += bytes;
        self.encoded.clear();
        self.width.encode(tokens, &mut self.encoded);
        self.tokens_file.write(&self.encoded)
    }

    /// What was written so far.
    #[must_use]
    pub fn facts(&self) -> SplitFacts {
        self.facts
    }

    /// Completes both files; returns their names with their facts.
    pub(super) fn finish(&mut self) -> Result<[(String, FileFacts); 2]> {
        self.documents_file.write(&self.facts.tokens.to_le_bytes())?;
        let (tokens, documents) = (self.tokens_file.finish()?, self.documents_file.finish()?);
        Ok([(self.names.tokens.clone(), tokens), (self.names.documents.clone(), documents)])
    }
}
