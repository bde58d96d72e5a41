//! A lab for tests of planners: it trains nothing and knows every loss by a formula.

use std::collections::BTreeMap;

use super::grid::Setting;
use crate::eval::{Ledger, Tokens};
use crate::lab::Lab;
use crate::spec::{CorpusFacts, Job, JobId, OptimSpec, Split, TrainSpec};
use crate::store::{Average, Column, Cost, Machine, Measured, Numerics, Outcome, Record};
use crate::train::{HeldOut, MetricsLine};
use crate::{Error, Result};

/// Blocks of text, and tokens in each.
const BLOCKS: u32 = 24;
const TOKENS: u32 = 2;

/// The formula: the loss of a run, or `None` if it diverges.
type Formula = Box<dyn Fn(&TrainSpec) -> Option<f64>>;

/// A lab of formulas.
pub(super) struct FormulaLab {
    formula: Formula,
    /// What K members gain by averaging is this times 1 - 1/K.
    pub(super) gain: f64,
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// How often a job that was new was asked for.
    pub(super) trained: usize,
    /// Speed by which runs claim to have taken time; none: no time.
    pub(super) operations_per_second: Option<f64>,
    /// After so many runs the lab is interrupted.
    pub(super) patience: usize,
}

/// The setting of a run.
pub(super) fn setting(spec: &TrainSpec) -> Setting {
    let OptimSpec::Adamw { lr, weight_decay, .. } = spec.optim;
    Setting { epochs: spec.data.epochs, lr, weight_decay }
}

/// A corpus that does not exist.
pub(super) fn facts() -> CorpusFacts {
    CorpusFacts { id: "ab".repeat(32).parse().unwrap(), vocabulary: 256, train_tokens: 1 << 20 }
}

