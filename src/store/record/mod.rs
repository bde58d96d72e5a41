//! What a job leaves behind, as data.

mod ensemble;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::column::{Average, Column};
use crate::error::quoted;
use crate::spec::{Allowed, CorpusId, JobId, JobKind, SideSet, Split};
use crate::{Error, Result};

pub use ensemble::{EnsembleFacts, EnsembleSize, MemberPair, MemberPairs};

/// The content of `record.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The job's identity.
    pub id: JobId,
    /// The job's kind.
    pub kind: JobKind,
    /// How it ended.
    pub outcome: Outcome,
    /// Final losses on splits.
    pub losses: Vec<Loss>,
    /// Losses on side sets. Apart from the others, because no choice reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub side_losses: Vec<SideLoss>,
    /// Macro means of the losses on all side sets of the corpus; only of training runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub side_means: Vec<SideMean>,
    /// Further measured numbers with their units in their names (constants of the n-gram model,
    /// diversity of an ensemble).
    pub measured: Vec<Measured>,
    /// Of the ensembles of some members: everything about every size, in one place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ensemble: Option<EnsembleFacts>,
    /// What a training run has read, the budget's corpus first, then those of the mixture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trained_on: Vec<TrainedOn>,
    /// What the tokens of a training run mean: the hash of its corpus' `tokenizer.json`, or
    /// `built-in` for the built-in language. None for corpora of bare tokens, and in records of
    /// older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// What somebody consented to, and what the job needed consent for.
    #[serde(default, skip_serializing_if = "Allowed::is_empty")]
    pub allowed: Allowed,
    /// What it cost.
    pub cost: Cost,
    /// Where it ran.
    pub machine: Machine,
    /// The class of arithmetic that made the numbers.
    pub numerics: Numerics,
    /// Version of the program.
    pub version: String,
    /// When it was finished, in seconds since 1970 UTC.
    pub finished_unix_seconds: u64,
}

/// How a job ended. A diverged run is data for a tuner, not an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Outcome {
    /// All steps were done.
    Finished,
    /// Loss, gradient, weights or held-out loss stopped being finite.
    Diverged {
        /// The first such step, counted from 0.
        step: u64,
    },
}

/// A mean loss with its uncertainty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss<P = Split> {
    /// What was measured.
    pub name: Column,
    /// What was read: a split, or a side set with its content id.
    pub split: P,
    /// Mean negative log-likelihood in nats per token.
    pub nats: f64,
    /// Its standard error, clustered by blocks of at most 64 KiB of one document; absent with
    /// fewer than two clusters.
    pub standard_error_nats: Option<f64>,
    /// Clusters G behind the standard error; its t quantiles have G - 1 degrees.
    pub clusters: u64,
    /// Tokens predicted.
    pub tokens: u64,
    /// Loss in bits per byte of text, where tokens have bytes.
    pub bits_per_byte: Option<f64>,
    /// The exact floor and what lies above it, where the floor is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above_floor: Option<AboveFloor>,
}

/// How far a loss lies above the exact entropy of the tokens that were predicted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AboveFloor {
    /// The entropy in nats per token.
    pub floor_nats: f64,
    /// The loss minus the entropy, in nats per token.
    pub nats: f64,
    /// Standard error of that difference, token by token, clustered as the loss's.
    pub standard_error_nats: Option<f64>,
}

/// A mean loss on a side set.
pub type SideLoss = Loss<SideSet>;

/// The unweighted mean of a model's losses on side sets (mission D7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SideMean {
    /// What was measured, as in [`Loss`].
    pub name: Column,
    /// How many sets.
    pub sets: u64,
    /// Mean of their losses in nats per token.
    pub nats: f64,
    /// Its standard error, of sets that are independent; absent where that of one is.
    pub standard_error_nats: Option<f64>,
    /// Mean of their bits per byte, where all are known.
    pub bits_per_byte: Option<f64>,
}

/// A number with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Name, unit last.
    pub name: String,
    /// Value.
    pub value: f64,
}

/// What a training run has read of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// Content id.
    pub corpus: CorpusId,
    /// Tokens, repetitions counted.
    pub tokens: u64,
    /// Passes: over the budget, or over all whole sequences of a corpus that is mixed in.
    pub epochs: f64,
}

