//! What the lab says while it works.

use serde::{Deserialize, Serialize};

use crate::spec::{JobId, JobKind};

/// What a worker says while it works on one job: one JSON line each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Report {
    /// Work done so far.
    Done {
        /// Steps, or windows.
        done: u64,
        /// All of them.
        total: u64,
        /// Last training loss in nats per token, where there is one.
        loss_nats: Option<f64>,
    },
    /// Something the user should know.
    Warning {
        /// In words.
        text: String,
    },
    /// Another process works on this job; this one waits for its record.
    Waiting {
        /// Who it is.
        on: String,
    },
}

/// Where a whole `obtain` stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overview {
    /// Jobs asked for, each counted once.
    pub total: usize,
    /// Of these, records that the store knew.
    pub known: usize,
    /// Jobs finished now.
    pub finished: usize,
    /// Jobs in progress.
    pub running: Vec<Running>,
    /// Share of the work done, in [0, 1], by floating-point operations.
    pub share: f64,
    /// Seconds left at the speed so far; absent before anything was done.
    pub seconds_left: Option<f64>,
    /// Something the user should know, said once.
    pub warning: Option<String>,
}

/// A job in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// Which.
    pub id: JobId,
    /// What kind.
    pub kind: JobKind,
    /// Steps done.
    pub done: u64,
    /// Steps in all; 0 before the first report.
    pub total: u64,
    /// Last training loss in nats per token, where there is one.
    pub loss_nats: Option<f64>,
}
