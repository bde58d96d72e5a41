//! Tokenizers: a thin layer over the `tokenizers` crate, in Hugging Face's `tokenizer.json` format.
//!
//! Special tokens are never recognized *in* text: a document that contains `<|endoftext|>` is
//! encoded as those characters, so that no text can forge a document's end.

mod alphabet;
mod cache;
mod encode;
mod guard;
mod lost;
mod train;
mod words;

use std::io::Read;
use std::path::Path;

use tokenizers::{DecoderWrapper, Model, ModelWrapper, PreTokenizerWrapper};

use crate::error::{quoted, quoted_path};
use crate::{Error, Result};
use guard::guard;

pub use encode::{Encoded, Encoder};
pub use guard::{catch_panics, panics_are_caught};
pub use lost::LostText;
pub use train::{SEPARATOR, VOCABULARY_MIN, train, train_at_most};
pub use words::cut;

/// Far above any real tokenizer, so that a hostile file cannot exhaust memory.
const JSON_BYTES_MAX: u64 = 256 << 20;

/// Token ids must lie below this; the largest vocabularies in use have about 2^18.
const VOCABULARY_MAX: u32 = 1 << 22;

/// What separators are commonly called, in order of preference.
const SEPARATORS: [&str; 6] =
    [SEPARATOR, "<|end_of_text|>", "<|begin_of_text|>", "</s>", "<eos>", "[EOS]"];

/// A tokenizer and what its tokens mean.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    json: Vec<u8>,
    vocabulary: u32,
    /// Whether words can be cut by [`words::words`] and encoded one by one.
    by_words: bool,
    /// Whether tokens spell bytes in the GPT-2 alphabet.
    byte_level: bool,
    /// The token that stands for what has none.
    unknown: Option<u32>,
}

/// How many bytes of text each token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBytes {
    /// By token; 0 for special tokens.
    pub lengths: Vec<u16>,
    /// Whether the lengths of a text's tokens add up to its length.
    pub exact: bool,
}

impl TokenBytes {
    /// Of one token.
    #[must_use]
    pub fn of(&self, token: u32) -> u64 {
        self.lengths.get(token as usize).copied().map_or(0, u64::from)
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |cause| Error::io("read", path, &cause);
        let mut json = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(JSON_BYTES_MAX + 1).read_to_end(&mut json).map_err(failed)?;
        if json.len() as u64 > JSON_BYTES_MAX {
            return Err(Error::data(format!("`{}` is too large", quoted_path(path))));
        }
        Self::from_json(&json).map_err(|error| error.within(quoted_path(path)))
    }

    /// Takes the text of a `tokenizer.json`, which may come from anywhere.
    ///
    /// # Errors
    /// If it is no tokenizer, or one whose encoding would lose text or depend on chance.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        guard(|| Self::parse(json))
    }

    fn parse(json: &[u8]) -> Result<Self> {
        let invalid = |cause: &dyn std::fmt::Display| {
            Error::data(format!("not a usable tokenizer: {cause}"))
                .hint("a `tokenizer.json` in Hugging Face's format is needed")
        };
        // The crate answers JSON that ends early with a panic; this says where it ends.
        serde_json::from_slice::<serde::de::IgnoredAny>(json).map_err(|cause| invalid(&cause))?;
        if json.trim_ascii_start().starts_with(b"\"") {
            return Err(invalid(&"it is one string, as Keras writes it, and not an object"));
        }
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(|cause| invalid(&cause))?;
        inner.with_truncation(None).map_err(|cause| invalid(&cause))?;
        inner.with_padding(None);
        inner.set_encode_special_tokens(true);
        let largest = inner.get_vocab(true).into_values().max();
        let vocabulary = match largest {
            Some(id) if id < VOCABULARY_MAX => id + 1,
            Some(id) => return Err(invalid(&format_args!("token id {id} is too large"))),
            None => return Err(invalid(&"it has no tokens")),
        };
        let drops = |rate: f32| rate > 0.0;
        if matches!(inner.get_model(), ModelWrapper::BPE(bpe) if bpe.dropout.is_some_and(drops)) {
            return Err(Error::data("not a usable tokenizer: it drops merges at random")
                .hint("set `model.dropout` to null in a copy of the file"));
        }
        let added = inner.get_added_tokens_decoder();
        let mut plain_added = added.iter().filter(|(_, token)| !token.special);
        // Stripping tokens may overlap, which the crate answers with a panic.
        let strips =
            |token: &tokenizers::AddedToken| token.lstrip || token.rstrip || token.single_word;
        if let Some((id, token)) = plain_added.clone().find(|(_, token)| strips(token)) {
            return Err(strips_text(*id, token));
        }
        let gpt2_pattern = matches!(
            inner.get_pre_tokenizer(),
            Some(PreTokenizerWrapper::ByteLevel(level))
                if level.use_regex && !level.add_prefix_space
        );
        let by_words =
            gpt2_pattern && inner.get_normalizer().is_none() && plain_added.next().is_none();
        let byte_level = spells_bytes(&inner);
        let unknown = unknown_token(&inner, json);
        // It would trim the places of tokens, and adds tokens that nobody asks for.
        inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
        Ok(Self { inner, json: json.to_vec(), vocabulary, by_words, byte_level, unknown })
    }

    /// Whether texts have to be asked what was lost of them and where tokens lie in them. Where
    /// tokens spell bytes and nothing is normalized, their lengths say it.
    fn is_measured(&self) -> bool {
        !self.byte_level || self.inner.get_normalizer().is_some()
    }

    /// The text of its `tokenizer.json`, unchanged.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// V: one more than the largest token id.
    #[must_use]
    pub fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    /// The id of a token by its text.
    #[must_use]
    pub fn token(&self, text: &str) -> Option<u32> {
        self.inner.token_to_id(text)
    }

    /// The separator of documents and its text: `wanted` if given, else the first common one.
    pub fn separator(&self, wanted: Option<&str>) -> Result<(u32, String)> {
        let find = |text: &str| self.token(text).map(|id| (id, text.to_owned()));
        match wanted {
            Some(text) => find(text).ok_or_else(|| {
                let text = quoted(text);
                Error::usage(format!("the tokenizer has no token `{text}` to separate documents"))
            }),
            None => SEPARATORS.into_iter().find_map(find).ok_or_else(|| {
                Error::usage("the tokenizer has no token to separate documents that is known here")
                    .hint("name one of its tokens with `--separator TOKEN`")
            }),
        }
    }

    /// Encodes a text by the plain crate, without separators.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        guard(|| {
            let encoding = self.inner.encode_fast(text, false).map_err(|cause| {
                Error::data(format!("the tokenizer cannot encode this text: {cause}"))
            })?;
            Ok(encoding.get_ids().to_vec())
        })
    }

    /// The text of tokens; special tokens are left out, invalid UTF-8 is replaced.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        guard(|| {
            self.inner
                .decode(tokens, true)
                .map_err(|cause| Error::data(format!("the tokenizer cannot decode: {cause}")))
        })
    }

    /// Bytes of text per token.
    #[must_use]
    pub fn token_bytes(&self) -> TokenBytes {
        let added = self.inner.get_added_tokens_decoder();
        let length = |id: u32| -> usize {
            match added.get(&id) {
                Some(token) if token.special => 0,
                Some(token) => token.content.len(),
                None if self.unknown == Some(id) => 0,
                None => {
                    let text = self.inner.get_model().id_to_token(id).unwrap_or_default();
                    if self.byte_level { text.chars().count() } else { estimated_bytes(&text) }
                }
            }
        };
        let clamped = |id| u16::try_from(length(id)).unwrap_or(u16::MAX);
        let prefix = matches!(
            self.inner.get_pre_tokenizer(),
            Some(PreTokenizerWrapper::ByteLevel(level)) if level.add_prefix_space
        );
        TokenBytes {
            lengths: (0..self.vocabulary).map(clamped).collect(),
            exact: self.byte_level && !prefix && self.inner.get_normalizer().is_none(),
        }
    }
}

