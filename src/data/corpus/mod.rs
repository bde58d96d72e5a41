//! A corpus on disk: its files, its manifest, how it is written and how it is read.

mod manifest;
mod part;
mod place;
mod reader;
mod shard;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

pub use crate::disk::MANIFEST_FILE;
pub use manifest::{
    CORPUS_FORMAT, Duplicates, InputFacts, LostFacts, Manifest, PartFiles, SideFacts, SplitFacts,
    SplitPolicy, Splits, SyntheticFacts, TOKEN_BYTES_FILE, TOKENIZER_FILE, TokenizerFacts,
    TrainedFacts,
};
pub use part::PartWriter;
pub use place::{Publication, check_target};
pub use reader::{Corpus, PartReader};
pub use shard::TokenWidth;
pub use writer::{CorpusWriter, Provenance, SideProvenance, Vocabulary};
