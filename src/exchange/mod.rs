//! Runs of other programs: their files are read here, and kept apart from our own records.
//!
//! Every source becomes rows of named values (`row`), rows become typed runs (`fields`), and a
//! filter may choose among them. Names are parsed here and nowhere else, and only where a user
//! says that they follow the reference's convention.
//!
//! Memory: a row, a chunk or a page at a time, and the thinned course of each run that a table
//! mixes with others. Files may be hostile: lengths are checked before memory is asked for.

mod alias;
mod cell;
mod dialect;
mod duplicate;
mod fields;
mod filter;
mod history;
mod json;
mod jsonl;
mod name;
#[cfg(feature = "parquet")]
mod parquet;
mod reading;
mod row;
pub mod sheet;
mod source;
mod spool;
mod table;
mod wandb;

pub use cell::printable;
pub use dialect::{Decimal, Dialect, SAMPLE, Written, parse_delimiter};
pub use duplicate::{Gathered, OnDuplicate, settle};
pub use fields::{FIELD_NAMES, Mapping, listed};
pub use filter::{Choice, Filter, Verdict};
pub use name::{RunName, budget_of_label, token_label};
pub use reading::{Format, Import, Imported, Sink};
pub use source::import;
