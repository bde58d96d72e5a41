//! Whether memory holds what is about to be run, asked before anything is.
//!
//! What the system does not tell refuses nothing.

use super::arithmetic::{all_kernels, foreseen};
use super::context::Corpora;
use super::ensemble::{ensemble_bytes, planned_ensemble_bytes};
use crate::model::Model;
use crate::spec::preset::PRESETS;
use crate::spec::{EvaluateSpec, Job, JobId, Part, Precision, Split, TrainSpec};
use crate::store::{Memory, Store};
use crate::train::Plan;
use crate::{Error, Result};

/// What a process takes besides the buffers of its job.
const PROCESS_BYTES: u64 = 16 << 20;
/// Sequences are not suggested to be shorter than this.
const SEQUENCE_MIN: u32 = 16;

/// Jobs that run at the same time, each in a process of its own.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// How many.
    pub workers: usize,
    /// Threads of each.
    pub threads: usize,
}

/// What jobs need beside what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The largest job, in bytes.
    pub largest_bytes: u64,
    /// All that run at a time, in bytes.
    pub together_bytes: u64,
    /// What can be had.
    pub memory: Memory,
}

impl Demand {
    /// What these jobs need, the largest of them together.
    ///
    /// # Errors
    /// If a job cannot be planned.
    pub fn of(jobs: &[Job], places: (&Store, &Corpora), crowd: Crowd) -> Result<Self> {
        let bytes = |job| Ok(job_bytes(job, places, crowd.threads)?.saturating_add(PROCESS_BYTES));
        let mut all = jobs.iter().map(bytes).collect::<Result<Vec<u64>>>()?;
        all.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self::together(&all[..all.len().min(crowd.workers.max(1))]))
    }

    /// What as many runs as there are workers need if all are like the largest of these.
    ///
    /// # Errors
    /// If a run cannot be planned.
    pub fn of_runs(specs: &[TrainSpec], crowd: Crowd) -> Result<Self> {
        let bytes = |spec| run_bytes(spec, crowd.threads);
        let all = specs.iter().map(bytes).collect::<Result<Vec<u64>>>()?;
        let largest = all.into_iter().max().unwrap_or(0).saturating_add(PROCESS_BYTES);
        Ok(Self::together(&vec![largest; crowd.workers.max(1)]))
    }

    fn together(bytes: &[u64]) -> Self {
        Self {
            largest_bytes: bytes.first().copied().unwrap_or(0),
            together_bytes: bytes.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes)),
            memory: Memory::here(),
        }
    }

    /// The bytes that one process may take, as far as they are known.
    #[must_use]
    pub fn most_bytes(&self) -> Option<u64> {
        let Memory { available_bytes, process_bytes } = self.memory;
        available_bytes.into_iter().chain(process_bytes).min()
    }

    /// Whether everything fits; not known where the system does not tell.
    #[must_use]
    pub fn fits(&self) -> Option<bool> {
        let alone = self.largest_bytes <= self.most_bytes()?;
        let all = self.memory.available_bytes.is_none_or(|most| self.together_bytes <= most);
        Some(alone && all)
    }

    /// Refuses what does not fit; `spec` is a run whose smaller variants are worth naming.
    ///
    /// # Errors
    /// Names what is needed, what can be had, and what would fit.
    pub fn check(&self, spec: Option<&TrainSpec>, crowd: Crowd) -> Result<()> {
        let Some(most) = self.most_bytes().filter(|_| self.fits() == Some(false)) else {
            return Ok(());
        };
        if self.largest_bytes > most {
            let (needed, most_text) = (size(self.largest_bytes), size(most));
            let text = format!("this needs {needed} of memory, and {most_text} can be had");
            let hint = spec.map(|spec| smaller(spec, crowd.threads, most)).unwrap_or_default();
            return Err(match hint.is_empty() {
                true => Error::usage(text)
                    .hint("fewer members, fewer threads and smaller models take less"),
                false => Error::usage(text).hint(format!("what fits: {}", hint.join(", or "))),
            });
        }
        let fitting = self.memory.available_bytes.unwrap_or(0) / self.largest_bytes.max(1);
        Err(Error::usage(format!(
            "{} workers at a time need {} of memory, and {} can be had",
            crowd.workers,
            size(self.together_bytes),
            size(self.memory.available_bytes.unwrap_or(0)),
        ))
        .hint(format!("--workers {} fits", fitting.max(1))))
    }
}

/// Bytes of a job at its peak.
fn job_bytes(job: &Job, (store, corpora): (&Store, &Corpora), threads: usize) -> Result<u64> {
    let tokens = |id, part: &Part| Ok::<_, Error>(corpora.get(id)?.part(part)?.tokens());
    match job {
        Job::Train(spec) => run_bytes(spec, threads),
        Job::Evaluate(EvaluateSpec {
            members, corpus, split, sequence_tokens, precision, ..
        }) => {
            let read = (*sequence_tokens, tokens(*corpus, split)?);
            members_bytes(members, store, read, (*precision, threads))
        }
        Job::Ensemble(spec) => {
            let read = (spec.sequence_tokens, tokens(spec.corpus, &spec.split.into())?);
            members_bytes(&spec.members, store, read, (spec.precision, threads))
        }
        // The budget's tokens and their counts by a single one; longer contexts repeat each other.
        Job::Ngram(spec) => Ok(spec.budget_tokens.saturating_mul(8)),
    }
}

