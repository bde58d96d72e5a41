//! The manifest of a corpus: what its files hold, how they were made, and the corpus' identity.
//!
//! `docs/corpus-format.md` documents the JSON for readers in other languages.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::shard::TokenWidth;
use crate::disk::{Files, MANIFEST_FILE, open_regular};
use crate::spec::{Allowed, CorpusId, SideId, SideName, Split};
use crate::{Error, Result};

/// The format version that this program writes. Raise it when an older program would misread a
/// new corpus; adding a fact that may be ignored does not count.
pub const CORPUS_FORMAT: u32 = 1;

/// Far above any honest manifest, so that a hostile one cannot exhaust memory.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// Everything that is known of a corpus besides its tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format version.
    pub format: u32,
    /// Content id: covers tokens, document offsets, tokenizer, vocabulary and separator.
    pub id: CorpusId,
    /// V, the number of tokens.
    pub vocabulary: u32,
    /// The token that starts every document; none if the tokens came without one.
    pub separator: Option<u32>,
    /// Integer type of the token files.
    pub width: TokenWidth,
    /// What the three splits hold.
    pub splits: Splits<SplitFacts>,
    /// The side sets (mission D7), which do not enter the id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub side: BTreeMap<SideName, SideFacts>,
    /// The built-in language, if the corpus is in it.
    pub synthetic: Option<SyntheticFacts>,
    /// Where the tokenizer came from; none for the built-in language and for bare tokens.
    pub tokenizer: Option<TokenizerFacts>,
    /// How the splits were cut.
    pub split_policy: SplitPolicy,
    /// Text shared by the training and the held-out splits; none where it was not looked for.
    pub duplicates: Option<Duplicates>,
    /// What was read.
    pub input: InputFacts,
    /// What was allowed, and was needed.
    #[serde(default, skip_serializing_if = "Allowed::is_empty")]
    pub allowed: Allowed,
    /// Length and hash of every file.
    pub files: Files,
    /// The program that wrote the corpus.
    pub written_by: String,
}

/// One value per split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splits<T> {
    /// The training split's.
    pub train: T,
    /// The validation split's.
    pub val: T,
    /// The test split's.
    pub test: T,
}

impl<T> Splits<T> {
    /// One value per split, computed from the split.
    pub fn from_fn(mut value: impl FnMut(Split) -> T) -> Self {
        Self { train: value(Split::Train), val: value(Split::Val), test: value(Split::Test) }
    }

    /// The value of one split.
    #[must_use]
    pub fn get(&self, split: Split) -> &T {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }

    /// The value of one split, to change it.
    pub fn get_mut(&mut self, split: Split) -> &mut T {
        match split {
            Split::Train => &mut self.train,
            Split::Val => &mut self.val,
            Split::Test => &mut self.test,
        }
    }
}

/// The size of one split, and its exact floor where that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SplitFacts {
    /// Documents, or sections of documents.
    pub documents: u64,
    /// Tokens, separators included.
    pub tokens: u64,
    /// Bytes of text; 0 if the tokens came without text.
    pub bytes: u64,
    /// The entropy floor in nats per predicted token (documents' first tokens are given).
    pub floor_nats: Option<f64>,
}

/// The built-in language of a corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyntheticFacts {
    /// The named size.
    pub name: String,
    /// Tokens of every document.
    pub document_tokens: u32,
}

/// The tokenizer of a corpus of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerFacts {
    /// Text of the separator, such as `<|endoftext|>`.
    pub separator: String,
    /// Whether the byte lengths of tokens are exact (byte-level tokenizers) or estimates.
    pub token_bytes_exact: bool,
    /// How it was trained, if it was trained here.
    pub trained: Option<TrainedFacts>,
    /// What it loses of the text, by part of the corpus; parts that lose nothing are absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<String, LostFacts>,
}

/// Text that no token tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostFacts {
    /// Bytes of text.
    pub text_bytes: u64,
    /// Bytes that tokens stand for which mean "unknown".
    pub unknown_bytes: u64,
    /// Bytes that were dropped, or changed into others.
    pub dropped_bytes: u64,
}

