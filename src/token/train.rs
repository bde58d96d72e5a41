//! Training a byte-level tokenizer: byte-pair merges over the words of the GPT-2 pattern.

use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Model, Trainer};

use super::encode::spell;
use super::{Tokenizer, VOCABULARY_MAX, words};
use crate::{Error, Result};

/// The separator of trained tokenizers; its id is 0.
pub const SEPARATOR: &str = "<|endoftext|>";

/// Every byte and the separator.
pub const VOCABULARY_MIN: u32 = 257;

/// Longer words are unique (encoded images, long rules of dashes) and only cost time.
const WORD_BYTES_MAX: usize = 256;

/// Trains a tokenizer of exactly `vocabulary` tokens on the texts, in an order-independent way:
/// the same texts give the same tokenizer.
///
/// # Errors
/// If `vocabulary` is below [`VOCABULARY_MIN`], or so large that the texts do not have that many
/// merges.
pub fn train(texts: &[impl AsRef<str> + Sync], vocabulary: u32) -> Result<Tokenizer> {
    if !(VOCABULARY_MIN..=VOCABULARY_MAX).contains(&vocabulary) {
        let bound = if vocabulary < VOCABULARY_MIN { "small" } else { "large" };
        return Err(Error::usage(format!("a vocabulary of {vocabulary} is too {bound}")).hint(
            "256 bytes and a separator need 257; 4096 suits models of a few million parameters",
        ));
    }
    let failed =
        |cause: tokenizers::Error| Error::data(format!("tokenizer training failed: {cause}"));
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(vocabulary as usize)
        .min_frequency(2)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![AddedToken::from(SEPARATOR, true)])
        .build();
    trainer
        .feed(texts.iter().map(AsRef::as_ref), |text: &str| {
            let mut spelled = String::new();
            let spelled_words = words::words(text)
                .filter(|word| word.len() <= WORD_BYTES_MAX)
                .map(|word| {
                    spell(word, &mut spelled);
                    spelled.clone()
                })
                .collect();
            Ok(spelled_words)
        })
        .map_err(failed)?;
    let mut model = BPE::default();
    let special = trainer.train(&mut model).map_err(failed)?;
    let reached = model.get_vocab_size();
    if reached < vocabulary as usize {
        return Err(Error::usage(format!(
            "a vocabulary of {vocabulary} is too large: the training text has only {reached} tokens"
        ))
        .hint(format!("`--vocab {reached}` or less")));
    }
    let mut inner = tokenizers::Tokenizer::new(model);
    inner
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_decoder(Some(ByteLevel::new(false, true, true)));
    inner.add_special_tokens(special).map_err(failed)?;
    let json = inner.to_string(true).map_err(failed)?;
    Tokenizer::from_json(json.as_bytes())
}
