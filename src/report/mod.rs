//! Shows results: tables and pages made of numbers that records hold.
//!
//! Nothing here runs a job, reads a store or fits a law. The caller fills plain types such as
//! [`quickstart::QuickstartReport`]; this module turns them into tables, a picture and one
//! self-contained page ([`page`]).

pub mod number;
pub mod page;
pub mod quickstart;
pub mod reading;
pub mod study;
