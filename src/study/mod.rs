//! Studies: short planners that propose specs and read records. They never train, and do no I/O
//! but through the lab.

pub mod quickstart;
