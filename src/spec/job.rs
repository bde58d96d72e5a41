//! The kinds of jobs, each identified by the hash of its canonical text.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::data::Mask;
use super::id::{CorpusId, JobId};
use super::part::Part;
use super::split::Split;
use super::train::{Precision, TrainSpec};
use super::{bounds, canonical};
use crate::Result;

/// A job for the lab: plain data that determines every number of the record it leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "jobs are few and live briefly")]
pub enum Job {
    /// Train one model.
    Train(TrainSpec),
    /// Measure the loss of trained models, alone and averaged.
    Evaluate(EvaluateSpec),
    /// Measure an ensemble over the subsets of its members: curves in K, diversity, soups.
    Ensemble(EnsembleSpec),
    /// Fit and measure the n-gram yardstick.
    Ngram(NgramSpec),
}

/// The kinds of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// [`Job::Train`].
    Train,
    /// [`Job::Evaluate`].
    Evaluate,
    /// [`Job::Ensemble`].
    Ensemble,
    /// [`Job::Ngram`].
    Ngram,
}

impl JobKind {
    /// In one word, as in canonical texts and records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Evaluate => "evaluate",
            Self::Ensemble => "ensemble",
            Self::Ngram => "ngram",
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Loss of K members on a part of a corpus: each alone, and of every prefix of the list averaged,
/// both by logits (the paper's ensemble, mission R4) and by probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateSpec {
    /// The training runs, in order.
    pub members: Vec<JobId>,
    /// Content id of the corpus.
    pub corpus: CorpusId,
    /// What is read: a split by its name, a side set by its name and its own content id.
    pub split: Part,
    /// Tokens T of a window; its first token is context only.
    pub sequence_tokens: u32,
    /// Whether attention crosses documents.
    pub mask: Mask,
    /// Arithmetic of the products.
    pub precision: Precision,
}

/// Everything about an ensemble of K members on a split: each member and every prefix as in
/// [`EvaluateSpec`], the mean over the subsets of every size (a curve in K without the chance of
/// one order), the diversity of the members, and the average of their weights as the control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleSpec {
    /// The training runs, in order.
    pub members: Vec<JobId>,
    /// Content id of the corpus.
    pub corpus: CorpusId,
    /// What is read.
    pub split: Split,
    /// Tokens T of a window; its first token is context only.
    pub sequence_tokens: u32,
    /// Whether attention crosses documents.
    pub mask: Mask,
    /// Arithmetic of the products.
    pub precision: Precision,
    /// Up to this many subsets of all sizes together, every one is measured; beyond, a fixed sample
    /// of every size (see `eval::Subsets`).
    pub subsets_max: u32,
}

impl EnsembleSpec {
    /// All subsets of 8 members, the largest ensemble of the paper.
    pub const SUBSETS_MAX: u32 = 255;
}

/// An interpolated n-gram model of the same budget, its constants tuned on `val`: what counting
/// alone achieves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NgramSpec {
    /// Content id of the corpus.
    pub corpus: CorpusId,
    /// D, the unique training tokens: the same subset that the models see.
    pub budget_tokens: u64,
    /// Tokens T of a sequence and of an evaluation window.
    pub sequence_tokens: u32,
    /// Longest context tried, in tokens.
    pub context_tokens_max: u32,
    /// What is read after tuning on `val`.
    pub split: Split,
}

impl Job {
    /// The canonical text: a header line with kind and format, then one `key = value` line per
    /// field in byte order of the keys.
    #[must_use]
    pub fn canonical(&self) -> String {
        let kind = self.kind().name();
        match self {
            Self::Train(spec) => canonical::text(kind, spec, TRAIN_LATER),
            Self::Evaluate(spec) => canonical::text(kind, spec, &[]),
            Self::Ensemble(spec) => canonical::text(kind, spec, &[]),
            Self::Ngram(spec) => canonical::text(kind, spec, &[]),
        }
    }

    /// The identity: the hash of the canonical text.
    #[must_use]
    pub fn id(&self) -> JobId {
        JobId::of(self.canonical().as_bytes())
    }

    /// Rejects jobs that cannot be run, naming the key: stored specs may be anybody's.
    ///
    /// # Errors
    /// Names the key.
    pub fn validate(&self) -> Result<()> {
        let tokens = match self {
            Self::Train(spec) => return spec.validate(),
            Self::Evaluate(spec) => spec.sequence_tokens,
            Self::Ensemble(spec) => spec.sequence_tokens,
            Self::Ngram(spec) => spec.sequence_tokens,
        };
        bounds::sequence("sequence_tokens", tokens)
    }

    /// Which of the kinds it is.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Train(_) => JobKind::Train,
            Self::Evaluate(_) => JobKind::Evaluate,
            Self::Ensemble(_) => JobKind::Ensemble,
            Self::Ngram(_) => JobKind::Ngram,
        }
    }

    /// The precision of its matrix products; counting has none.
    #[must_use]
    pub fn precision(&self) -> Option<Precision> {
        match self {
            Self::Train(spec) => Some(spec.precision),
            Self::Evaluate(spec) => Some(spec.precision),
            Self::Ensemble(spec) => Some(spec.precision),
            Self::Ngram(_) => None,
        }
    }

    /// Jobs whose records this one reads.
    #[must_use]
    pub fn needs(&self) -> Vec<JobId> {
        match self {
            Self::Train(TrainSpec { start: super::train::Start::From { record }, .. }) => {
                vec![*record]
            }
            Self::Evaluate(spec) => spec.members.clone(),
            Self::Ensemble(spec) => spec.members.clone(),
            Self::Train(_) | Self::Ngram(_) => Vec::new(),
        }
    }

    /// Corpora that it reads, the one that it is about first.
    #[must_use]
    pub fn corpora(&self) -> Vec<CorpusId> {
        match self {
            Self::Train(spec) => {
                let mixed = spec.data.mixture.iter().map(|component| component.corpus);
                std::iter::once(spec.data.corpus).chain(mixed).collect()
            }
            Self::Evaluate(spec) => vec![spec.corpus],
            Self::Ensemble(spec) => vec![spec.corpus],
            Self::Ngram(spec) => vec![spec.corpus],
        }
    }
}

/// Fields of [`TrainSpec`] that joined after format 1, with their frozen origin values.
const TRAIN_LATER: &[canonical::LaterField] = &[];
