//! Corpora: what models are trained and evaluated on.
//!
//! [`Language`] is the built-in text with exactly known entropy and [`Permutation`] the order of
//! training as a pure function.

pub mod hash;
mod language;
mod permutation;

pub use language::{LANGUAGE_SIZES, Language, LanguageSize};
pub use permutation::Permutation;
