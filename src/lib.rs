//! `scarce` pre-trains language models when **data is the limit and compute is not**.
//!
//! A *spec* is plain data that determines every number of a job. A *record* is what the job left
//! behind. The *store* remembers records under the hash of their spec. The *lab* turns specs into
//! records, from memory where it can. A *study* proposes specs and reads records. A *law* is fitted
//! to records. A *report* shows them. ARCHITECTURE.md has the layered picture.

#![forbid(unsafe_code)]

/// Serializes a type as what an expression makes of it: for released JSON whose keys are not the
/// names of fields.
macro_rules! serialize_as {
    ($type:ty, |$it:ident| $value:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(
                &self,
                to: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                let $it = self;
                serde::Serialize::serialize(&$value, to)
            }
        }
    };
}

pub mod analysis;
pub mod cli;
pub mod data;
pub mod disk;
pub mod draw;
pub mod error;
pub mod eval;
pub mod exchange;
pub mod figures;
#[cfg(test)]
mod golden;
pub mod lab;
pub mod laws;
pub mod model;
pub mod number;
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
