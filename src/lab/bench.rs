//! What a job finds at hand, and what becomes of its record.

use std::time::{Duration, Instant};

use scarce_engine::isa::Kernels;
use scarce_engine::pool::Pool;

use super::arithmetic::numerics;
use super::context::Corpora;
use super::progress::Report;
use crate::eval::Ledger;
use crate::spec::{Allowed, CorpusId, Job, JobId, Part, Split};
use crate::store::{
    Checkpoints, Cost, Draft, Machine, Outcome, Published, Record, Store, TestRead, cpu_seconds,
    peak_memory_bytes, unix_seconds,
};
use crate::train::MetricsLine;
use crate::{Error, Result};

/// What does not change a result.
#[derive(Clone, Copy, Debug)]
pub struct WorkOptions {
    /// Threads inside the run.
    pub threads: usize,
    /// Whether the record keeps the trained weights.
    pub keep_weights: bool,
    /// Time between checkpoints.
    pub checkpoint_interval: Duration,
    /// Steps between lines of `metrics.jsonl`; 0: about a thousand lines a run.
    pub log_steps: u64,
    /// What the person who asked has consented to.
    pub allowed: Allowed,
}

impl Default for WorkOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            keep_weights: true,
            checkpoint_interval: Duration::from_secs(30),
            log_steps: 0,
            allowed: Allowed::NONE,
        }
    }
}

/// What a job gets to run with.
pub(super) struct Bench<'a> {
    pub(super) store: &'a Store,
    pub(super) corpora: &'a Corpora,
    pub(super) options: &'a WorkOptions,
    pub(super) report: &'a mut dyn FnMut(Report),
    pub(super) interrupted: &'a dyn Fn() -> bool,
    /// What the job needed consent for, and got it.
    pub(super) allowed: Allowed,
}

/// The threads of a job.
///
/// # Errors
/// If the system does not give so many.
pub(super) fn pool(threads: usize) -> Result<Pool> {
    Pool::try_new(threads).map_err(|cause| {
        Error::usage(format!("--threads {threads}: the system does not start so many: {cause}"))
            .hint("a run has no use for more than one per core")
    })
}

/// Wall-clock and CPU time since its start.
pub(super) struct Stopwatch {
    start: Instant,
    cpu_start_seconds: f64,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), cpu_start_seconds: cpu_seconds() }
    }

    /// Wall-clock and CPU seconds.
    pub(super) fn seconds(&self) -> (f64, f64) {
        (self.start.elapsed().as_secs_f64(), cpu_seconds() - self.cpu_start_seconds)
    }
}

impl Bench<'_> {
    /// The record of a job that ends now, still without losses.
    pub(super) fn record(
        &self,
        job: &Job,
        outcome: Outcome,
        kernels: Kernels,
        seconds: (f64, f64),
        cost: Cost,
    ) -> Record {
        let (wall_seconds, cpu_seconds) = seconds;
        let peak_memory_bytes = peak_memory_bytes();
        Record {
            id: job.id(),
            kind: job.kind(),
            outcome,
            losses: Vec::new(),
            side_losses: Vec::new(),
            side_means: Vec::new(),
            measured: Vec::new(),
            ensemble: None,
            trained_on: Vec::new(),
            tokenizer: None,
            allowed: self.allowed.or(self.corpora.allowed(job)),
            cost: Cost { wall_seconds, cpu_seconds, peak_memory_bytes, ..cost },
            machine: Machine::here(self.options.threads, kernels.isa().name()),
            numerics: numerics(kernels),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            finished_unix_seconds: unix_seconds(),
        }
    }

    /// An error if a corpus of the job was written to since it was opened, as far as a look at its
    /// files can tell.
    pub(super) fn check_corpora(&self, job: &Job) -> Result<()> {
        job.corpora().into_iter().try_for_each(|id| self.corpora.get(id)?.check_unchanged())
    }

    /// Makes the record of a job visible. Its corpora are hashed again before: what was read must
    /// be what the job's spec names, however cleverly a file was changed meanwhile.
    pub(super) fn publish(&mut self, draft: Draft, job: &Job, record: &Record) -> Result<()> {
        self.check_corpora(job)?;
        for id in job.corpora() {
            if let Err(error) = self.corpora.get(id)?.check_content() {
                // No date has told it, so that the checkpoints may be of the changed corpus, too.
                Checkpoints::new(&self.store.work_path(job.id())).forget()?;
                return Err(error);
            }
        }
        if let Published::Instead { of } = draft.publish(job, record)? {
            let text = format!(
                "a folder without a manifest lay in the place of record {} and is now `{}`",
                record.id.short(),
                of.display()
            );
            (self.report)(Report::Warning { text });
        }
        Ok(())
    }

    /// Enters a read of a sealed split before it happens.
    pub(super) fn log_read(&self, corpus: CorpusId, job: JobId, part: &Part) -> Result<()> {
        if *part != Part::Split(Split::Test) {
            return Ok(());
        }
        self.store.log_test_read(&TestRead { corpus, job, unix_seconds: unix_seconds() })
    }
}

/// Name of the ledger of a part of a corpus inside a record. Side sets and splits never share a
/// name.
pub(super) fn ledger_file(part: &Part) -> String {
    format!("ledger-{part}.safetensors")
}

/// The token ledger that a record keeps of a split.
pub fn ledger(store: &Store, id: JobId, split: Split) -> Result<Ledger> {
    let name = ledger_file(&split.into());
    Ledger::from_safetensors(&store.read_file(id, &name)?)
        .map_err(|error| error.within(format!("record {}, {name}", id.short())))
}

/// The lines that a training run left: its course.
pub fn metrics(store: &Store, id: JobId) -> Result<Vec<MetricsLine>> {
    parse_metrics(&store.read_file(id, "metrics.jsonl")?, id)
}

/// The lines of a `metrics.jsonl`.
pub(super) fn parse_metrics(text: &[u8], id: JobId) -> Result<Vec<MetricsLine>> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let parse = |line| {
        serde_json::from_slice(line)
            .map_err(|cause| Error::data(format!("metrics of {}: {cause}", id.short())))
    };
    lines.map(parse).collect()
}
