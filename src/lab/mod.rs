//! The lab turns specs into records: from memory where it can, else by running them.
//!
//! Studies know only the trait [`Lab`]. [`LocalLab`] runs what is missing in worker processes on
//! this machine, [`StoredLab`] runs nothing; [`work`] is what a worker does with one job, and also
//! the plain form of one run. Nothing here prints: progress goes to whoever asked.

mod arithmetic;
mod bench;
mod consent;
mod context;
mod cost;
mod ensemble;
mod evaluate;
mod floor;
mod local;
mod members;
mod memory;
mod ngram;
mod progress;
mod stored;
mod train;
mod work;

use crate::Result;
use crate::eval::Ledger;
use crate::spec::{Job, JobId, Split};
use crate::store::Record;
use crate::train::MetricsLine;

pub use arithmetic::{Choice, Reason, WORTHWHILE_GAIN, all_kernels, foreseen, kernels, numerics};
pub use bench::{WorkOptions, ledger, metrics};
pub use consent::{Consents, consents};
pub use context::Corpora;
pub use cost::Foretold;
pub use ensemble::planned_ensemble_bytes;
pub use floor::add_floors;
pub use local::{LocalLab, LocalOptions};
pub use memory::{Crowd, Demand, ensemble_demand};
pub use progress::{Overview, Report, Running};
pub use stored::StoredLab;
pub use train::{planned_reads, planned_steps, replay};
pub use work::work;

/// Turns jobs into records.
pub trait Lab {
    /// The records of these jobs, in their order. What the store knows is not run again.
    ///
    /// # Errors
    /// If a job cannot be run, or [`crate::Error::interrupted`]: what was finished is kept.
    fn obtain(&mut self, jobs: &[Job]) -> Result<Vec<Record>>;

    /// The token ledger that a record keeps of a split.
    fn ledger(&self, id: JobId, split: Split) -> Result<Ledger>;

    /// The lines that a training run left: its course.
    fn metrics(&self, id: JobId) -> Result<Vec<MetricsLine>>;
}
