//! What a study tells its user beside numbers: failure modes of the mission that the data show,
//! each with what to do.

use std::fmt;

use serde::Serialize;

/// A failure mode that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Its row in the project's mission: `F2`.
    pub id: &'static str,
    /// What was seen, in a sentence with numbers.
    pub seen: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Message {
    /// A message.
    #[must_use]
    pub fn new(id: &'static str, seen: impl Into<String>, remedy: &'static str) -> Self {
        Self { id, seen: seen.into(), remedy }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}. [{}]", self.seen, self.remedy, self.id)
    }
}
