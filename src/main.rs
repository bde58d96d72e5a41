//! The `scarce` command.

fn main() {}
