//! Studies: short planners that propose specs and read records. They never train, and do no I/O
//! but through the lab.

pub mod best;
mod cell;
mod decided;
pub mod ensemble;
mod file;
mod grid;
mod members;
mod message;
pub mod quickstart;
pub mod scale;
mod search;

#[cfg(test)]
mod testing;
mod trial;
pub mod tune;

pub use cell::Cell;
pub use decided::check_sets;
pub use file::{Plan, StudyFile};
pub use grid::{Axis, Grid, Point, Setting, Step};
pub use members::MembersCurve;
pub use message::Message;
pub use trial::{Basis, Difference, Score, Trial};
