//! A corpus on disk: its files, its manifest, how it is written and how it is read.

mod manifest;
mod reader;
mod shard;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

pub use manifest::{
    CORPUS_FORMAT, Duplicates, InputFacts, MANIFEST_FILE, Manifest, SplitFacts, SplitPolicy,
    Splits, SyntheticFacts, TOKEN_BYTES_FILE, TOKENIZER_FILE, TokenizerFacts, TrainedFacts,
    documents_file, tokens_file,
};
pub use reader::{Corpus, SplitReader};
pub use shard::{FileFacts, TokenWidth};
pub use writer::{CorpusWriter, Provenance, Publication, Vocabulary, check_target};
