//! Parts of a corpus: its three splits, and named side sets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::SideId;
use super::split::Split;
use crate::error::quoted;
use crate::{Error, Result};

/// Longest name of a side set, so that file names stay short.
const NAME_BYTES_MAX: usize = 64;

/// The name of a side set: lowercase letters, digits and hyphens, and never that of a split, so
/// that one word names any part of a corpus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SideName(String);

/// A side set: held-out text from another domain (mission D7). Every run reports its loss on the
/// side sets of its corpus; nothing is trained on them and no choice reads them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SideSet {
    /// What its corpus calls it.
    pub name: SideName,
    /// Content id.
    pub id: SideId,
}

/// A part of a corpus that can be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Part {
    /// One of the splits, whose content the corpus' id covers.
    Split(Split),
    /// A side set, whose content its own id covers.
    Side(SideSet),
}

impl SideName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SideName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |what: String, hint: &str| Err(Error::usage(what).hint(hint));
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || !text.bytes().all(allowed) {
            return refused(
                format!("`{}` cannot name a side set", quoted(text)),
                "a name has lowercase letters, digits and hyphens, such as `wiki-2024`",
            );
        }
        if text.len() > NAME_BYTES_MAX {
            return refused(
                format!("`{}` is too long a name for a side set", quoted(text)),
                "a name has at most 64 characters",
            );
        }
        if Split::ALL.iter().any(|split| split.name() == text) {
            return refused(
                format!("a side set cannot be called `{text}`, which is a split"),
                "choose a name that says what domain the text is from",
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for SideName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<SideName> for String {
    fn from(name: SideName) -> Self {
        name.0
    }
}

impl fmt::Display for SideName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Part {
    /// The word that names it: of a split, or of a side set.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Split(split) => split.name(),
            Self::Side(side) => side.name.as_str(),
        }
    }
}

impl From<Split> for Part {
    fn from(split: Split) -> Self {
        Self::Split(split)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_side_sets_are_plain_words_that_no_split_has() {
        for name in ["wiki", "gsm8k", "a", "c4-en", "tests", &"x".repeat(64)] {
            assert_eq!(name.parse::<SideName>().unwrap().as_str(), name);
        }
        for name in ["", "Wiki", "a b", "a/b", "../a", "a.b", "é", "val", "train", "test"] {
            let error = name.parse::<SideName>().unwrap_err();
            assert_eq!(error.exit_code(), 2, "{name}");
            assert!(error.hint_text().is_some(), "{name}");
        }
        assert!("x".repeat(65).parse::<SideName>().is_err());
    }

    #[test]
    fn parts_survive_their_text_and_hostile_names_do_not() {
        let side = SideSet { name: "wiki".parse().unwrap(), id: SideId::of(b"text") };
        for part in [Part::from(Split::Test), Part::Side(side)] {
            let text = serde_json::to_string(&part).unwrap();
            assert_eq!(serde_json::from_str::<Part>(&text).unwrap(), part);
        }
        assert_eq!(serde_json::to_string(&Part::from(Split::Val)).unwrap(), "\"val\"");
        let id = SideId::of(b"");
        for text in [format!("{{\"name\": \"../x\", \"id\": \"{id}\"}}"), "\"wiki\"".to_owned()] {
            assert!(serde_json::from_str::<Part>(&text).is_err(), "{text}");
        }
    }
}
