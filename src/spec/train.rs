//! The full description of one training run.

use serde::{Deserialize, Serialize};

use super::bounds::{SEED_MAX, at_most};
use super::data::DataSpec;
use super::id::JobId;
use super::model::ModelSpec;
use super::optim::OptimSpec;
use crate::{Error, Result};

/// Everything that determines the numbers of a training run, and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSpec {
    /// Where the weights come from.
    pub start: Start,
    /// Shape and initialization.
    pub model: ModelSpec,
    /// Tokens and their order.
    pub data: DataSpec,
    /// Optimizer and schedule.
    pub optim: OptimSpec,
    /// What is minimized.
    pub objective: Objective,
    /// Sources of randomness.
    pub seeds: Seeds,
    /// When held-out loss is measured.
    pub evaluation: Evaluation,
    /// Arithmetic of the matrix products.
    pub precision: Precision,
}

/// The weights before the first step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Start {
    /// Drawn by the model's init rule from `seeds.init`.
    Random {},
    /// The final weights of another run; schedule and optimizer state start anew.
    From {
        /// That run's id.
        record: JobId,
    },
}

/// The training objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Objective {
    /// Mean negative log-likelihood of the next token, in nats: an exact loss.
    NextToken {},
}

/// Seeds, apart from each other so that their effects can be told apart (mission T4, E4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    /// Initial weights and dropout.
    pub init: u64,
    /// Order of the training sequences.
    pub order: u64,
}

/// When the loss on `val` is measured during the run; the last step always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Evaluations over the run, at equal distances (mission T5: 20).
    pub points: u32,
    /// Tokens of `val` read at each of them, spread evenly; 0 means all. The last reads all.
    pub sample_tokens: u64,
}

/// Arithmetic of the matrix products; sums, norms, softmax, loss and weights are f32 in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Operands are f32.
    F32,
    /// Operands are rounded to bf16.
    Bf16,
}

impl TrainSpec {
    /// Rejects specs that cannot be run, naming the key.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        self.data.validate()?;
        self.optim.validate()?;
        if self.evaluation.points == 0 {
            return Err(Error::usage("`evaluation.points` must be at least 1"));
        }
        at_most("seeds.init", self.seeds.init, SEED_MAX)?;
        at_most("seeds.order", self.seeds.order, SEED_MAX)?;
        Ok(())
    }

    /// Steps between evaluations of a run of `total_steps` (mission T5).
    #[must_use]
    pub fn evaluation_interval(&self, total_steps: u64) -> u64 {
        (total_steps / u64::from(self.evaluation.points)).min(total_steps / 2).max(1)
    }
}
