//! What jobs cost, by formula: one account behind dry runs and progress.

use std::collections::BTreeMap;

use super::context::Corpora;
use super::ensemble::planned_ledger_bytes;
use super::train::planned_steps;
use crate::Result;
use crate::spec::{Job, JobId, ModelSpec, Part};
use crate::store::Store;

/// What some jobs would cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Foretold {
    /// Tokens of training, repetitions counted.
    pub tokens: u64,
    /// Floating-point operations of training and of scoring.
    pub flops: f64,
    /// Bytes of their records on disk: weights and ledgers. Metrics are small beside them.
    pub disk_bytes: u64,
}

/// The models of training runs by their ids.
type Models<'j> = BTreeMap<JobId, &'j ModelSpec>;

impl Foretold {
    /// Of these jobs. Members of averages may be among them or `planned`; others are looked for in
    /// the store, and one that is nowhere counts nothing.
    ///
    /// # Errors
    /// If a corpus is missing, or the store cannot be read.
    pub fn of<'j>(
        jobs: &'j [Job],
        planned: &'j [Job],
        (store, corpora): (Option<&Store>, &Corpora),
    ) -> Result<Self> {
        let averages = jobs.iter().any(|job| !matches!(job, Job::Train(_)));
        let runs = jobs.iter().chain(planned).filter(|_| averages);
        let model = |job: &'j Job| match job {
            Job::Train(spec) => Some((job.id(), &spec.model)),
            _ => None,
        };
        let models: Models<'j> = runs.filter_map(model).collect();
        let mut sum = Self::default();
        for job in jobs {
            let Self { tokens, flops, disk_bytes } = of_job(job, &models, (store, corpora))?;
            sum.tokens += tokens;
            sum.flops += flops;
            sum.disk_bytes = sum.disk_bytes.saturating_add(disk_bytes);
        }
        Ok(sum)
    }
}

fn of_job(
    job: &Job,
    models: &Models<'_>,
    (store, corpora): (Option<&Store>, &Corpora),
) -> Result<Foretold> {
    Ok(match job {
        Job::Train(spec) => {
            let sequence = spec.data.sequence_tokens;
            let batch = u64::from(spec.optim.batch_sequences()) * u64::from(sequence);
            let tokens = planned_steps(spec, corpora)?.saturating_mul(batch);
            let flops = tokens as f64 * spec.model.flops_per_token(sequence) as f64;
            Foretold { tokens, flops, disk_bytes: 4 * spec.model.parameters() }
        }
        Job::Evaluate(spec) => {
            let tokens = corpora.get(spec.corpus)?.part(&spec.split)?.tokens();
            let passes = passes(&spec.members, models, store, spec.sequence_tokens)?;
            // Members, and averages of the first ones.
            let disk_bytes = 2 * 4 * spec.members.len() as u64 * tokens;
            let flops = tokens as f64 * passes.iter().sum::<f64>();
            Foretold { tokens: 0, flops, disk_bytes }
        }
        Job::Ensemble(spec) => {
            let part = Part::Split(spec.split);
            let tokens = corpora.get(spec.corpus)?.part(&part)?.tokens();
            let passes = passes(&spec.members, models, store, spec.sequence_tokens)?;
            // Soups of the first members, from the second on, are models of the same shape.
            let soups = passes.first().map_or(0.0, |one| one * (passes.len() - 1) as f64);
            let flops = tokens as f64 * (passes.iter().sum::<f64>() + soups);
            let disk_bytes = planned_ledger_bytes(spec.members.len(), tokens);
            Foretold { tokens: 0, flops, disk_bytes }
        }
        Job::Ngram(_) => Foretold::default(),
    })
}

/// FLOP of a forward pass of each member per token: a third of a step of training.
fn passes(
    members: &[JobId],
    models: &Models<'_>,
    store: Option<&Store>,
    positions: u32,
) -> Result<Vec<f64>> {
    let pass = |model: &ModelSpec| model.flops_per_token(positions) as f64 / 3.0;
    let mut passes = Vec::new();
    for id in members {
        if let Some(model) = models.get(id) {
            passes.push(pass(model));
        } else if let Some(store) = store
            && store.has(*id)
            && let Job::Train(spec) = store.job(*id)?
        {
            passes.push(pass(&spec.model));
        }
    }
    Ok(passes)
}
