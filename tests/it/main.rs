//! One binary for all integration tests. A test that belongs to one module lives in that module;
//! here is what needs several of them or the real program.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files fails")]

/// Answers of PyTorch and transformers.
mod oracle;

/// `scarce prepare`.
mod prepare;

/// Running the real program.
mod program;

/// Kills, interrupts, damage: the trajectory stays the same.
mod resume;
