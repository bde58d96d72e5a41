//! A cell of a study: one model at one budget, with everything that a search does not move.

use super::grid::Setting;
use crate::spec::{
    CorpusFacts, EnsembleSpec, EvaluateSpec, Job, JobId, OptimSpec, Request, Split, TrainSpec,
    resolve,
};
use crate::store::{Column, Loss, Record};
use crate::{Error, Result};

/// What the runs of a cell share.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    template: TrainSpec,
    seed: u64,
}

impl Cell {
    /// Resolves the base of a study against a corpus. Member k of the cell takes `seed` + k for
    /// its weights and for its order (mission T4).
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn new(request: &Request<'_>, corpus: &CorpusFacts, seed: u64) -> Result<Self> {
        Ok(Self { template: resolve(request, corpus)?.spec, seed })
    }

    /// The run of member `member` at a setting.
    #[must_use]
    pub fn train(&self, setting: Setting, member: u64) -> TrainSpec {
        let mut spec = self.template.clone();
        spec.data.epochs = setting.epochs;
        let OptimSpec::Adamw { lr, weight_decay, .. } = &mut spec.optim;
        (*lr, *weight_decay) = (setting.lr, setting.weight_decay);
        spec.seeds.init = self.seed + member;
        spec.seeds.order = self.seed + member;
        spec
    }

    /// The runs of the first members at a setting.
    pub fn members(&self, setting: Setting, count: u32) -> impl Iterator<Item = Job> {
        (0..u64::from(count)).map(move |member| Job::Train(self.train(setting, member)))
    }

    /// An evaluation of members alone and averaged.
    #[must_use]
    pub fn evaluate(&self, members: &[JobId], split: Split) -> Job {
        Job::Evaluate(EvaluateSpec {
            members: members.to_vec(),
            corpus: self.template.data.corpus,
            split: split.into(),
            sequence_tokens: self.template.data.sequence_tokens,
            mask: self.template.data.mask,
            precision: self.template.precision,
        })
    }

    /// Ensembles of all subsets of members.
    #[must_use]
    pub fn ensembles(&self, members: &[JobId], split: Split) -> Job {
        Job::Ensemble(EnsembleSpec {
            members: members.to_vec(),
            corpus: self.template.data.corpus,
            split,
            sequence_tokens: self.template.data.sequence_tokens,
            mask: self.template.data.mask,
            precision: self.template.precision,
            subsets_max: EnsembleSpec::SUBSETS_MAX,
        })
    }

    /// The setting that the base itself asks for.
    #[must_use]
    pub fn setting(&self) -> Setting {
        let OptimSpec::Adamw { lr, weight_decay, .. } = self.template.optim;
        Setting { epochs: self.template.data.epochs, lr, weight_decay }
    }

    /// Optimizer steps in one pass over the budget.
    #[must_use]
    pub fn steps_per_epoch(&self) -> f64 {
        let batch = f64::from(self.template.optim.batch_sequences());
        self.template.data.budget_tokens as f64
            / f64::from(self.template.data.sequence_tokens)
            / batch
    }

    /// The base, resolved.
    #[must_use]
    pub fn template(&self) -> &TrainSpec {
        &self.template
    }
}

/// Final loss on `val`, in nats per token; `None` for a run that diverged.
#[must_use]
pub(super) fn val_loss(record: &Record) -> Option<&Loss> {
    record.loss(Column::Model, Split::Val)
}

/// The loss of a column of an evaluation.
pub(super) fn column(record: &Record, name: Column, split: Split) -> Result<&Loss> {
    record
        .loss(name, split)
        .ok_or_else(|| Error::data(format!("record {} holds no loss `{name}`", record.id.short())))
}
