//! Encoding many texts on all cores, with a word cache in front of the crate.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokenizers::Model;

use super::alphabet::spell;
use super::cache::WordCache;
use super::guard::guard;
use super::lost::{self, LostText, SeenLengths};
use super::{TokenBytes, Tokenizer, words};
use crate::error::quoted;
use crate::{Error, Result};

/// Memory for remembered words, of all threads together: room for half a million words, while
/// half of that already covers a library.
const CACHE_BYTES: usize = 64 << 20;

/// What each thread gets at least.
const CACHE_BYTES_MIN: usize = 4 << 20;

/// Encodes batches of texts; remembers words from batch to batch.
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    lengths: TokenBytes,
    hands: Vec<Hand>,
}

/// What one thread remembers.
struct Hand {
    cache: WordCache,
    seen: SeenLengths,
    /// Bytes that the tokens of other texts stand for.
    told: u64,
}

/// A text as tokens, and what was lost of it.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// Its tokens, without separators.
    pub tokens: Vec<u32>,
    /// What they do not tell.
    pub lost: LostText,
}

impl<'a> Encoder<'a> {
    /// An encoder that uses `threads` threads.
    #[must_use]
    pub fn new(tokenizer: &'a Tokenizer, threads: usize) -> Self {
        let threads = threads.max(1);
        let bytes = (CACHE_BYTES / threads).max(CACHE_BYTES_MIN);
        let hand = |_| {
            let (cache, seen) = (WordCache::with_bound(bytes), SeenLengths::default());
            Hand { cache, seen, told: 0 }
        };
        let hands = (0..threads).map(hand).collect();
        Self { tokenizer, lengths: tokenizer.token_bytes(), hands }
    }

    /// The tokens of each text, without separators: the same as [`Tokenizer::encode`] gives, for
    /// any number of threads.
    pub fn encode_batch(&mut self, texts: &[impl AsRef<str> + Sync]) -> Result<Vec<Encoded>> {
        let (next, tokenizer, lengths) = (AtomicUsize::new(0), self.tokenizer, &self.lengths);
        let results: Vec<Mutex<Result<Encoded>>> =
            texts.iter().map(|_| Mutex::new(Ok(Encoded::default()))).collect();
        std::thread::scope(|scope| {
            for hand in self.hands.iter_mut().take(texts.len()) {
                let (next, results) = (&next, &results);
                scope.spawn(move || {
                    while let Some(index) = claim(next, texts.len()) {
                        let text = texts[index].as_ref();
                        let encoded = guard(|| hand.encode(tokenizer, lengths, text));
                        *results[index].lock().expect("no other thread holds it") = encoded;
                    }
                });
            }
        });
        results
            .into_iter()
            .map(|result| result.into_inner().expect("all threads have ended"))
            .collect()
    }
}

fn claim(next: &AtomicUsize, count: usize) -> Option<usize> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    (index < count).then_some(index)
}

impl Hand {
    fn encode(
        &mut self,
        tokenizer: &Tokenizer,
        lengths: &TokenBytes,
        text: &str,
    ) -> Result<Encoded> {
        if tokenizer.is_measured() {
            let encoding = tokenizer.inner.encode(text, false).map_err(|cause| {
                Error::data(format!("the tokenizer cannot encode this text: {cause}"))
            })?;
            let normalizer = tokenizer.inner.get_normalizer();
            let seen = &mut self.seen;
            let lost = lost::measure(text, &encoding, tokenizer.unknown, normalizer, seen)?;
            return Ok(Encoded { tokens: encoding.get_ids().to_vec(), lost });
        }
        let tokens = match tokenizer.by_words {
            true => by_words(tokenizer, &mut self.cache, text)?,
            false => tokenizer.encode(text)?,
        };
        let text_bytes = text.len() as u64;
        let told: u64 = tokens.iter().map(|&token| lengths.of(token)).sum();
        self.told += told;
        // A tokenizer without a token for some byte drops it, or calls it unknown.
        let lost = text_bytes.saturating_sub(told);
        let is_unknown = tokens.iter().any(|&token| Some(token) == tokenizer.unknown);
        let (unknown_bytes, dropped_bytes) = if is_unknown { (lost, 0) } else { (0, lost) };
        Ok(Encoded { tokens, lost: LostText { text_bytes, unknown_bytes, dropped_bytes } })
    }
}

impl Encoder<'_> {
    /// Bytes of text per token: for tokens that spell no bytes, as they were seen in the texts so
    /// far.
    #[must_use]
    pub fn token_bytes(&self) -> TokenBytes {
        let mut bytes = self.lengths.clone();
        if !self.tokenizer.byte_level {
            SeenLengths::improve(self.hands.iter().map(|hand| &hand.seen), &mut bytes.lengths);
        }
        bytes
    }

    /// Bytes that all tokens so far stand for, by these lengths.
    #[must_use]
    pub fn told_bytes(&self, lengths: &TokenBytes) -> u64 {
        self.hands.iter().map(|hand| hand.told + hand.seen.told(lengths)).sum()
    }
}

fn by_words(tokenizer: &Tokenizer, cache: &mut WordCache, text: &str) -> Result<Vec<u32>> {
    let mut tokens = Vec::with_capacity(text.len() / 3);
    let mut spelled = String::new();
    for word in words::words(text) {
        if let Some(known) = cache.get(word) {
            tokens.extend_from_slice(known);
            continue;
        }
        spell(word, &mut spelled);
        let start = tokens.len();
        let pieces = tokenizer.inner.get_model().tokenize(&spelled).map_err(|cause| {
            Error::data(format!("the tokenizer cannot encode `{}`: {cause}", quoted(word)))
        })?;
        tokens.extend(pieces.into_iter().map(|piece| piece.id));
        cache.insert(word, &tokens[start..]);
    }
    Ok(tokens)
}
