//! A family's curves in K as its record has them, and the laws in K.

use serde_json::json;

use super::{Diversity, Family, FamilyOutcome, Options, Soup};
use crate::eval::Ledger;
use crate::eval::statistics::PairedDifference;
use crate::lab::Lab;
use crate::laws::{self, AxisLaw, Refusal, Replication, jackknife, told};
use crate::spec::{JobId, Split};
use crate::store::{Average, Column, EnsembleFacts, Loss, Record};
use crate::{Error, Result};

/// Points of the short law (mission L7: the law from the first 4 of 8 members).
const FIRST_POINTS: usize = 4;

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

serialize_as!(Curve, |it| json!({
    "average": it.average, "points": it.points, "law": told(&it.law),
    "law_of_first_four": it.first_four.as_ref().map(told),
}));

serialize_as!(Point, |it| json!({
    "members": it.members, "subsets": it.subsets, "loss": it.loss.told(),
    "sd_of_subsets_nats": it.deviation_nats, "error_over_members_nats": it.member_error_nats,
    "to_one_member": it.gain, "prefix": it.prefix.told(),
}));

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
    let facts = facts(record)?;
    let (split, count) = (options.split, members.len());
    let reader = Reader { record, facts: &facts, ledger: &ledger, split, members: count };
    let singles = (0..count).map(|member| reader.loss(Column::Member(member)));
    let [logits, probabilities] = Average::BOTH.map(|average| reader.curve(average));
    let curves = [logits?, probabilities?];
    let pairs = facts.pairs.as_ref().ok_or_else(|| reader.lacks("how its members differ"))?;
    let diversity = Diversity {
        log_z: curves[0].last().gain,
        divergence_nats: pairs.divergence_nats,
        disagreement_share: pairs.disagreement_share,
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
    facts: &'a EnsembleFacts,
    ledger: &'a Ledger,
    split: Split,
    members: usize,
}

impl Reader<'_> {
    fn loss(&self, name: Column) -> Result<Loss> {
        let loss = self.record.loss(name, self.split).cloned();
        loss.ok_or_else(|| self.lacks(&format!("`{name}`")))
    }

    fn lacks(&self, what: &str) -> Error {
        Error::data(format!("record {} does not hold {what}", self.record.id.short()))
    }

    fn curve(&self, average: Average) -> Result<Curve> {
        let points = (1..=self.members).map(|k| self.point(average, k));
        let points: Vec<Point> = points.collect::<Result<_>>()?;
        let losses = law_points(&points)?;
        let options = laws::Options::default();
        let first_four = (losses.len() > FIRST_POINTS)
            .then(|| AxisLaw::new(losses.first(FIRST_POINTS), &Replication::None, &options));
        let replication = replication(self.facts, (average, self.members));
        let law = AxisLaw::new(losses, &replication, &options);
        Ok(Curve { average, points, law, first_four })
    }

    fn point(&self, average: Average, members: usize) -> Result<Point> {
        let (column, single) = (Column::Subsets(average, members), Column::Subsets(average, 1));
        let size = self.facts.size(average, members);
        let size = size.ok_or_else(|| self.lacks(&format!("ensembles of {members}")))?;
        Ok(Point {
            members,
            subsets: size.subsets as usize,
            loss: self.loss(column)?,
            deviation_nats: size.sd_nats,
            member_error_nats: jackknife(&size.without_one_nats),
            gain: self.ledger.difference(column, self.ledger, single)?,
            prefix: self.loss(Column::First(average, members))?,
        })
    }

    fn soups(&self) -> Result<Vec<Soup>> {
        let mut soups = Vec::new();
        for members in 2..=self.members {
            let name = Column::Soup(members);
            let Some(loss) = self.record.loss(name, self.split) else { continue };
            let single = Column::Subsets(Average::Logits, 1);
            let to_single = self.ledger.difference(name, self.ledger, single)?;
            soups.push(Soup { members, loss: loss.clone(), to_single });
        }
        Ok(soups)
    }
}

/// What a record knows of its ensembles.
pub(in crate::study) fn facts(record: &Record) -> Result<EnsembleFacts> {
    let none = || Error::data(format!("record {} is of no ensemble", record.id.short()));
    record.ensemble_facts().ok_or_else(none)
}

/// What is known of the noise of the points of all sizes of `members` members: the mean losses of
/// the subsets that do without each member.
pub(in crate::study) fn replication(
    facts: &EnsembleFacts,
    (average, members): (Average, usize),
) -> Replication {
    let of = |size| facts.size(average, size).map(|size| &size.without_one_nats);
    let sizes: Option<Vec<&Vec<f64>>> = (1..members).map(of).collect();
    let sizes = sizes.unwrap_or_default();
    let without = |member: usize| sizes.iter().map(|size| size.get(member).copied()).collect();
    let all: Option<Vec<Vec<f64>>> = (0..members).map(without).collect();
    match all {
        Some(all) if !sizes.is_empty() => Replication::Members(all),
        _ => Replication::None,
    }
}

fn law_points(points: &[Point]) -> Result<laws::Curve> {
    let points: Vec<(f64, f64)> =
        points.iter().map(|point| (point.members as f64, point.loss.nats)).collect();
    laws::Curve::new(&points)
}
