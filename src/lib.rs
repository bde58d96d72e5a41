//! `scarce` pre-trains language models when **data is the limit and compute is not**.
//!
//! A *spec* is plain data that determines every number of a job. A *record* is what the job left
//! behind. The *store* remembers records under the hash of their spec. The *lab* turns specs into
//! records, from memory where it can. A *study* proposes specs and reads records. A *law* is fitted
//! to records. A *report* shows them. ARCHITECTURE.md has the layered picture.

#![forbid(unsafe_code)]

pub mod cli;
pub mod data;
pub mod disk;
pub mod error;
pub mod eval;
pub mod exchange;
#[cfg(test)]
mod golden;
pub mod lab;
pub mod laws;
pub mod model;
pub mod optim;
pub mod report;
pub mod spec;
pub mod store;
pub mod study;
pub mod token;
pub mod train;

pub use error::{Error, Result};

// Files hold little-endian numbers, which are therefore written as they lie in memory.
const _: () = assert!(cfg!(target_endian = "little"), "files would need their bytes swapped");
