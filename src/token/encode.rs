//! Encoding many texts on all cores, with a word cache in front of the crate.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use tokenizers::Model;

use super::cache::WordCache;
use super::guard::guard;
use super::{Tokenizer, words};
use crate::{Error, Result};

/// The character that spells a byte in byte-level tokenizers: printable bytes spell themselves, the
/// others characters from U+0100 on (GPT-2's alphabet).
pub(super) fn byte_character(byte: u8) -> char {
    ALPHABET[usize::from(byte)]
}

static ALPHABET: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut others = '\u{100}'..;
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        match byte {
            b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
            _ => others.next().expect("there are more than 256 characters"),
        }
    })
});

/// Spells the bytes of a word.
pub(super) fn spell(word: &str, spelled: &mut String) {
    spelled.clear();
    spelled.extend(word.bytes().map(byte_character));
}

/// Memory for remembered words, of all threads together: room for half a million words, while
/// half of that already covers a library.
const CACHE_BYTES: usize = 64 << 20;

/// What each thread gets at least.
const CACHE_BYTES_MIN: usize = 4 << 20;

/// Encodes batches of texts; remembers words from batch to batch.
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    caches: Vec<WordCache>,
}

impl<'a> Encoder<'a> {
    /// An encoder that uses `threads` threads.
    #[must_use]
    pub fn new(tokenizer: &'a Tokenizer, threads: usize) -> Self {
        let threads = threads.max(1);
        let bytes = (CACHE_BYTES / threads).max(CACHE_BYTES_MIN);
        let caches = (0..threads).map(|_| WordCache::with_bound(bytes)).collect();
        Self { tokenizer, caches }
    }

    /// The tokens of each text, without separators: the same as [`Tokenizer::encode`] gives, for
    /// any number of threads.
    pub fn encode_batch(&mut self, texts: &[impl AsRef<str> + Sync]) -> Result<Vec<Vec<u32>>> {
        let (next, tokenizer) = (AtomicUsize::new(0), self.tokenizer);
        let results: Vec<Mutex<Result<Vec<u32>>>> =
            texts.iter().map(|_| Mutex::new(Ok(Vec::new()))).collect();
        std::thread::scope(|scope| {
            for cache in self.caches.iter_mut().take(texts.len()) {
                let (next, results) = (&next, &results);
                scope.spawn(move || {
                    while let Some(index) = claim(next, texts.len()) {
                        let tokens = guard(|| encode(tokenizer, cache, texts[index].as_ref()));
                        *results[index].lock().expect("no other thread holds it") = tokens;
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

fn encode(tokenizer: &Tokenizer, cache: &mut WordCache, text: &str) -> Result<Vec<u32>> {
    if !tokenizer.by_words {
        return tokenizer.encode(text);
    }
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
            Error::data(format!("the tokenizer cannot encode `{word}`: {cause}"))
        })?;
        tokens.extend(pieces.into_iter().map(|piece| piece.id));
        cache.insert(word, &tokens[start..]);
    }
    Ok(tokens)
}
