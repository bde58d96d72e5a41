//! What a column of a ledger, and the loss of it, is of.
//!
//! The one file that knows these names as text: in records, ledgers and tables they are written as
//! here, everywhere else a name is a [`Column`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::quoted;
use crate::{Error, Result};

/// How predictions of several models become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Average {
    /// Means of logits: the paper's ensemble (mission R4).
    Logits,
    /// Means of probabilities.
    Probabilities,
}

/// What a loss is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Column {
    /// The model that was trained.
    Model,
    /// An estimate by counting.
    Ngram,
    /// The exact entropy of the text, where it is known.
    Floor,
    /// A member alone, counted from 0.
    Member(usize),
    /// The average of the first K members.
    First(Average, usize),
    /// The mean over all ensembles of K members, token by token.
    Subsets(Average, usize),
    /// The model whose weights are the mean of those of the first K members.
    Soup(usize),
}

impl Average {
    /// Both, the paper's first.
    pub const BOTH: [Self; 2] = [Self::Logits, Self::Probabilities];

    /// One word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
        }
    }
}

impl fmt::Display for Average {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Average {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::BOTH.into_iter().find(|average| average.name() == name);
        found.ok_or_else(|| Error::data(format!("`{}` is no average", quoted(name))))
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.pad("model"),
            Self::Ngram => f.pad("ngram"),
            Self::Floor => f.pad("floor"),
            Self::Member(index) => write!(f, "member-{index}"),
            Self::First(average, count) => write!(f, "{average}-{count}"),
            Self::Subsets(average, count) => write!(f, "subsets-{average}-{count}"),
            Self::Soup(count) => write!(f, "soup-{count}"),
        }
    }
}

impl FromStr for Column {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let count = |text: &str| text.parse::<usize>().ok();
        let numbered = |beginning: &str| count(name.strip_prefix(beginning)?.strip_prefix('-')?);
        let averaged = |beginning: &str| {
            let rest = name.strip_prefix(beginning)?;
            let of = |average: Average| {
                let count = count(rest.strip_prefix(average.name())?.strip_prefix('-')?)?;
                Some((average, count))
            };
            Average::BOTH.into_iter().find_map(of)
        };
        let found = match name {
            "model" => Some(Self::Model),
            "ngram" => Some(Self::Ngram),
            "floor" => Some(Self::Floor),
            _ => (numbered("member").map(Self::Member))
                .or_else(|| numbered("soup").map(Self::Soup))
                .or_else(|| averaged("").map(|(average, k)| Self::First(average, k)))
                .or_else(|| averaged("subsets-").map(|(average, k)| Self::Subsets(average, k))),
        };
        // One name per column: "member-07" and "member-+7" are no names.
        found.filter(|column| column.to_string() == name).ok_or_else(|| {
            Error::data(format!("`{}` is no name of a loss", quoted(name)))
                .hint("a newer version may have written it")
        })
    }
}

impl TryFrom<String> for Column {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<Column> for String {
    fn from(column: Column) -> Self {
        column.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_released_records() {
        use Average::{Logits, Probabilities};
        let all = [
            (Column::Model, "model"),
            (Column::Ngram, "ngram"),
            (Column::Floor, "floor"),
            (Column::Member(0), "member-0"),
            (Column::First(Logits, 12), "logits-12"),
            (Column::First(Probabilities, 1), "probabilities-1"),
            (Column::Subsets(Logits, 3), "subsets-logits-3"),
            (Column::Subsets(Probabilities, 3), "subsets-probabilities-3"),
            (Column::Soup(2), "soup-2"),
        ];
        for (column, name) in all {
            assert_eq!(column.to_string(), name);
            assert_eq!(name.parse::<Column>().unwrap(), column);
            assert_eq!(serde_json::to_string(&column).unwrap(), format!("\"{name}\""));
        }
        for bad in ["", "models", "member-", "member-01", "member-+1", "logits", "soup--1"] {
            let error = bad.parse::<Column>().unwrap_err().to_string();
            assert!(error.contains("is no name of a loss"), "{bad}: {error}");
        }
    }
}
