//! What a record knows of the ensembles of its members, as one field.
//!
//! Older records have the same numbers under names in `measured`, which go on being written: the
//! names are known to this file alone.

use serde::{Deserialize, Serialize};

use super::{Measured, Record};
use crate::store::column::{Average, Column};

/// The ensembles of all sizes of some members, on the split that the record's losses are of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnsembleFacts {
    /// By average, and in it by size, from 1 on.
    pub sizes: Vec<EnsembleSize>,
    /// How much two members differ; absent for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<MemberPairs>,
}

/// The ensembles of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnsembleSize {
    /// What is averaged.
    pub average: Average,
    /// Members K of an ensemble.
    pub members: usize,
    /// Mean loss over the subsets of K members, nats per token.
    pub nats: f64,
    /// Its standard error over the text; absent with fewer than two clusters.
    pub standard_error_nats: Option<f64>,
    /// How many subsets.
    pub subsets: u64,
    /// Standard deviation between subsets; absent for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sd_nats: Option<f64>,
    /// The same mean over the subsets that do without each member in turn, for the doubt about
    /// their choice; empty for all members together, and where subsets were sampled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_one_nats: Vec<f64>,
}

/// How much two members differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberPairs {
    /// Mean over pairs of the divergence of their predictions, nats per token.
    pub divergence_nats: f64,
    /// Mean share of tokens whose likeliest prediction differs.
    pub disagreement_share: f64,
    /// Pair by pair, where they are few enough to be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<MemberPair>,
}

/// Two members.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberPair {
    /// Which, counted from 0, the smaller first.
    pub members: [usize; 2],
    /// Kullback-Leibler divergence, the mean over both directions and over tokens, in nats.
    pub divergence_nats: f64,
    /// Share of the tokens where their likeliest next tokens differ.
    pub disagreement_share: f64,
}

impl EnsembleFacts {
    /// The ensembles of a size.
    #[must_use]
    pub fn size(&self, average: Average, members: usize) -> Option<&EnsembleSize> {
        self.sizes.iter().find(|size| size.average == average && size.members == members)
    }

    /// Mean losses of the ensembles of a size that do without each member, and of all members
    /// together those of one fewer; empty where they are not known.
    #[must_use]
    pub fn without_one(&self, average: Average, members: usize) -> &[f64] {
        let of = |members| self.size(average, members).map_or(&[][..], |s| &s.without_one_nats);
        match (of(members), self.size(average, members + 1)) {
            ([], None) => of(members.saturating_sub(1)),
            (known, _) => known,
        }
    }

    /// What is known under names: everything but the losses.
    #[must_use]
    pub fn measured(&self) -> Vec<Measured> {
        let mut measured = Vec::new();
        let mut add = |name: String, value: f64| measured.push(Measured { name, value });
        let of = |average| self.sizes.iter().filter(move |size| size.average == average);
        for size in of(Average::Logits) {
            add(count_name(size.members), size.subsets as f64);
        }
        for average in Average::BOTH {
            for size in of(average) {
                size.sd_nats.into_iter().for_each(|sd| add(sd_name(average, size.members), sd));
            }
        }
        for average in Average::BOTH {
            let members = of(average).map(|size| size.without_one_nats.len()).max().unwrap_or(0);
            for member in 0..members {
                for size in of(average) {
                    let without = size.without_one_nats.get(member);
                    let name = without_name(member, average, size.members);
                    without.into_iter().for_each(|&nats| add(name.clone(), nats));
                }
            }
        }
        let Some(MemberPairs { divergence_nats, disagreement_share, each }) = &self.pairs else {
            return measured;
        };
        add(DIVERGENCE.to_owned(), *divergence_nats);
        add(DISAGREEMENT.to_owned(), *disagreement_share);
        for pair in each {
            let [divergence, disagreement] = pair_names(pair.members);
            add(divergence, pair.divergence_nats);
            add(disagreement, pair.disagreement_share);
        }
        measured
    }