/// How a tokenizer was trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainedFacts {
    /// Bytes of the sample of the training split.
    pub sample_bytes: u64,
    /// Seed of the sample.
    pub seed: u64,
}

/// How documents came into splits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SplitPolicy {
    /// Generated apart from each other (the built-in language).
    Generated,
    /// Documents went by a keyed hash of their content.
    Documents {
        /// Share of the input aimed at for validation; 0 if it came from files.
        val_share: f64,
        /// Share of the input aimed at for testing; 0 if it came from files.
        test_share: f64,
    },
    /// There were few documents: long ones were cut into sections at paragraph ends, and held-out
    /// sections are contiguous, with one section left out at each border.
    Sections {
        /// As for documents.
        val_share: f64,
        /// As for documents.
        test_share: f64,
        /// Bytes (or, for inputs of tokens, tokens) left out at the borders.
        gap_bytes: u64,
    },
    /// Sequences in a fixed shuffled order: the last ones are held out (mission D2).
    Sequences {
        /// T, tokens per sequence.
        sequence_tokens: u64,
        /// Sequences of each held-out split.
        held_out_sequences: u64,
    },
}

/// Held-out text that also occurs in the training split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Held-out documents compared.
    pub held_out_documents: u64,
    /// Held-out documents whose whole text is also a training document.
    pub exact_documents: u64,
    /// Further held-out documents of which at least half of the shingles occur in training text.
    pub near_documents: u64,
    /// Share of all held-out shingles that occur in training text.
    pub shared_shingles: f64,
}

/// What was read, for people; not part of the identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFacts {
    /// Names of the files, without the directories above the given paths; at most 1,000.
    pub files: Vec<String>,
    /// How many files there were.
    pub file_count: u64,
    /// Documents without text, which were left out.
    pub empty_documents: u64,
    /// Those of them whose text is null, or that lack its field.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub null_texts: u64,
    /// Characters put in place of invalid UTF-8, and of escapes of half surrogate pairs.
    pub replaced_characters: u64,
    /// Copies of documents that were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copies_left_out: u64,
    /// Copies of training documents that were kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copies_kept: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Manifest {
    /// The content id that these facts imply.
    #[must_use]
    pub fn content_id(vocabulary: u32, separator: Option<u32>, files: &Files) -> CorpusId {
        let parts = Split::ALL.map(|split| (split.name(), PartFiles::of_split(split)));
        let text = content_text("corpus", (vocabulary, separator), files, &parts);
        CorpusId::of(text.as_bytes())
    }

    /// Reads the manifest of a corpus directory and checks that it is consistent in itself.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(MANIFEST_FILE);
        let mut text = String::new();
        let file = open_regular(&path).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => Error::data(format!(
                "`{}` is not a corpus: it has no manifest",
                directory.display()
            ))
            .hint("`scarce prepare INPUT --out CORPUS` makes one"),
            _ => Error::io("open", &path, &cause),
        })?;
        file.take(MANIFEST_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|cause| Error::io("read", &path, &cause))?;
        Self::parse(&text).map_err(|error| error.within(path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let invalid = |cause: serde_json::Error| Error::data(format!("not a manifest: {cause}"));
        let version: Version = serde_json::from_str(text).map_err(invalid)?;
        if version.format > CORPUS_FORMAT {
            return Err(Error::data(format!(
                "corpus format {} is newer than this program, which knows {CORPUS_FORMAT}",
                version.format
            ))
            .hint("use the version of `scarce` that wrote it"));
        }
        let manifest: Self = serde_json::from_str(text).map_err(invalid)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Every number that is later used as a length is tied to the length of a file.
    fn validate(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::data(format!("inconsistent manifest: {what}")));
        if self.vocabulary == 0 || self.separator.is_some_and(|token| token >= self.vocabulary) {
            return wrong(format!(
                "vocabulary {}, separator {:?}",
                self.vocabulary, self.separator
            ));
        }
        if self.width != TokenWidth::for_vocabulary(self.vocabulary) {
            return wrong(format!("width {:?} for vocabulary {}", self.width, self.vocabulary));
        }
        let splits = Split::ALL.into_iter().map(|split| {
            let facts = self.splits.get(split);
            (split.name(), PartFiles::of_split(split), facts.documents, facts.tokens)
        });
        let sides = self.side.iter().map(|(name, facts)| {
            (name.as_str(), PartFiles::of_side(name), facts.documents, facts.tokens)
        });
        for (name, files, documents, tokens) in splits.chain(sides) {
            if documents == 0 || tokens == 0 {
                return wrong(format!("`{name}` is empty"));
            }
            let tokens_bytes = tokens.checked_mul(self.width.bytes());
            let documents_bytes = documents.checked_add(1).and_then(|n| n.checked_mul(8));
            for (file, bytes) in [(files.tokens, tokens_bytes), (files.documents, documents_bytes)]
            {
                let listed = self.files.get(&file).map(|file| file.bytes);
                if listed.is_none() || listed != bytes {
                    return wrong(format!("`{file}` has {listed:?} bytes instead of {bytes:?}"));
                }
            }
        }
        if let Some(file) = self.files.get(TOKEN_BYTES_FILE)
            && file.bytes != u64::from(self.vocabulary) * 2
        {
            return wrong(format!("`{TOKEN_BYTES_FILE}` has {} bytes", file.bytes));
        }
        if Self::content_id(self.vocabulary, self.separator, &self.files) != self.id {
            return wrong("the id is not that of the listed files".to_owned());
        }
        for (name, facts) in &self.side {
            let id = SideFacts::content_id(name, self.vocabulary, self.separator, &self.files);
            if facts.id != id {
                return wrong(format!("the id of `{name}` is not that of its files"));
            }
        }
        Ok(())
    }
}