fn run_bytes(spec: &TrainSpec, threads: usize) -> Result<u64> {
    // Which arithmetic it will be may not be known yet.
    let bytes = |kernels| Plan::new(spec, 1, kernels, threads).memory_bytes();
    Ok(all_kernels(spec.precision)?.into_iter().map(bytes).max().unwrap_or(0))
}

fn members_bytes(
    members: &[JobId],
    store: &Store,
    (positions, tokens): (u32, u64),
    (precision, threads): (Precision, usize),
) -> Result<u64> {
    let kernels = foreseen(Some(store), precision)?.kernels;
    let positions = positions as usize;
    let mut models = Vec::with_capacity(members.len());
    for &member in members {
        // What is no run or not there is told by the job itself.
        if store.has(member)
            && let Job::Train(spec) = store.job(member)?
        {
            models.push(Model::outline(&spec.model, positions, kernels));
        }
    }
    let models: Vec<&Model> = models.iter().collect();
    Ok(ensemble_bytes(&models, positions, threads, tokens))
}

/// Variants of a run that memory holds: fewer threads, smaller batches, shorter sequences, and the
/// largest preset.
fn smaller(spec: &TrainSpec, threads: usize, most: u64) -> Vec<String> {
    let most = most.saturating_sub(PROCESS_BYTES);
    let fits =
        |spec: &TrainSpec, threads| run_bytes(spec, threads).is_ok_and(|bytes| bytes <= most);
    let mut ways = Vec::new();
    if threads > 1 && fits(spec, 1) {
        ways.push("--threads 1".to_owned());
    }
    let mut single = spec.clone();
    let crate::spec::OptimSpec::Adamw { batch_sequences, .. } = &mut single.optim;
    *batch_sequences = 1;
    if spec.optim.batch_sequences() > 1 && fits(&single, threads) {
        ways.push("optim.batch_sequences=1".to_owned());
    }
    let mut short = spec.clone();
    while short.data.sequence_tokens / 2 >= SEQUENCE_MIN && !fits(&short, threads) {
        short.data.sequence_tokens /= 2;
    }
    if fits(&short, threads) {
        ways.push(format!("data.sequence_tokens={}", short.data.sequence_tokens));
    }
    let mut presets = Vec::new();
    for preset in PRESETS {
        let model = preset.model(spec.model.vocabulary);
        let smaller = TrainSpec { model, ..spec.clone() };
        if smaller.model.parameters() < spec.model.parameters() && fits(&smaller, threads) {
            presets.push((smaller.model.parameters(), preset.name));
        }
    }
    presets.sort_unstable();
    ways.extend(presets.last().map(|(_, name)| format!("model.preset={name}")));
    ways
}

/// What an ensemble study needs: its members as runs, and all of them in one process at its end.
///
/// # Errors
/// If the numbers do not fit together.
pub fn ensemble_demand(
    (base, members, split): (&TrainSpec, usize, Split),
    (store, corpora): (Option<&Store>, &Corpora),
    crowd: Crowd,
) -> Result<Demand> {
    let tokens = corpora.get(base.data.corpus)?.split(split).tokens();
    let ensemble = planned_ensemble_bytes(base, store, members, crowd.threads, tokens)?;
    let runs = Demand::of_runs(std::slice::from_ref(base), crowd)?;
    Ok(Demand {
        largest_bytes: runs.largest_bytes.max(ensemble),
        together_bytes: runs.together_bytes.max(ensemble),
        ..runs
    })
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    match mebibytes {
        m if m < 1024.0 => format!("{m:.0} MiB"),
        m => format!("{:.1} GiB", m / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWD: Crowd = Crowd { workers: 2, threads: 1 };

    fn demand(available_bytes: Option<u64>, process_bytes: Option<u64>) -> Demand {
        let memory = Memory { available_bytes, process_bytes };
        Demand { largest_bytes: 3 << 30, together_bytes: 6 << 30, memory }
    }

    #[test]
    fn nothing_is_refused_where_the_system_does_not_tell() {
        assert_eq!(demand(None, None).fits(), None);
        demand(None, None).check(None, CROWD).unwrap();
        demand(Some(6 << 30), Some(3 << 30)).check(None, CROWD).unwrap();
    }

    #[test]
    fn one_job_and_all_workers_have_bounds_of_their_own() {
        let alone = demand(Some(2 << 30), None).check(None, CROWD).unwrap_err();
        assert!(alone.to_string().starts_with("this needs 3.0 GiB of memory, and 2.0 GiB"));
        let alone = demand(Some(9 << 30), Some(1 << 30)).check(None, CROWD).unwrap_err();
        assert!(alone.to_string().contains("1.0 GiB can be had"));
        let all = demand(Some(5 << 30), None).check(None, CROWD).unwrap_err().to_string();
        assert!(all.starts_with("2 workers at a time need 6.0 GiB of memory, and 5.0 GiB"));
        assert!(all.ends_with("--workers 1 fits"), "{all}");
    }
}
