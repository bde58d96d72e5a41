//! Corpora: what models are trained and evaluated on.
//!
//! A [`Corpus`] is a directory of token shards, document offsets and a manifest, identified by its
//! content. [`Language`] is the built-in text with exactly known entropy, and [`Permutation`] the
//! order of training as a pure function.

mod corpus;
pub mod hash;
mod language;
mod manifest;
mod permutation;
mod shard;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

pub use corpus::{Corpus, SplitReader};
pub use language::{LANGUAGE_SIZES, Language, LanguageSize};
pub use manifest::{
    CORPUS_FORMAT, Duplicates, InputFacts, MANIFEST_FILE, Manifest, SplitFacts, SplitPolicy,
    Splits, SyntheticFacts, TOKEN_BYTES_FILE, TOKENIZER_FILE, TokenizerFacts, TrainedFacts,
    documents_file, tokens_file,
};
pub use permutation::Permutation;
pub use shard::{FileFacts, TokenWidth};
pub use writer::{CorpusWriter, Provenance, Publication, Vocabulary, check_target};
