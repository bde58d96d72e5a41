//! Held-out losses: what a model, an ensemble or plain counting reaches, and how sure we are.

pub mod ngram;
pub mod statistics;
