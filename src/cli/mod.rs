//! The command line: parses, calls, prints; the only printer.

pub mod prepare;