    /// Of a record that has these numbers under names only; `None` if it is of no ensemble.
    fn of_names(record: &Record) -> Option<Self> {
        let value = |name: &str| record.measured.iter().find(|m| m.name == name).map(|m| m.value);
        let mut sizes = Vec::new();
        for average in Average::BOTH {
            let column = |members| {
                record.losses.iter().find(|loss| loss.name == Column::Subsets(average, members))
            };
            let losses: Vec<_> = (1..).map_while(column).collect();
            let all = losses.len();
            for (members, loss) in (1..).zip(losses) {
                let without = |member| value(&without_name(member, average, members));
                let without: Option<Vec<f64>> = (0..all).map(without).collect();
                sizes.push(EnsembleSize {
                    average,
                    members,
                    nats: loss.nats,
                    standard_error_nats: loss.standard_error_nats,
                    subsets: value(&count_name(members))? as u64,
                    sd_nats: value(&sd_name(average, members)),
                    without_one_nats: without.unwrap_or_default(),
                });
            }
        }
        let all = sizes.len() / Average::BOTH.len();
        let pair = |members: [usize; 2]| {
            let [divergence_nats, disagreement_share] =
                pair_names(members).map(|name| value(&name));
            let (divergence_nats, disagreement_share) = (divergence_nats?, disagreement_share?);
            Some(MemberPair { members, divergence_nats, disagreement_share })
        };
        let each = (0..all).flat_map(|left| (left + 1..all).map(move |right| [left, right]));
        let pairs = value(DIVERGENCE).zip(value(DISAGREEMENT));
        let pairs = pairs.map(|(divergence_nats, disagreement_share)| MemberPairs {
            divergence_nats,
            disagreement_share,
            each: each.map_while(pair).collect(),
        });
        (!sizes.is_empty()).then_some(Self { sizes, pairs })
    }
}

impl Record {
    /// What is known of the ensembles of its members; `None` if it is no record of such.
    #[must_use]
    pub fn ensemble_facts(&self) -> Option<EnsembleFacts> {
        self.ensemble.clone().or_else(|| EnsembleFacts::of_names(self))
    }
}

const DIVERGENCE: &str = "pairs_divergence_nats";
const DISAGREEMENT: &str = "pairs_disagreement_share";

fn count_name(members: usize) -> String {
    format!("subsets_{members}_count")
}

fn sd_name(average: Average, members: usize) -> String {
    format!("subsets_{average}_{members}_sd_nats")
}

fn without_name(member: usize, average: Average, members: usize) -> String {
    format!("without_{member}_{average}_{members}_nats")
}

fn pair_names([left, right]: [usize; 2]) -> [String; 2] {
    ["divergence_nats", "disagreement_share"].map(|what| format!("pair_{left}_{right}_{what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the version wrote it that knew these numbers by their names only.
    fn stored() -> Record {
        serde_json::from_str(include_str!("../../../tests/formats/ensemble-record-1.json")).unwrap()
    }

    #[test]
    fn numbers_under_names_are_those_of_the_field() {
        let mut record = stored();
        assert_eq!(record.ensemble, None);
        let facts = record.ensemble_facts().unwrap();
        assert_eq!((facts.sizes.len(), facts.pairs.as_ref().unwrap().each.len()), (6, 3));
        let of = |members| facts.size(Average::Logits, members).unwrap();
        assert_eq!((of(2).subsets, of(3).subsets, of(3).sd_nats), (3, 1, None));
        // Without one of three members there is one pair, and its loss is among the mean's.
        let mean = facts.without_one(Average::Logits, 2).iter().sum::<f64>() / 3.0;
        assert!((mean - of(2).nats).abs() < 1e-6);
        assert_eq!(facts.without_one(Average::Logits, 3), of(2).without_one_nats);
        assert!(facts.without_one(Average::Logits, 9).is_empty());
        // What is written from the field are the same names in the same order.
        assert!(record.measured.ends_with(&facts.measured()));
        record.ensemble = Some(facts.clone());
        record.measured.clear();
        let text = serde_json::to_string(&record).unwrap();
        let again: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(again.ensemble_facts(), Some(facts));
    }

    #[test]
    fn records_that_lack_numbers_are_of_no_ensemble() {
        let mut record = stored();
        record.measured.retain(|measured| !measured.name.ends_with("_count"));
        assert_eq!(record.ensemble_facts(), None);
        let mut record = stored();
        record.measured.retain(|measured| !measured.name.starts_with("without_1"));
        let facts = record.ensemble_facts().unwrap();
        assert!(facts.without_one(Average::Logits, 2).is_empty());
        record.losses.clear();
        assert_eq!(record.ensemble_facts(), None);
    }
}
