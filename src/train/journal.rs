//! What a run writes while it goes on: metrics and checkpoints in its working directory.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cohort::Cohort;
use crate::spec::JobId;
use crate::store::{Checkpoint, CheckpointHeader, Checkpoints, MetricsLog, Numerics};
use crate::{Error, Result};

/// A held-out loss measured during a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Name of the held-out set.
    pub name: String,
    /// Mean loss in nats per token.
    pub loss_nats: f64,
    /// Its clustered standard error, if there are clusters enough.
    pub standard_error_nats: Option<f64>,
    /// Tokens predicted.
    pub tokens: u64,
}

impl HeldOut {
    /// Whether it is a loss at all: a model that has diverged gives none.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.loss_nats.is_finite() && self.standard_error_nats.is_none_or(f64::is_finite)
    }
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricsLine {
    /// Steps done.
    pub step: u64,
    /// Passes over the budget so far.
    pub epoch: f64,
    /// Training tokens so far, repetitions counted.
    pub tokens: u64,
    /// Mean loss of this step's batch before its update, in nats per token.
    pub train_loss_nats: f64,
    /// Learning rate of this step.
    pub lr: f64,
    /// Global gradient norm of this step before clipping.
    pub gradient_norm: f64,
    /// L2 norm of all weights after this step.
    pub weight_norm: f64,
    /// Training speed since the line before.
    pub tokens_per_second: f64,
    /// Held-out losses, at the spec's cadence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_out: Vec<HeldOut>,
}

/// The journal of one member.
#[derive(Debug)]
pub struct Journal {
    job: JobId,
    numerics: Numerics,
    checkpoints: Checkpoints,
    metrics: MetricsLog,
    /// Wall-clock and CPU seconds of the parts before the last resume.
    seconds_before: (f64, f64),
}

impl Journal {
    /// The checkpoint to go on from, if there is one, of a run of so many parameters. Its class is
    /// the one to go on in.
    pub fn latest(
        folder: &Path,
        parameters: usize,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<Checkpoint>> {
        Checkpoints::new(folder).latest(Some(parameters), warn)
    }

    /// Opens the journal of a run that goes on from this checkpoint.
    pub fn open(
        folder: &Path,
        job: JobId,
        numerics: &Numerics,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Self> {
        let checkpoints = Checkpoints::new(folder);
        let header = checkpoint.map(|checkpoint| &checkpoint.header);
        if let Some(header) = header {
            check(header, job, numerics)?;
        }
        let mark = header.map(CheckpointHeader::metrics).unwrap_or_default();
        let seconds_before = header.map_or((0.0, 0.0), |h| (h.wall_seconds, h.cpu_seconds));
        let metrics = MetricsLog::open(&folder.join("metrics.jsonl"), &mark)?;
        let numerics = numerics.clone();
        Ok(Self { job, numerics, checkpoints, metrics, seconds_before })
    }

    /// Appends a line.
    pub fn log(&mut self, line: &MetricsLine) -> Result<()> {
        self.metrics.append(line)
    }

    /// Writes a checkpoint of a member. `seconds` are wall-clock and CPU seconds since the journal
    /// was opened.
    pub fn checkpoint(
        &mut self,
        cohort: &Cohort<'_>,
        member: usize,
        seconds: (f64, f64),
    ) -> Result<()> {
        let state = cohort.state(member);
        let (wall_seconds, cpu_seconds) = self.seconds(seconds);
        let metrics = self.metrics.sync()?;
        let header = CheckpointHeader {
            job: self.job,
            numerics: self.numerics.clone(),
            step: cohort.steps(member).0,
            metrics_bytes: metrics.bytes,
            metrics_blake3: metrics.blake3,
            wall_seconds,
            cpu_seconds,
            sections: state.map(|(name, part)| (name.to_owned(), part.len() as u64)).to_vec(),
        };
        self.checkpoints.save(&header, &state.map(|(_, part)| part))
    }

    /// Wall-clock and CPU seconds of all parts, given those of this part.
    #[must_use]
    pub fn seconds(&self, (wall, cpu): (f64, f64)) -> (f64, f64) {
        (self.seconds_before.0 + wall, self.seconds_before.1 + cpu)
    }

    /// All lines so far.
    pub fn metrics(&mut self) -> Result<Vec<u8>> {
        self.metrics.sync()?;
        self.metrics.contents()
    }
}

fn check(header: &CheckpointHeader, job: JobId, numerics: &Numerics) -> Result<()> {
    if header.job != job {
        return Err(Error::data(format!(
            "the working directory of {} holds a checkpoint of {}",
            job.short(),
            header.job.short()
        )));
    }
    if header.numerics != *numerics {
        return Err(Error::usage(format!(
            "run {} was started in numerics class {}, but this is {}",
            job.short(),
            header.numerics,
            numerics
        ))
        .hint(
            "continue it on the machine or with the SCARCE_ISA it was started with, or remove its \
             working directory to start again",
        ));
    }
    Ok(())
}
