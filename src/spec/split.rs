//! The three parts of a corpus.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of a corpus. Tuning reads `val`, verdicts read `test`, and every read of `test` is
/// entered in the store's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What models are trained on.
    Train,
    /// What choices are made on.
    Val,
    /// What is reported; sealed.
    Test,
}

impl Split {
    /// All splits, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// The split's name in files and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
