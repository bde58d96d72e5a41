//! What a run trains on: which tokens, how many, how often, in which order.

use serde::{Deserialize, Serialize};

use super::bounds::{self, TOKENS_MAX};
use super::id::CorpusId;
use crate::{Error, Result};

/// The training data of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// Content id of the corpus; `--corpus DIR` only says where it lies.
    pub corpus: CorpusId,
    /// D, the unique training tokens; a multiple of `sequence_tokens`. Smaller budgets nest in
    /// larger ones.
    pub budget_tokens: u64,
    /// Tokens T of a training sequence; its last token has no target (Levanter's convention).
    pub sequence_tokens: u32,
    /// Passes over the budget; a fraction is allowed.
    pub epochs: f64,
    /// What is shuffled.
    pub order: OrderMode,
    /// Whether attention crosses the documents of a sequence.
    pub mask: Mask,
    /// Further corpora mixed in; the budget's tokens are never reduced (mission D5).
    #[serde(default)]
    pub mixture: Vec<Component>,
}

/// What an epoch shuffles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderMode {
    /// Fixed sequences are permuted (the paper).
    Sequences,
    /// Documents are permuted and cut anew, then the pieces are permuted.
    Documents,
}

/// Which earlier tokens of a sequence a position attends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Mask {
    /// All earlier ones (the paper; mission D1).
    AcrossDocuments {},
    /// Those of its own document.
    WithinDocuments {},
}

/// One further corpus of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Content id of its corpus, which must share the tokenizer.
    pub corpus: CorpusId,
    /// Its share of the sequences, in (0, 1). A component that runs out starts again.
    pub share: f64,
}

impl DataSpec {
    /// Share of sequences that comes from the mixture's further corpora.
    #[must_use]
    pub fn mixture_share(&self) -> f64 {
        // Not `sum`: the sum of no floats is -0.
        self.mixture.iter().fold(0.0, |sum, component| sum + component.share)
    }

    /// Rejects budgets and shares that make no sense, naming the key.
    pub fn validate(&self) -> Result<()> {
        bounds::sequence("data.sequence_tokens", self.sequence_tokens)?;
        let sequence = u64::from(self.sequence_tokens);
        if self.budget_tokens == 0 || !self.budget_tokens.is_multiple_of(sequence) {
            let below = self.budget_tokens / sequence * sequence;
            return Err(Error::usage(format!(
                "`data.budget_tokens` = {} is not a positive multiple of \
                 `data.sequence_tokens` = {sequence}",
                self.budget_tokens
            ))
            .hint(format!("try {}", below.max(sequence))));
        }
        if self.epochs <= 0.0 {
            return Err(Error::usage("`data.epochs` must be positive"));
        }
        let shares = self.mixture.iter().all(|component| component.share > 0.0);
        if !shares || self.mixture_share() >= 1.0 {
            return Err(Error::usage(
                "each `data.mixture` share must be positive and their sum below 1",
            ));
        }
        let tokens = self.budget_tokens as f64 * self.epochs / (1.0 - self.mixture_share());
        if tokens > TOKENS_MAX {
            return Err(Error::usage(format!(
                "`data.epochs` = {:e} of {} tokens are {tokens:.1e} tokens, more than \
                 {TOKENS_MAX:e}, the most that is taken",
                self.epochs, self.budget_tokens
            )));
        }
        Ok(())
    }
}
