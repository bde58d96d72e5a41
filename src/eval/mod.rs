//! Held-out losses: what a model, an ensemble or a count-based baseline reaches, and how sure we are.

pub mod ngram;
pub mod statistics;
