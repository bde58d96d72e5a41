//! A family's curves in K as its record has them, and the laws in K.

use std::fmt;

use serde::Serialize;

use super::{Diversity, Family, FamilyOutcome, Options, Soup};
use crate::eval::Ledger;
use crate::eval::statistics::PairedDifference;
use crate::lab::Lab;
use crate::laws::{self, AxisLaw, Refusal, Replication, jackknife};
use crate::spec::{JobId, Split};
use crate::store::{Loss, Record};
use crate::{Error, Result};

/// Points of the short law (mission L7: the law from the first 4 of 8 members).
const FIRST_POINTS: usize = 4;

/// What is averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Average {
    /// Logits: the paper's ensemble (mission R4).
    Logits,
    /// Probabilities.
    Probabilities,
}

/// Losses over K of one average.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What is averaged.
    pub average: Average,
    /// By increasing K, from 1 on.
    pub points: Vec<Point>,
    /// L = A / K^alpha + E over all points, or why there is none.
    pub law: std::result::Result<AxisLaw, Refusal>,
    /// The law of the first four points (mission L7), where there are more.
    pub first_four: Option<std::result::Result<AxisLaw, Refusal>>,
}

/// The mean over the subsets of K members.
#[derive(Clone, Debug)]
pub struct Point {
    /// K.
    pub members: usize,
    /// How many subsets.
    pub subsets: usize,
    /// Mean of their losses, with the standard error over the text.
    pub loss: Loss,
    /// Standard deviation between subsets, nats per token; absent for one subset.
    pub deviation_nats: Option<f64>,
    /// Standard error over the choice of members (jackknife), nats per token; absent for all
    /// members together, and where subsets were sampled.
    pub member_error_nats: Option<f64>,
    /// Loss minus that of K = 1, paired over the text; of logits, this is E[log Z] of K members.
    pub gain: PairedDifference,
    /// Loss of the first K members: one order of the seeds, as in an evaluation.
    pub prefix: Loss,
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

    /// The column of the mean over subsets of `members` members.
    #[must_use]
    pub fn column(self, members: usize) -> String {
        format!("subsets-{}-{members}", self.name())
    }
}

impl fmt::Display for Average {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FamilyOutcome {
    /// The curve of an average.
    #[must_use]
    pub fn curve(&self, average: Average) -> &Curve {
        let [logits, probabilities] = &self.curves;
        match average {
            Average::Logits => logits,
            Average::Probabilities => probabilities,
        }
    }
}

impl Curve {
    /// The point of all members.
    #[must_use]
    pub fn last(&self) -> &Point {
        self.points.last().expect("an ensemble has members")
    }
}

/// Reads a family out of the record of its ensemble.
pub(super) fn read(
    lab: &dyn Lab,
    (family, members): (Family, Vec<JobId>),
    record: &Record,
    options: &Options,
) -> Result<FamilyOutcome> {
    let ledger = lab.ledger(record.id, options.split)?;
    let reader = Reader { record, ledger: &ledger, split: options.split, members: members.len() };
    let singles = (0..members.len()).map(|i| reader.loss(&format!("member-{i}")));
    let [logits, probabilities] = Average::BOTH.map(|average| reader.curve(average));
    let curves = [logits?, probabilities?];
    let diversity = Diversity {
        log_z: curves[0].last().gain,
        divergence_nats: reader.needed("pairs_divergence_nats")?,
        disagreement_share: reader.needed("pairs_disagreement_share")?,
    };
    Ok(FamilyOutcome {
        family,
        evaluation: record.id,
        singles: singles.collect::<Result<_>>()?,
        single_deviation_nats: curves[0].points[0].deviation_nats,
        curves,
        diversity,
        soups: reader.soups()?,
        members,
    })
}

/// The record of an ensemble, asked by names.
struct Reader<'a> {
    record: &'a Record,
    ledger: &'a Ledger,
    split: Split,
    members: usize,
}