/// What a job cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Optimizer steps.
    pub steps: u64,
    /// Tokens trained on or scored, repetitions counted.
    pub tokens: u64,
    /// Floating-point operations by formula, not by measurement.
    pub flops: f64,
    /// Wall-clock seconds, summed over resumed parts.
    pub wall_seconds: f64,
    /// CPU seconds of all threads, summed over resumed parts.
    pub cpu_seconds: f64,
    /// Largest resident memory of the process, in bytes.
    pub peak_memory_bytes: u64,
    /// Parameters of the model, embeddings included; 0 where there is none.
    pub parameters: u64,
}

/// Where a job ran. No paths, no host names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor as the system names it.
    pub cpu: String,
    /// Logical processors.
    pub processors: u32,
    /// Threads that the job was given.
    pub threads: u32,
    /// Instruction set used.
    pub isa: String,
    /// Operating system and architecture.
    pub system: String,
}

/// The class of arithmetic: within a class the same spec gives the same bits, for any number of
/// threads, any worker and any resume point.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Numerics {
    /// `cpu` or `cuda`.
    pub backend: String,
    /// Arithmetic of the products: `f32`, `bf16-rounded`, `bf16-dot`, `bf16-amx`. The f32 class
    /// is the same on every instruction set, because every kernel keeps one order of operations.
    pub arithmetic: String,
    /// `exact` or `fast`.
    pub determinism: String,
    /// Raised when a kernel changes results.
    pub version: u32,
}

impl Record {
    /// The loss of this column on this split.
    #[must_use]
    pub fn loss(&self, name: Column, split: Split) -> Option<&Loss> {
        self.losses.iter().find(|loss| loss.name == name && loss.split == split)
    }
}

impl<P> Loss<P> {
    /// The loss that stands for all of a record where only one is shown. Of an ensemble it is the
    /// logit mean of all members, as in every table: probability means and controls stand beside it
    /// in the record.
    #[must_use]
    pub fn headline(losses: &[Self]) -> Option<&Self> {
        let members = |loss: &&Self| match loss.name {
            Column::First(Average::Logits, members) => Some(members),
            _ => None,
        };
        let means = losses.iter().filter(|loss| members(loss).is_some());
        means.max_by_key(members).or(losses.last())
    }

    /// The loss in the JSON of studies, which name what was measured by other keys; `record.json`
    /// has a form of its own.
    #[must_use]
    pub fn told(&self) -> Value {
        json!({
            "nats": self.nats, "standard_error_nats": self.standard_error_nats,
            "bits_per_byte": self.bits_per_byte, "above_floor": self.above_floor,
            "above_floor_nats": self.above_floor.as_ref().map(|above| above.nats),
        })
    }

    /// The half-width of a symmetric interval in standard errors of the normal distribution is not
    /// given here: see `eval::statistics` for t intervals. This is the plain `a ± b` text.
    #[must_use]
    pub fn text(&self) -> String {
        mean_text(self.nats, self.standard_error_nats)
    }
}

impl AboveFloor {
    /// The plain `a ± b` text of what lies above the floor.
    #[must_use]
    pub fn text(&self) -> String {
        mean_text(self.nats, self.standard_error_nats)
    }
}

impl SideMean {
    /// The plain `a ± b` text.
    #[must_use]
    pub fn text(&self) -> String {
        mean_text(self.nats, self.standard_error_nats)
    }
}

fn mean_text(nats: f64, standard_error_nats: Option<f64>) -> String {
    match standard_error_nats {
        Some(error) => format!("{nats:.4} ± {error:.4}"),
        None => format!("{nats:.4} (no standard error: one cluster)"),
    }
}

impl FromStr for Numerics {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let version = parts.last().and_then(|version| version.parse().ok());
        let ([backend, arithmetic, determinism, _], Some(version)) = (&parts[..], version) else {
            return Err(Error::data(format!("`{}` is no numerics class", quoted(text)))
                .hint("such as `cpu/f32/exact/2`"));
        };
        let [backend, arithmetic, determinism] =
            [backend, arithmetic, determinism].map(|part| (*part).to_owned());
        Ok(Self { backend, arithmetic, determinism, version })
    }
}

impl fmt::Display for Numerics {
    /// The class in one word: `cpu/f32/exact/2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, arithmetic, determinism, version } = self;
        write!(f, "{backend}/{arithmetic}/{determinism}/{version}")
    }
}

impl Machine {
    /// This machine, as far as the operating system tells.
    #[must_use]
    pub fn here(threads: usize, isa: &str) -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            cpu: cpu.unwrap_or_else(|| "unknown".to_owned()),
            processors: u32::try_from(processors).unwrap_or(u32::MAX),
            threads: u32::try_from(threads).unwrap_or(u32::MAX),
            isa: isa.to_owned(),
            system: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}