/// What a content id is the hash of: the meaning of the tokens, and the hashes of the parts' files.
pub(super) fn content_text(
    what: &str,
    (vocabulary, separator): (u32, Option<u32>),
    files: &Files,
    parts: &[(&str, PartFiles)],
) -> String {
    let hash = |name: &str| files.get(name).map_or("none", |facts| facts.blake3.as_str());
    let separator = separator.map_or("none".to_owned(), |token| token.to_string());
    let mut text = format!(
        "scarce {what} 1\nvocabulary {vocabulary}\nseparator {separator}\ntokenizer {}\n",
        hash(TOKENIZER_FILE)
    );
    for (name, PartFiles { tokens, documents }) in parts {
        text += &format!("{name} {} {}\n", hash(tokens), hash(documents));
    }
    text
}

/// File name of the tokenizer, in Hugging Face's format.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// File name of the tokens' byte lengths: one little-endian u16 per token.
pub const TOKEN_BYTES_FILE: &str = "token_bytes.u16";

/// Names of the two files of a split or a side set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFiles {
    /// The tokens.
    pub tokens: String,
    /// The document offsets: one more little-endian u64 than there are documents.
    pub documents: String,
}

/// What the file names of side sets begin with; no split does.
const SIDE_PREFIX: &str = "side-";

impl PartFiles {
    fn of_stem(stem: &str) -> Self {
        Self { tokens: format!("{stem}.tokens"), documents: format!("{stem}.documents") }
    }

    /// The files of a split.
    #[must_use]
    pub fn of_split(split: Split) -> Self {
        Self::of_stem(split.name())
    }

    /// The files of a side set.
    #[must_use]
    pub fn of_side(name: &SideName) -> Self {
        Self::of_stem(&format!("{SIDE_PREFIX}{name}"))
    }

    /// The name of the side set that a file of this name belongs to.
    #[must_use]
    pub fn side_of(file: &str) -> Option<SideName> {
        let (stem, kind) = file.strip_prefix(SIDE_PREFIX)?.rsplit_once('.')?;
        matches!(kind, "tokens" | "documents").then(|| stem.parse().ok())?
    }

    /// Both names.
    #[must_use]
    pub fn names(self) -> [String; 2] {
        [self.tokens, self.documents]
    }
}

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
