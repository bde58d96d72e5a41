//! A family's curves in K as its record has them, and the laws in K.

use std::fmt;

use serde::Serialize;

use super::{Diversity, Family, FamilyOutcome, Options, Soup};
use crate::eval::Ledger;
use crate::eval::statistics::{PairedDifference, two_sided_t};
use crate::lab::Lab;
use crate::laws::{self, Family as Shape, Fit, Interval, PowerLaw, Refusal};
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
    pub law: std::result::Result<Law, Refusal>,
    /// The law of the first four points (mission L7), where there are more.
    pub first_four: Option<std::result::Result<Fit, Refusal>>,
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

/// A law in K with both of its doubts.
#[derive(Clone, Debug)]
pub struct Law {
    /// The law. The points share members and are smooth, so that intervals from their scatter say
    /// how well the law describes these members, and are too narrow for others.
    pub fit: Fit,
    /// The law when each member in turn is left out.
    pub over_members: Option<OverMembers>,
}

/// The asymptote's doubt from the choice of members: a jackknife.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverMembers {
    /// Standard error of E, nats per token.
    pub standard_error_nats: f64,
    /// E by Student's t with members - 1 degrees of freedom, at the level of the law's intervals.
    pub interval: Interval,
    /// The smallest and the largest E without one member.
    pub range: (f64, f64),
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
        let law = laws::fit(&losses, &options).map(|fit| {
            let over_members = over_members(self.record, (average, self.members), &fit);
            Law { fit, over_members }
        });
        let first_four =
            (losses.len() > FIRST_POINTS).then(|| laws::fit(&losses.first(FIRST_POINTS), &options));
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
            member_error_nats: jackknife(self.members, &|i| {
                without(self.record, i, average, members)
            }),
            gain: self.ledger.difference(&column, self.ledger, &single)?,
            prefix: self.loss(&format!("{name}-{members}"))?,
        })
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

/// Mean loss of the subsets that do without a member.
fn without(record: &Record, member: usize, average: Average, size: usize) -> Option<f64> {
    let name = format!("without_{member}_{}_{size}_nats", average.name());
    record.measured.iter().find(|measured| measured.name == name).map(|measured| measured.value)
}

/// Standard error of a number from its values without each member in turn.
fn jackknife(members: usize, without: &dyn Fn(usize) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = (0..members).map(without).collect::<Option<_>>()?;
    let count = values.len() as f64;
    let mean = values.iter().fold(0.0, |sum, value| sum + value) / count;
    let squares = values.iter().fold(0.0, |sum, value| sum + (value - mean).powi(2));
    (count > 1.0).then(|| ((count - 1.0) / count * squares).sqrt())
}

/// The doubt of a law's asymptote from the choice of members, out of the record of their ensembles.
/// Laws without a member have a point less, and say something only if they have more points than
/// parameters: `None` for fewer than five members.
pub(in crate::study) fn over_members(
    record: &Record,
    (average, members): (Average, usize),
    fit: &Fit,
) -> Option<OverMembers> {
    if members <= Shape::Power.parameters() + 1 {
        return None;
    }
    let asymptote = |member| {
        let point = |k| Some((k as f64, without(record, member, average, k)?));
        let points: Vec<(f64, f64)> = (1..members).map(point).collect::<Option<_>>()?;
        let law = PowerLaw::least_squares(&laws::Curve::new(&points).ok()?, Shape::Power);
        (law.a > 0.0).then_some(law.e)
    };
    let standard_error_nats = jackknife(members, &asymptote)?;
    let level = fit.asymptote.profile.level;
    let half = standard_error_nats * two_sided_t(level, members - 1);
    let (low, high) = ((fit.law.e - half).max(0.0), fit.law.e + half);
    let range = (0..members)
        .filter_map(asymptote)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), e| (low.min(e), high.max(e)));
    let interval = Interval::closed(low, high, level);
    Some(OverMembers { standard_error_nats, interval, range })
}

fn law_points(points: &[Point]) -> Result<laws::Curve> {
    let points: Vec<(f64, f64)> =
        points.iter().map(|point| (point.members as f64, point.loss.nats)).collect();
    laws::Curve::new(&points)
}
