//! From text to a corpus.

mod synthetic;

use super::manifest::Manifest;
use super::writer::Publication;

pub use synthetic::prepare_synthetic;

/// A corpus that was prepared.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What it holds.
    pub manifest: Manifest,
    /// How it came to its place.
    pub publication: Publication,
    /// What the user should know about how it was made, as sentences.
    pub notes: Vec<String>,
}
