//! What a person may consent to: results that differ from what the request seems to say.
//!
//! Each is refused unless `--allow WORD` asks for it. What was allowed, and was needed, stands in
//! the record as `allowed` and on pages. It enters no id: the spec says what is done, consent only
//! that somebody knows it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{quoted, suggest};
use crate::{Error, Result};

/// One word of `--allow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consent {
    /// A tokenizer that loses a large share of the text, as unknown tokens or as dropped spaces.
    LostText,
    /// A request that whole steps change by more than a twentieth.
    Rounding,
    /// A model that is read with another tokenizer than the one it was trained with.
    Tokenizer,
    /// A model with rows for tokens that its corpus does not have.
    Vocabulary,
}

impl Consent {
    /// All words, in alphabetical order.
    pub const ALL: [Self; 4] = [Self::LostText, Self::Rounding, Self::Tokenizer, Self::Vocabulary];

    /// The word on the command line and in files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::LostText => "lost-text",
            Self::Rounding => "rounding",
            Self::Tokenizer => "tokenizer",
            Self::Vocabulary => "vocabulary",
        }
    }

    /// The flag that gives it, for hints.
    #[must_use]
    pub fn flag(self) -> String {
        format!("--allow {}", self.word())
    }
}

impl fmt::Display for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Consent {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(consent) = Self::ALL.into_iter().find(|consent| consent.word() == text) {
            return Ok(consent);
        }
        let words = Self::ALL.map(Self::word);
        let error = Error::usage(format!("`{}` is nothing to allow", quoted(text)));
        Err(error
            .hint(suggest(text, words).unwrap_or_else(|| format!("it takes {}", words.join(", ")))))
    }
}

/// A set of consents. As text it is a list of words in alphabetical order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed(u8);

impl Allowed {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Whether this was allowed.
    #[must_use]
    pub fn has(self, consent: Consent) -> bool {
        self.0 & (1 << consent as u8) != 0
    }

    /// Whether nothing was allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in one of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The members, in alphabetical order of their words.
    pub fn iter(self) -> impl Iterator<Item = Consent> {
        Consent::ALL.into_iter().filter(move |consent| self.has(*consent))
    }
}

impl FromIterator<Consent> for Allowed {
    fn from_iter<I: IntoIterator<Item = Consent>>(consents: I) -> Self {
        Self(consents.into_iter().fold(0, |set, consent| set | 1 << consent as u8))
    }
}

impl From<Consent> for Allowed {
    fn from(consent: Consent) -> Self {
        Self::from_iter([consent])
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Consent::word).collect();
        f.pad(&words.join(", "))
    }
}

impl Serialize for Allowed {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Consent::word))
    }
}

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(from)?;
        words.iter().map(|word| word.parse().map_err(serde::de::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_survives_its_text_in_alphabetical_order() {
        let set: Allowed = [Consent::Vocabulary, Consent::LostText].into_iter().collect();
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(text, "[\"lost-text\",\"vocabulary\"]");
        assert_eq!(serde_json::from_str::<Allowed>(&text).unwrap(), set);
        assert_eq!(set.to_string(), "lost-text, vocabulary");
        assert!(serde_json::from_str::<Allowed>("[\"anything\"]").is_err());
    }

    #[test]
    fn sets_are_joined_and_cut() {
        let one = Allowed::from(Consent::Rounding);
        let two = one.or(Consent::Tokenizer.into());
        assert!(two.has(Consent::Tokenizer) && !one.has(Consent::Tokenizer));
        assert_eq!(two.and(one), one);
        assert!(Allowed::NONE.is_empty() && one.and(Consent::LostText.into()).is_empty());
    }

    #[test]
    fn a_word_that_is_none_gets_a_hint() {
        let error = "vocabulry".parse::<Consent>().unwrap_err();
        assert_eq!(error.hint_text(), Some("did you mean `vocabulary`?"));
        assert_eq!(error.exit_code(), 2);
        assert!("x".parse::<Consent>().unwrap_err().to_string().contains("lost-text, rounding"));
    }
}
