//! How weights follow gradients.

use serde::{Deserialize, Serialize};

use super::bounds::{BATCH_MAX, at_most};
use crate::{Error, Result};

/// The optimizer, a tagged choice so that others can join it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimSpec {
    /// AdamW as in Levanter (mission T1): the gradient is clipped before Adam; the decay is added
    /// to the Adam direction and both are scaled by the scheduled learning rate.
    Adamw {
        /// Peak learning rate.
        lr: f64,
        /// Decoupled weight decay; the paper tunes it up to 30 times the usual 0.1.
        weight_decay: f64,
        /// Decay rate of the mean gradient.
        beta1: f64,
        /// Decay rate of the mean squared gradient.
        beta2: f64,
        /// Added to the root of the mean squared gradient.
        epsilon: f64,
        /// Largest global gradient norm.
        clip_norm: f64,
        /// Whether norm gains are decayed, too (open question of the paper's runs; mission T1).
        decay_norms: bool,
        /// Sequences per step.
        batch_sequences: u32,
        /// The learning rate over the run.
        schedule: Schedule,
    },
}

/// The learning rate as a function of the step: linear warm-up from 0, then a decay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Shape after the warm-up.
    pub decay: Decay,
    /// Warm-up steps as a share of all, rounded down.
    pub warmup_share: f64,
    /// Final learning rate as a share of the peak.
    pub min_lr_ratio: f64,
}

/// Shape of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Half a cosine (the paper).
    Cosine,
    /// A straight line.
    Linear,
}

impl OptimSpec {
    /// Sequences per step.
    #[must_use]
    pub fn batch_sequences(&self) -> u32 {
        let Self::Adamw { batch_sequences, .. } = self;
        *batch_sequences
    }

    /// Rejects values without meaning, naming the key.
    pub fn validate(&self) -> Result<()> {
        let Self::Adamw { lr, weight_decay, beta1, beta2, epsilon, clip_norm, .. } = self;
        let Self::Adamw { batch_sequences, schedule, .. } = self;
        let unit = 0.0..1.0;
        let checks = [
            (*lr > 0.0, "`optim.lr` must be positive"),
            (*weight_decay >= 0.0, "`optim.weight_decay` must not be negative"),
            (unit.contains(beta1), "`optim.beta1` must lie in [0, 1)"),
            (unit.contains(beta2), "`optim.beta2` must lie in [0, 1)"),
            (*epsilon > 0.0, "`optim.epsilon` must be positive"),
            (*clip_norm > 0.0, "`optim.clip_norm` must be positive"),
            (*batch_sequences > 0, "`optim.batch_sequences` must be at least 1"),
            (
                unit.contains(&schedule.warmup_share),
                "`optim.schedule.warmup_share` must lie in [0, 1)",
            ),
            (
                (0.0..=1.0).contains(&schedule.min_lr_ratio),
                "`optim.schedule.min_lr_ratio` must lie in [0, 1]",
            ),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            Some((_, message)) => Err(Error::usage(*message)),
            None => at_most("optim.batch_sequences", *batch_sequences, BATCH_MAX),
        }
    }
}