/// A number in [-1, 1] that follows from what it is given.
fn chance(parts: &[&[u8]]) -> f64 {
    let mut hasher = blake3::Hasher::new();
    parts.iter().for_each(|part| {
        hasher.update(part);
    });
    let bytes = *hasher.finalize().as_bytes();
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    (number >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

impl FormulaLab {
    pub(super) fn new(formula: impl Fn(&TrainSpec) -> Option<f64> + 'static) -> Self {
        Self {
            formula: Box::new(formula),
            gain: 0.1,
            jobs: BTreeMap::new(),
            trained: 0,
            operations_per_second: None,
            patience: usize::MAX,
        }
    }

    fn loss(&self, id: JobId) -> Option<f64> {
        match &self.jobs[&id] {
            Job::Train(spec) => (self.formula)(spec),
            _ => None,
        }
    }

    /// Time by the operations of a run, evaluations for nothing.
    fn cost(&self, job: &Job) -> Cost {
        let (Job::Train(spec), Some(speed)) = (job, self.operations_per_second) else {
            return Cost::default();
        };
        let tokens = spec.data.epochs * spec.data.budget_tokens as f64;
        let flops = tokens * spec.model.flops_per_token(spec.data.sequence_tokens) as f64;
        Cost { flops, wall_seconds: flops / speed, ..Cost::default() }
    }

    /// The columns of a job: names with mean losses.
    fn columns(&self, job: &Job) -> Vec<(Column, f64)> {
        let members = match job {
            Job::Train(spec) => {
                let loss = (self.formula)(spec);
                return loss.map(|loss| (Column::Model, loss)).into_iter().collect();
            }
            Job::Evaluate(spec) => &spec.members,
            Job::Ensemble(spec) => &spec.members,
            Job::Ngram(_) => return Vec::new(),
        };
        let losses: Vec<f64> = members.iter().map(|&id| self.loss(id).unwrap()).collect();
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        let mut columns: Vec<(Column, f64)> =
            losses.iter().enumerate().map(|(i, &loss)| (Column::Member(i), loss)).collect();
        for k in 1..=losses.len() {
            let gain = self.gain * (1.0 - 1.0 / k as f64);
            let first = losses[..k].iter().sum::<f64>() / k as f64;
            columns.push((Column::First(Average::Logits, k), first - gain));
            columns.push((Column::Subsets(Average::Logits, k), mean - gain));
            columns.push((Column::Subsets(Average::Probabilities, k), mean - 0.9 * gain));
        }
        columns
    }

    /// As a record of subsets has it that lacks everything else.
    fn measured(job: &Job) -> Vec<Measured> {
        let Job::Ensemble(spec) = job else { return Vec::new() };
        let count = |k: usize| Measured { name: format!("subsets_{k}_count"), value: 1.0 };
        (1..=spec.members.len()).map(count).collect()
    }

    fn ledger_of(&self, job: &Job) -> Ledger {
        let blocks = (0..BLOCKS * TOKENS).map(|token| token / TOKENS).collect();
        let mut ledger = Ledger::new(Tokens { blocks, bytes: None });
        let id = job.id().to_string();
        for (name, loss) in self.columns(job) {
            let noise = |token: u32| {
                let block = (token / TOKENS).to_le_bytes();
                // Text is hard or easy for all models alike, and a little so for each.
                0.5 * chance(&[&block])
                    + 0.02 * chance(&[&block, name.to_string().as_bytes(), id.as_bytes()])
            };
            let noises: Vec<f64> = (0..BLOCKS * TOKENS).map(noise).collect();
            let mean = noises.iter().sum::<f64>() / noises.len() as f64;
            let column = noises.iter().map(|noise| -(loss + noise - mean) as f32).collect();
            ledger.push(name, column);
        }
        ledger
    }

    fn record(&self, job: &Job) -> Record {
        let split = match job {
            Job::Ensemble(spec) => spec.split,
            Job::Evaluate(spec) => match spec.split {
                crate::spec::Part::Split(split) => split,
                crate::spec::Part::Side(_) => panic!("studies read splits"),
            },
            _ => Split::Val,
        };
        let losses = self.ledger_of(job).losses(split);
        let outcome = match (job, losses.is_empty()) {
            (Job::Train(_), true) => Outcome::Diverged { step: 7 },
            _ => Outcome::Finished,
        };
        Record {
            id: job.id(),
            kind: job.kind(),
            outcome,
            losses,
            side_losses: Vec::new(),
            side_means: Vec::new(),
            measured: Self::measured(job),
            ensemble: None,
            trained_on: Vec::new(),
            tokenizer: None,
            allowed: crate::spec::Allowed::NONE,
            cost: self.cost(job),
            machine: Machine::here(1, "portable"),
            numerics: Numerics {
                backend: "cpu".to_owned(),
                arithmetic: "f32".to_owned(),
                determinism: "exact".to_owned(),
                version: 1,
            },
            version: "test".to_owned(),
            finished_unix_seconds: 0,
        }
    }
}

impl Lab for FormulaLab {
    fn obtain(&mut self, jobs: &[Job]) -> Result<Vec<Record>> {
        for job in jobs {
            if self.jobs.contains_key(&job.id()) {
                continue;
            }
            if let Job::Train(_) = job {
                if self.trained == self.patience {
                    return Err(Error::interrupted("stopped"));
                }
                self.trained += 1;
            }
            self.jobs.insert(job.id(), job.clone());
        }
        Ok(jobs.iter().map(|job| self.record(job)).collect())
    }

    fn ledger(&self, id: JobId, _split: Split) -> Result<Ledger> {
        Ok(self.ledger_of(&self.jobs[&id]))
    }

    fn metrics(&self, id: JobId) -> Result<Vec<MetricsLine>> {
        let Job::Train(spec) = &self.jobs[&id] else { panic!("{id} is not a run") };
        let loss = (self.formula)(spec).unwrap_or(f64::NAN);
        // More epochs fit the training text better, whatever that does to the rest. Strong decay
        // looks worse until late.
        let train = 3.0 - 0.3 * spec.data.epochs.ln();
        let decay = setting(spec).weight_decay;
        let line = |step: u64| MetricsLine {
            step,
            epoch: spec.data.epochs * step as f64 / 10.0,
            tokens: step,
            train_loss_nats: train,
            lr: 0.0,
            gradient_norm: 1.0,
            weight_norm: 1.0,
            tokens_per_second: 1.0,
            held_out: vec![HeldOut {
                name: "val".to_owned(),
                loss_nats: loss + (10 - step) as f64 * (0.1 + decay),
                standard_error_nats: None,
                tokens: 1,
            }],
        };
        Ok((1..=10).map(line).collect())
    }
}
