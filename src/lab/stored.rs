//! A lab that remembers and never works: for reports and for plans.

use std::collections::BTreeSet;

use super::Lab;
use crate::eval::Ledger;
use crate::spec::{Job, JobId, Split};
use crate::store::{Record, Store};
use crate::train::MetricsLine;
use crate::{Error, Result};

/// Answers from the store alone. The first call that would need a run fails, and says which.
#[derive(Debug)]
pub struct StoredLab {
    store: Store,
    missing: Vec<Job>,
    known: Vec<Job>,
    /// The ids of both: hashing a job is slow beside looking up its hash.
    seen: BTreeSet<JobId>,
}

impl StoredLab {
    /// A lab over a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, missing: Vec::new(), known: Vec::new(), seen: BTreeSet::new() }
    }

    /// The jobs that the failed call needed and the store does not have, each once.
    #[must_use]
    pub fn missing(&self) -> &[Job] {
        &self.missing
    }

    /// The jobs whose records were found, each once.
    #[must_use]
    pub fn known(&self) -> &[Job] {
        &self.known
    }
}

/// At most this many missing records are named one by one.
const NAMED: usize = 5;

impl Lab for StoredLab {
    fn obtain(&mut self, jobs: &[Job]) -> Result<Vec<Record>> {
        let mut records = Vec::with_capacity(jobs.len());
        for job in jobs {
            let id = job.id();
            let found = self.store.record(id)?;
            if self.seen.insert(id) {
                let list = if found.is_some() { &mut self.known } else { &mut self.missing };
                list.push(job.clone());
            }
            records.extend(found);
        }
        if self.missing.is_empty() {
            return Ok(records);
        }
        let count = self.missing.len();
        let name = |job: &Job| format!("{} {}", job.kind(), job.id().short());
        let mut names: Vec<String> = self.missing.iter().take(NAMED).map(name).collect();
        if count > NAMED {
            names.push(format!("{} more", count - NAMED));
        }
        let verb = if count == 1 { "is" } else { "are" };
        Err(Error::data(format!("{count} records {verb} missing: {}", names.join(", ")))
            .hint("run the study first: it goes on from what the store has"))
    }

    fn ledger(&self, id: JobId, split: Split) -> Result<Ledger> {
        super::ledger(&self.store, id, split)
    }

    fn metrics(&self, id: JobId) -> Result<Vec<MetricsLine>> {
        super::metrics(&self.store, id)
    }
}
