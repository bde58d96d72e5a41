//! Facts of a side set, and its identity.

use serde::{Deserialize, Serialize};

use super::manifest::{Duplicates, InputFacts, PartFiles, content_text};
use crate::disk::Files;
use crate::spec::{SideId, SideName};

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
        files: &Files,
    ) -> SideId {
        let parts = [("side", PartFiles::of_side(name))];
        let text = content_text("side set", (vocabulary, separator), files, &parts);
        SideId::of(text.as_bytes())
    }
}
