//! Facts of a side set, and its identity.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::{Duplicates, InputFacts, PartFiles, TOKENIZER_FILE};
use crate::spec::{SideId, SideName};
use crate::store::FileFacts;

/// What the manifest says of a side set. Its content has an id of its own and never enters the id
/// of the corpus, so that a side set can join a corpus without renaming any run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SideFacts {
    /// Content id: covers tokens, document offsets, tokenizer, vocabulary and separator.
    pub id: SideId,
    /// Documents.
    pub documents: u64,
    /// Tokens, separators included.
    pub tokens: u64,
    /// Bytes of text; 0 if the tokens came without text.
    pub bytes: u64,
    /// Text shared with the training split; none where it was not looked for.
    pub duplicates: Option<Duplicates>,
    /// What was read.
    pub input: InputFacts,
}

impl SideFacts {
    /// The content id that these files imply for the side set called `name`; the name itself does
    /// not enter.
    #[must_use]
    pub fn content_id(
        name: &SideName,
        vocabulary: u32,
        separator: Option<u32>,
        files: &BTreeMap<String, FileFacts>,
    ) -> SideId {
        let hash = |name: &str| files.get(name).map_or("none", |facts| facts.blake3.as_str());
        let separator = separator.map_or("none".to_owned(), |token| token.to_string());
        let PartFiles { tokens, documents } = PartFiles::of_side(name);
        let text = format!(
            "scarce side set 1\nvocabulary {vocabulary}\nseparator {separator}\ntokenizer {}\n\
             side {} {}\n",
            hash(TOKENIZER_FILE),
            hash(&tokens),
            hash(&documents)
        );
        SideId::of(text.as_bytes())
    }
}