impl Reader<'_> {
    fn loss(&self, name: &str) -> Result<Loss> {
        self.record.loss(name, self.split).cloned().ok_or_else(|| self.lacks(name))
    }

    fn measured(&self, name: &str) -> Option<f64> {
        self.record.measured.iter().find(|m| m.name == name).map(|measured| measured.value)
    }

    fn needed(&self, name: &str) -> Result<f64> {
        self.measured(name).ok_or_else(|| self.lacks(name))
    }

    fn lacks(&self, name: &str) -> Error {
        Error::data(format!("record {} does not hold `{name}`", self.record.id.short()))
    }

    fn curve(&self, average: Average) -> Result<Curve> {
        let points = (1..=self.members).map(|k| self.point(average, k));
        let points: Vec<Point> = points.collect::<Result<_>>()?;
        let losses = law_points(&points)?;
        let options = laws::Options::default();
        let first_four = (losses.len() > FIRST_POINTS)
            .then(|| AxisLaw::new(losses.first(FIRST_POINTS), &Replication::None, &options));
        let replication = replication(self.record, (average, self.members));
        let law = AxisLaw::new(losses, &replication, &options);
        Ok(Curve { average, points, law, first_four })
    }

    fn point(&self, average: Average, members: usize) -> Result<Point> {
        let (column, name) = (average.column(members), average.name());
        let single = average.column(1);
        Ok(Point {
            members,
            subsets: self.needed(&format!("subsets_{members}_count"))? as usize,
            loss: self.loss(&column)?,
            deviation_nats: self.measured(&format!("subsets_{name}_{members}_sd_nats")),
            member_error_nats: self.member_error(average, members),
            gain: self.ledger.difference(&column, self.ledger, &single)?,
            prefix: self.loss(&format!("{name}-{members}"))?,
        })
    }

    /// Standard error of the loss of `members` members over the choice of them.
    fn member_error(&self, average: Average, members: usize) -> Option<f64> {
        let without = |member| without(self.record, member, average, members);
        jackknife(&(0..self.members).map(without).collect::<Option<Vec<f64>>>()?)
    }

    fn soups(&self) -> Result<Vec<Soup>> {
        let mut soups = Vec::new();
        for members in 2..=self.members {
            let name = format!("soup-{members}");
            let Some(loss) = self.record.loss(&name, self.split) else { continue };
            let single = Average::Logits.column(1);
            let to_single = self.ledger.difference(&name, self.ledger, &single)?;
            soups.push(Soup { members, loss: loss.clone(), to_single });
        }
        Ok(soups)
    }
}

/// Mean loss of the ensembles of `size` members that do without one; `None` where the record does
/// not know it: it has none of that size, or not all of them.
fn without(record: &Record, member: usize, average: Average, size: usize) -> Option<f64> {
    let name = format!("without_{member}_{}_{size}_nats", average.name());
    record.measured.iter().find(|measured| measured.name == name).map(|measured| measured.value)
}

/// The same without each of `members` members in turn; for all of them together those of one fewer.
#[must_use]
pub fn without_each(
    record: &Record,
    average: Average,
    (size, members): (usize, usize),
) -> Option<Vec<f64>> {
    let size = size.min(members.saturating_sub(1));
    (0..members).map(|member| without(record, member, average, size)).collect()
}

/// What the record of an ensemble knows of the noise of its points: the mean losses of the subsets
/// that do without each member.
pub(in crate::study) fn replication(
    record: &Record,
    (average, members): (Average, usize),
) -> Replication {
    let without = |member| (1..members).map(move |k| without(record, member, average, k)).collect();
    let all: Option<Vec<Vec<f64>>> = (0..members).map(without).collect();
    all.map_or(Replication::None, Replication::Members)
}

fn law_points(points: &[Point]) -> Result<laws::Curve> {
    let points: Vec<(f64, f64)> =
        points.iter().map(|point| (point.members as f64, point.loss.nats)).collect();
    laws::Curve::new(&points)
}