/// Whether tokens spell bytes in GPT-2's alphabet. The pre-tokenizer (or, in newer files, the
/// normalizer) spells them so; the decoder is not always given, and tells the same where it is.
fn spells_bytes(inner: &tokenizers::Tokenizer) -> bool {
    fn of_words(pre_tokenizer: &PreTokenizerWrapper) -> bool {
        match pre_tokenizer {
            PreTokenizerWrapper::ByteLevel(_) => true,
            PreTokenizerWrapper::Sequence(all) => all.as_ref().iter().any(of_words),
            _ => false,
        }
    }
    matches!(inner.get_decoder(), Some(DecoderWrapper::ByteLevel(_)))
        || inner.get_pre_tokenizer().is_some_and(of_words)
        || inner.get_normalizer().is_some_and(lost::spells_bytes)
}

/// The token for what has no other.
fn unknown_token(inner: &tokenizers::Tokenizer, json: &[u8]) -> Option<u32> {
    /// The part of the file that the crate keeps to itself.
    #[derive(serde::Deserialize)]
    struct Outline {
        model: Numbered,
    }
    #[derive(serde::Deserialize)]
    struct Numbered {
        unk_id: Option<u32>,
    }
    match inner.get_model() {
        ModelWrapper::BPE(model) => {
            model.unk_token.as_ref().and_then(|token| model.token_to_id(token))
        }
        ModelWrapper::WordPiece(model) => model.token_to_id(&model.unk_token),
        ModelWrapper::WordLevel(model) => model.token_to_id(&model.unk_token),
        ModelWrapper::Unigram(_) => {
            serde_json::from_slice::<Outline>(json).ok().and_then(|file| file.model.unk_id)
        }
    }
}

/// An added token that takes white space away.
fn strips_text(id: u32, token: &tokenizers::AddedToken) -> Error {
    let how = match token {
        tokenizers::AddedToken { lstrip: true, .. } => "takes the white space before it (`lstrip`)",
        tokenizers::AddedToken { rstrip: true, .. } => "takes the white space after it (`rstrip`)",
        _ => "is found between words only (`single_word`)",
    };
    let name = quoted(&token.content);
    Error::data(format!("not a usable tokenizer: its added token `{name}` ({id}) {how}")).hint(
        "in a copy of the file, set that to false in `added_tokens`, or `special` to true: then no \
         text becomes this token",
    )
}

/// Bytes of a token in SentencePiece's spelling: `▁` is a space and `<0x0A>` a byte.
fn estimated_bytes(token: &str) -> usize {
    let byte = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    match byte {
        Some(digits) if digits.len() == 2 => 1,
        _ => token.chars().map(|c| if c == '▁' { 1 } else { c.len_utf8() }).sum(),
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer of {} tokens", self.vocabulary)
    }
}

#[cfg(test)]
mod tests;
