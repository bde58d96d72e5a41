//! Specs: plain data that determines every number of a job. No I/O.

pub mod bounds;
pub mod canonical;
mod consent;
mod data;
pub mod field;
mod id;
mod job;
mod model;
mod optim;
mod part;
pub mod preset;
mod resolve;
mod split;
mod text;
mod train;

pub use consent::{Allowed, Consent};
pub use data::{Component, DataSpec, Mask, OrderMode};
pub use id::{CorpusId, JobId, SideId};
pub use job::{EnsembleSpec, EvaluateSpec, Job, JobKind, NgramSpec};
pub use model::{FeedForward, Init, ModelSpec, Rope, RopeScaling};
pub use optim::{Decay, OptimSpec, Schedule};
pub use part::{Part, SideName, SideSet};
pub use resolve::{CorpusFacts, Origin, Request, Resolved, named_corpus, resolve, set_keys};
pub use split::Split;
pub use text::parse_toml;
pub use train::{Evaluation, Objective, Precision, Seeds, Start, TrainSpec};

#[cfg(test)]
mod tests;
