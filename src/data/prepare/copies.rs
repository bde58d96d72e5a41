//! Exact copies of documents: a file that is given twice, or documents that were collected twice.
//!
//! A document counts once. In a held-out split a copy would count as an independent observation,
//! which it is not, and make standard errors too small; in the training split it would count as
//! text that the model has not seen yet, while an epoch reads it again. So the first copy stays and
//! the others are left out. Where they belong to the text (lines of a chat, headings), they can be
//! kept in the training split; held-out documents are unique in any case.

use std::collections::BTreeSet;

use crate::data::input::ReadCounts;

/// Documents that are remembered: about 200 MB. Of what comes later, copies of these are found.
const SEEN_MAX: usize = 1 << 24;

/// What becomes of copies of training documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copies {
    /// They are left out.
    Drop,
    /// They stay.
    KeepInTraining,
}

/// Tells copies while documents go by.
#[derive(Debug, Default)]
pub(super) struct CopyFinder {
    seen: BTreeSet<u64>,
    left_out: u64,
    kept: u64,
}

impl CopyFinder {
    /// Whether a document with this hash was there before.
    pub(super) fn is_copy(&mut self, key: u64) -> bool {
        if self.seen.len() >= SEEN_MAX {
            return self.seen.contains(&key);
        }
        !self.seen.insert(key)
    }

    /// Counts a copy.
    pub(super) fn count(&mut self, kept: bool) {
        self.left_out += u64::from(!kept);
        self.kept += u64::from(kept);
    }

    /// Adds what was found to the counts of a reading.
    pub(super) fn report(&self, counts: &mut ReadCounts) {
        counts.copies_left_out += self.left_out;
        counts.copies_kept += self.kept;
    }
}
