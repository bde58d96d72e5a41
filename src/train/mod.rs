//! The trainer: steps cohorts of same-shaped members, resumes exactly, reports divergence.
//!
//! A step of a member is a sum over the sequences of its batch. The batch is cut into lanes, as
//! many as the model's shape says ([`crate::model::Model::lanes`]), each with a gradient of its
//! own; lanes are summed in order. Workers, one per thread, take lanes; so the number of threads
//! never reaches a result. The trainer does not know how held-out loss is measured: an [`Observer`]
//! does that.

mod cohort;
mod feed;
mod journal;
mod plan;
mod run;

pub use cohort::{Cohort, StepResult};
pub use feed::Feed;
pub use journal::{HeldOut, Journal, MetricsLine};
pub use plan::Plan;
pub use run::{Ended, Observer, Progress, Settings, run};

#[cfg(test)]
mod tests;
