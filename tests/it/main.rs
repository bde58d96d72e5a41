//! One binary for all integration tests. A test that belongs to one module lives in that module;
//! here is what needs several of them or the real program.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files fails")]

/// Bad input: messages, hints, exit codes, nothing half written.
mod bad_input;

/// Inputs of `scarce prepare` that look right and are not, or the other way round.
mod cases_prepare;

/// Tokenizers of other programs.
mod cases_tokenizers;

/// Tables of losses that look right and are not, or the other way round.
mod cases_fit;

/// Runs of other programs that look right and are not, or the other way round.
mod cases_tables;

/// `scarce best`.
mod best;

/// Counts beyond all measure, and models that no memory holds.
mod bounds;

/// What needs consent.
mod consents;

/// Corpora that change while a job reads them or while they are written.
mod cases_corpora;

/// Stores that are damaged, shared, left behind or in the way.
mod cases_stores;

/// Ensembles over the subsets of their members.
mod ensemble;

/// A browser without a window.
mod browser;

/// `scarce fit`.
mod fit;

/// Stored samples of every on-disk format.
mod formats;

/// Damaged inputs by the thousand.
mod fuzz;

/// `scarce import runs`.
mod import;

/// The choice of an arithmetic.
mod kernels;

/// Messages about hostile text.
mod messages;
mod mistakes;

/// `scarce fit --law auto` and `scarce predict`.
mod laws;

/// Runs on two corpora.
mod mixture;

/// Answers of PyTorch and transformers.
mod oracle;

/// Planted faults.
mod mutants;

/// `scarce plot`.
mod plot;

/// `scarce prepare`.
mod prepare;

/// Golden files.
#[path = "../../src/golden.rs"]
mod golden;

/// Running the real program.
mod program;

/// The quick start and its signs.
mod recipes;

/// Released JSON and its document.
mod released;

/// Pages in a browser.
mod report;

/// Kills, interrupts, damage: the trajectory stays the same.
mod resume;

/// `scarce show`.
mod show;

/// Side sets.
mod side;

/// `scarce tune`, `scale` and `report`.
mod study;

/// The rules of the house.
mod rooms;
mod tidy;
