//! Corpora: what models are trained and evaluated on.
//!
//! A [`Corpus`] is a directory of token shards, document offsets and a manifest, identified by its
//! content. [`Sampler`] says which tokens every training sequence holds, as a pure function.
//! [`Language`] is the built-in text with exactly known entropy.

mod corpus;
mod decimal;
pub mod hash;
pub mod input;
mod language;
mod manifest;
mod mixture;
mod permutation;
mod prepare;
mod sampler;
mod shard;
mod steps;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

pub use corpus::{Corpus, SplitReader};
pub use input::{InvalidUtf8, Observer};
pub use language::{LANGUAGE_SIZES, Language, LanguageSize};
pub use manifest::{
    CORPUS_FORMAT, Duplicates, InputFacts, MANIFEST_FILE, Manifest, SplitFacts, SplitPolicy,
    Splits, SyntheticFacts, TOKEN_BYTES_FILE, TOKENIZER_FILE, TokenizerFacts, TrainedFacts,
    documents_file, tokens_file,
};
pub use mixture::{Assignment, Mixture};
pub use permutation::Permutation;
pub use prepare::{PrepareOptions, Prepared, SequenceSplit, prepare, prepare_synthetic};
pub use sampler::{Sampler, SamplerPlan};
pub use shard::{FileFacts, TokenWidth};
pub use steps::total_steps;
pub use writer::{CorpusWriter, Provenance, Publication, Vocabulary, check_target};
