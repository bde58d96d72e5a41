//! Corpora: what models are trained and evaluated on.
//!
//! A [`Corpus`] is a directory of token shards, document offsets and a manifest, identified by its
//! content. [`Sampler`] says which tokens every training sequence holds, as a pure function.
//! [`Language`] is the built-in text with exactly known entropy.

mod corpus;
pub mod hash;
pub mod input;
mod language;
mod order;
#[cfg(feature = "parquet")]
pub mod pages;
mod prepare;

#[cfg(test)]
pub(crate) use corpus::testing;
pub use corpus::{
    CORPUS_FORMAT, Corpus, CorpusWriter, Duplicates, InputFacts, LostFacts, MANIFEST_FILE,
    Manifest, PartFiles, PartReader, PartWriter, Provenance, Publication, SideFacts,
    SideProvenance, SplitFacts, SplitPolicy, Splits, SyntheticFacts, TOKEN_BYTES_FILE,
    TOKENIZER_FILE, TokenWidth, TokenizerFacts, TrainedFacts, Vocabulary, check_target,
};
pub use input::{FileKind, InvalidUtf8, Observer, TokenInteger};
pub use language::{LANGUAGE_SIZES, Language, LanguageSize};
pub use order::{Assignment, Mixture, Permutation, Sampler, SamplerPlan, total_steps};
pub use prepare::{
    PrepareOptions, Prepared, SequenceSplit, prepare, prepare_language, prepare_synthetic,
};
