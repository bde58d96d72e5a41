//! Training a byte-level tokenizer: byte-pair merges over the words of the GPT-2 pattern.

use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Model, Trainer};

use super::alphabet::spell;
use super::cache::WordCache;
use super::{Tokenizer, VOCABULARY_MAX, words};
use crate::{Error, Result};

/// The separator of trained tokenizers; its id is 0.
pub const SEPARATOR: &str = "<|endoftext|>";

/// Every byte and the separator.
pub const VOCABULARY_MIN: u32 = 257;

/// Longer words are unique (encoded images, long rules of dashes) and only cost time.
const WORD_BYTES_MAX: usize = 256;

/// Where long words are all that there is, they are cut into pieces of this length.
const PIECE_BYTES_MAX: usize = 16;

/// Training needs memory for every distinct word, 150 times its length. Beyond this many bytes of
/// them no further text is taken: rare words hardly change a merge.
const DISTINCT_BYTES_MAX: usize = 2 << 20;

/// Memory of the table that tells distinct words.
const TABLE_BYTES: usize = 64 << 20;

/// Trains a tokenizer of exactly `vocabulary` tokens on the texts, in an order-independent way:
/// the same texts give the same tokenizer. Texts are taken in their order, and all of them unless
/// they have more distinct words than fit in memory. Returns the tokenizer and how many bytes of
/// text it has seen.
///
/// # Errors
/// If `vocabulary` is below [`VOCABULARY_MIN`], or so large that the texts do not have that many
/// merges.
pub fn train<T: AsRef<str> + Sync>(texts: &[T], vocabulary: u32) -> Result<(Tokenizer, u64)> {
    let (model, text_bytes) = merges(texts, vocabulary)?;
    let reached = model.get_vocab_size();
    if reached < vocabulary as usize {
        return Err(Error::usage(format!(
            "a vocabulary of {vocabulary} is too large: the training text has only {reached} tokens"
        ))
        .hint(format!("`--vocab {reached}` or less")));
    }
    Ok((tokenizer(model)?, text_bytes))
}

/// As [`train`], with as many tokens as the texts have if that is less than `vocabulary`.
pub fn train_at_most<T: AsRef<str> + Sync>(
    texts: &[T],
    vocabulary: u32,
) -> Result<(Tokenizer, u64)> {
    let (model, text_bytes) = merges(texts, vocabulary)?;
    Ok((tokenizer(model)?, text_bytes))
}

/// Merges of whole words, or, where those are too few, of words cut into pieces: a text without
/// white space and punctuation has long words only, and those take no part otherwise.
fn merges<T: AsRef<str> + Sync>(texts: &[T], vocabulary: u32) -> Result<(BPE, u64)> {
    if !(VOCABULARY_MIN..=VOCABULARY_MAX).contains(&vocabulary) {
        let bound = if vocabulary < VOCABULARY_MIN { "small" } else { "large" };
        return Err(Error::usage(format!("a vocabulary of {vocabulary} is too {bound}")).hint(
            "256 bytes and a separator need 257; 4096 suits models of a few million parameters",
        ));
    }
    let whole = merges_of(texts, vocabulary, Words::Whole)?;
    let is_long = |word: &str| word.len() > WORD_BYTES_MAX;
    let has_long = || texts.iter().any(|text| words::words(text.as_ref()).any(is_long));
    if whole.0.get_vocab_size() >= vocabulary as usize || !has_long() {
        return Ok(whole);
    }
    merges_of(texts, vocabulary, Words::Pieces)
}

fn failed(cause: tokenizers::Error) -> Error {
    Error::data(format!("tokenizer training failed: {cause}"))
}

fn separators() -> Vec<AddedToken> {
    vec![AddedToken::from(SEPARATOR, true)]
}

fn merges_of<T: AsRef<str> + Sync>(
    texts: &[T],
    vocabulary: u32,
    words: Words,
) -> Result<(BPE, u64)> {
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(vocabulary as usize)
        .min_frequency(2)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(separators())
        .build();
    let mut text_bytes = 0;
    let texts = Bounded::new(texts.iter(), words, DISTINCT_BYTES_MAX, &mut text_bytes);
    trainer.feed(texts, |text: &str| Ok(spelled_words(text, words))).map_err(failed)?;
    let mut model = BPE::default();
    trainer.train(&mut model).map_err(failed)?;
    Ok((model, text_bytes))
}

fn tokenizer(model: BPE) -> Result<Tokenizer> {
    let mut inner = tokenizers::Tokenizer::new(model);
    inner
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_decoder(Some(ByteLevel::new(false, true, true)));
    inner.add_special_tokens(separators()).map_err(failed)?;
    let json = inner.to_string(true).map_err(failed)?;
    Tokenizer::from_json(json.as_bytes())
}

/// What becomes of long words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    /// They take no part.
    Whole,
    /// They are cut.
    Pieces,
}

impl Words {
    /// The words of a text that take part.
    fn of(self, text: &str) -> impl Iterator<Item = &str> {
        words::words(text).flat_map(move |word| {
            let (mut rest, limit) = match (self, word.len() > WORD_BYTES_MAX) {
                (_, false) => (word, WORD_BYTES_MAX),
                (Self::Whole, true) => ("", WORD_BYTES_MAX),
                (Self::Pieces, true) => (word, PIECE_BYTES_MAX),
            };
            std::iter::from_fn(move || {
                let (piece, after) = rest.split_at(words::cut(rest, limit));
                rest = after;
                Some(piece).filter(|piece| !piece.is_empty())
            })
        })
    }
}

/// The words of a text that take part, in the alphabet of the bytes.
fn spelled_words(text: &str, words: Words) -> Vec<String> {
    let mut spelled = String::new();
    let spell = |word| {
        spell(word, &mut spelled);
        spelled.clone()
    };
    words.of(text).map(spell).collect()
}

/// Texts up to a bound of their distinct words.
struct Bounded<'a, I> {
    texts: I,
    words: Words,
    seen: WordCache,
    /// Bytes of distinct words that may still come.
    left: usize,
    /// Bytes of all texts that were given out.
    text_bytes: &'a mut u64,
}

impl<'a, I> Bounded<'a, I> {
    fn new(texts: I, words: Words, distinct_bytes_max: usize, text_bytes: &'a mut u64) -> Self {
        let seen = WordCache::with_bound(TABLE_BYTES);
        Self { texts, words, seen, left: distinct_bytes_max, text_bytes }
    }
}

impl<T: AsRef<str>, I: Iterator<Item = T>> Iterator for Bounded<'_, I> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.left == 0 {
            return None;
        }
        let text = self.texts.next()?;
        *self.text_bytes += text.as_ref().len() as u64;
        for word in self.words.of(text.as_ref()) {
            if self.seen.get(word).is_none() {
                self.seen.insert(word, &[]);
                self.left = self.left.saturating_sub(word.len());
            }
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_until_their_distinct_words_are_many() {
        let texts = ["one two", " three two", " one one", " four", " five"];
        let take = |bound: usize| {
            let mut bytes = 0;
            let taken = Bounded::new(texts.iter(), Words::Whole, bound, &mut bytes).count();
            (taken, bytes)
        };
        // "one", " two" and " three" are distinct, " one" is another word than "one".
        assert_eq!(take(1), (1, 7));
        assert_eq!(take(7), (1, 7));
        assert_eq!(take(8), (2, 17));
        assert_eq!(take(14), (3, 25));
        assert_eq!(take(1000), (5, 35));
    }
}
