//! Where the tokens come from: a tokenizer that is given, one that is trained, or token files.

use std::collections::BTreeMap;

use super::PrepareOptions;
use crate::data::corpus::Vocabulary;
use crate::data::corpus::{TokenizerFacts, TrainedFacts};
use crate::data::input::{Content, InputFile, declared_vocabulary};
use crate::error::{quoted, quoted_path};
use crate::token::{Encoder, TokenBytes, Tokenizer};
use crate::{Error, Result};

/// The tokens of the corpus.
pub(super) struct Tokens {
    tokenizer: Option<Tokenizer>,
    bytes: Option<TokenBytes>,
    /// V.
    pub(super) size: u32,
    pub(super) separator: Option<u32>,
    pub(super) facts: Option<TokenizerFacts>,
    pub(super) notes: Vec<String>,
    threads: usize,
}

/// The tokens as far as the options determine them; none if a tokenizer is to be trained.
pub(super) fn given<C: Content>(
    options: &PrepareOptions,
    files: &[InputFile],
) -> Result<Option<Tokens>> {
    if let Some(path) = &options.tokenizer {
        let tokenizer = Tokenizer::read(path)?;
        let size = tokenizer.vocabulary();
        if options.vocabulary.is_some_and(|wanted| wanted != size) {
            return Err(Error::usage(format!(
                "`{}` has {size} tokens, not {}",
                quoted_path(path),
                options.vocabulary.unwrap_or_default()
            ))
            .hint("leave `--vocab` out: the tokenizer determines it"));
        }
        return Tokens::of(tokenizer, options, None).map(Some);
    }
    if C::IS_TEXT { Ok(None) } else { bare(options, files).map(Some) }
}

/// Tokens without a tokenizer.
fn bare(options: &PrepareOptions, files: &[InputFile]) -> Result<Tokens> {
    let declared = || files.first().map_or(Ok(None), declared_vocabulary);
    let size = match options.vocabulary {
        Some(size) => Some(size),
        None => declared()?,
    };
    let size = size.filter(|&size| size > 0).ok_or_else(|| {
        Error::usage("these token files do not say how many different tokens there are")
            .hint("give `--tokenizer FILE`, or their vocabulary as `--vocab N`")
    })?;
    let separator = match &options.separator {
        Some(text) => Some(text.parse().ok().filter(|&id: &u32| id < size).ok_or_else(|| {
            let text = quoted(text);
            Error::usage(format!("`--separator {text}` is not a token id below {size}"))
                .hint("without `--tokenizer` the separator is given by its id")
        })?),
        // The end-of-text of GPT-2, and the beginning-of-text of Llama 3.
        None => match size {
            50_257 | 50_304 => Some(50_256),
            128_256 => Some(128_000),
            _ => None,
        },
    };
    let mut notes = Vec::new();
    if separator.is_none() {
        notes.push(
            "no separator is known for these tokens, so each file counts as one document; \
             `--separator ID` names it"
                .to_owned(),
        );
    }
    notes.push("bits per byte are not known without a tokenizer".to_owned());
    let (tokenizer, bytes, facts) = (None, None, None);
    Ok(Tokens { tokenizer, bytes, size, separator, facts, notes, threads: 1 })
}

impl Tokens {
    /// A tokenizer's tokens.
    pub(super) fn of(
        tokenizer: Tokenizer,
        options: &PrepareOptions,
        trained: Option<TrainedFacts>,
    ) -> Result<Self> {
        let (separator, text) = tokenizer.separator(options.separator.as_deref())?;
        let bytes = tokenizer.token_bytes();
        Ok(Self {
            size: tokenizer.vocabulary(),
            separator: Some(separator),
            facts: Some(TokenizerFacts {
                separator: text,
                token_bytes_exact: bytes.exact,
                trained,
                lost: BTreeMap::new(),
            }),
            bytes: Some(bytes),
            tokenizer: Some(tokenizer),
            notes: Vec::new(),
            threads: options.threads,
        })
    }

    /// As the writer wants them.
    pub(super) fn vocabulary(&self) -> Vocabulary<'_> {
        Vocabulary {
            size: self.size,
            separator: self.separator,
            tokenizer: self.tokenizer.as_ref().map(Tokenizer::json),
        }
    }

    /// An encoder of texts.
    pub(super) fn encoder(&self) -> Option<Encoder<'_>> {
        self.tokenizer.as_ref().map(|tokenizer| Encoder::new(tokenizer, self.threads))
    }

    /// Bytes of text per token, before any text was seen; none without a tokenizer.
    pub(super) fn token_bytes(&self) -> Option<&TokenBytes> {
        self.bytes.as_ref()
    }
}

/// Bytes of text that tokens stand for; 0 if unknown.
pub(super) fn bytes_of(lengths: Option<&TokenBytes>, tokens: &[u32]) -> u64 {
    lengths.map_or(0, |lengths| tokens.iter().map(|&token| lengths.of(token)).sum())
}
