//! A measured point of a search: its runs, its score, and how it compares with another.

use serde::Serialize;
use serde_json::json;

use super::cell::{Cell, val_loss};
use super::grid::Setting;
use crate::Result;
use crate::eval::statistics::{
    self, Interval, LEVEL, PairedDifference, SeedSummary, Verdict, paired_difference, two_sided_t,
};
use crate::lab::Lab;
use crate::laws::{Claim, Refusal};
use crate::spec::{JobId, Split};
use crate::store::{Column, Record};

/// A point with its runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Where it lies.
    pub setting: Setting,
    /// Time scale of AdamW's average of weights, in epochs.
    pub timescale_epochs: f64,
    /// The runs: one per seed, or the members of an ensemble.
    pub records: Vec<JobId>,
    /// What the search compares.
    #[serde(flatten)]
    pub score: Score,
}

/// What a search compares, in nats per token on `val`; lower is better.
#[derive(Clone, Debug, PartialEq)]
pub enum Score {
    /// Final loss, averaged over seeds: never the best over training (mission R3).
    Loss {
        /// The mean.
        nats: f64,
        /// Standard error over blocks of text for these seeds.
        standard_error: Option<f64>,
    },
    /// Loss of infinitely many members (mission R5).
    Asymptote {
        /// With its interval over the choice of members, else the law's.
        claim: Claim,
        /// Loss of all members that there are.
        measured: f64,
        /// The record that measured the ensembles.
        evaluation: JobId,
    },
    /// The ensembles follow no law; the loss of all members stands in, which is an upper bound.
    NoLaw {
        /// Why.
        refusal: Refusal,
        /// Loss of all members that there are.
        measured: f64,
        /// The record that measured the ensembles.
        evaluation: JobId,
    },
    /// A run diverged: it loses against everything.
    Diverged {
        /// The first that did.
        record: JobId,
    },
}

/// What an interval of a difference covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Chance in the text only, because there is one seed per point.
    Text,
    /// Chance in text and in seeds.
    TextAndSeeds {
        /// Seeds per point.
        seeds: usize,
    },
    /// The intervals of two asymptotes, which must not touch.
    Asymptotes,
}

/// A point compared with the center.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Score of the point minus score of the center, in nats per token.
    pub mean: f64,
    /// Interval of level 95 % (of asymptotes: what their own leave); absent where it is unknown.
    pub interval: Option<Interval>,
    /// What the interval covers.
    pub basis: Basis,
}

impl Score {
    /// The number that is compared; infinite for a diverged run.
    #[must_use]
    pub fn value(&self) -> f64 {
        match self {
            Self::Loss { nats, .. } => *nats,
            Self::Asymptote { claim, .. } => claim.value,
            Self::NoLaw { measured, .. } => *measured,
            Self::Diverged { .. } => f64::INFINITY,
        }
    }
}

// A diverged run has no score.
serialize_as!(Score, |score| {
    let (error, interval) = match score {
        Score::Loss { standard_error, .. } => (*standard_error, None),
        Score::Asymptote { claim, .. } => (None, Some(claim.interval)),
        Score::NoLaw { .. } | Score::Diverged { .. } => (None, None),
    };
    json!({
        "score_nats": score.value(), "standard_error_nats": error, "interval_nats": interval,
    })
});

serialize_as!(Difference, |it| json!({
    "nats": it.mean, "interval_nats": it.interval, "verdict": it.verdict(),
}));

impl Difference {
    /// What the interval says about the point: worse or better than the center, or neither.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.mean.is_infinite() {
            return Verdict::Worse;
        }
        Verdict::from_interval(self.interval)
    }
}

impl Trial {
    /// A point from its finished runs, one per seed.
    pub(super) fn of_seeds(
        lab: &dyn Lab,
        cell: &Cell,
        setting: Setting,
        records: &[Record],
    ) -> Result<Self> {
        let diverged = records.iter().find(|record| val_loss(record).is_none());
        let score = match diverged {
            Some(record) => Score::Diverged { record: record.id },
            None => {
                let ids: Vec<JobId> = records.iter().map(|record| record.id).collect();
                let (sums, counts) = mean_blocks(lab, &ids, Split::Val)?;
                let estimate = statistics::estimate(&sums, &counts);
                Score::Loss { nats: estimate.mean, standard_error: estimate.standard_error }
            }
        };
        let records = records.iter().map(|record| record.id).collect();
        let timescale_epochs = setting.timescale_epochs(cell.steps_per_epoch());
        Ok(Self { setting, timescale_epochs, records, score })
    }
}

/// Losses of blocks of text, averaged over runs, and their tokens.
pub(super) fn mean_blocks(
    lab: &dyn Lab,
    runs: &[JobId],
    split: Split,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut mean: Option<(Vec<f64>, Vec<f64>)> = None;
    for &run in runs {
        let (sums, counts) = blocks(lab, run, split)?;
        match &mut mean {
            Some((total, _)) => total.iter_mut().zip(&sums).for_each(|(total, sum)| *total += sum),
            None => mean = Some((sums, counts)),
        }
    }
    let (mut sums, counts) = mean.expect("a point has runs");
    sums.iter_mut().for_each(|sum| *sum /= runs.len() as f64);
    Ok((sums, counts))
}

fn blocks(lab: &dyn Lab, run: JobId, split: Split) -> Result<(Vec<f64>, Vec<f64>)> {
    let ledger = lab.ledger(run, split)?;
    // A training run names its column `model`, an evaluation of one run `member-0`.
    let found = ledger.block_sums(Column::Model).or_else(|| ledger.block_sums(Column::Member(0)));
    found.ok_or_else(|| crate::Error::data(format!("the ledger of {} holds no model", run.short())))
}

/// Differences of several points from one center, all of one kind, from `runs` that a point and the
/// center have measured with the same seeds.
///
/// With S >= 2 seeds the variance of a difference is that of the text plus that of the seeds over
/// S. Two or three seeds say little about a spread, so that the typical one of all points (the
/// median, because some settings are far noisier than others) counts unless the point's own is
/// larger. Degrees of freedom by Satterthwaite's formula for n points that share a center:
/// 4 (S - 1) n / (n + 1).
pub(super) fn differences(
    lab: &dyn Lab,
    center: &[JobId],
    others: &[&[JobId]],
    split: Split,
) -> Result<Vec<Difference>> {
    let mut found = Vec::with_capacity(others.len());
    for other in others {
        let seeds = center.len().min(other.len());
        let (left, counts) = mean_blocks(lab, &other[..seeds], split)?;
        let (right, _) = mean_blocks(lab, &center[..seeds], split)?;
        let paired = match seeds {
            1 => paired_difference(&left, &right, &counts),
            // The interval will come from the seeds, too, so that none is drawn here.
            _ => PairedDifference {
                estimate: text_estimate(&left, &right, &counts),
                bootstrap: None,
            },
        };
        let mut of_seeds = Vec::with_capacity(seeds);
        for (other, center) in other.iter().zip(center).take(seeds) {
            let mean = |run: JobId| -> Result<f64> {
                let (sums, counts) = blocks(lab, run, split)?;
                Ok(sums.iter().sum::<f64>() / counts.iter().sum::<f64>())
            };
            of_seeds.push(mean(*other)? - mean(*center)?);
        }
        found.push((paired, statistics::over_seeds(&of_seeds)));
    }
    let spreads: Vec<f64> =
        found.iter().filter_map(|(_, seeds)| seeds.standard_deviation).map(|sd| sd * sd).collect();
    let points = spreads.len() as f64;
    let typical = typical_variance(spreads, center.len());
    let difference = |(paired, seeds): (PairedDifference, SeedSummary)| {
        let mean = paired.estimate.mean;
        let (Some(own), Some(text)) = (seeds.standard_deviation, paired.estimate.standard_error)
        else {
            return Difference { mean, interval: paired.bootstrap, basis: Basis::Text };
        };
        let count = seeds.seeds;
        let variance = text.powi(2) + typical.max(own.powi(2)) / count as f64;
        let degrees = 4.0 * (count - 1) as f64 * points / (points + 1.0);
        let half = two_sided_t(LEVEL, degrees.floor().max(1.0) as usize) * variance.sqrt();
        let interval = Interval { low: mean - half, high: mean + half, level: LEVEL };
        Difference { mean, interval: Some(interval), basis: Basis::TextAndSeeds { seeds: count } }
    };
    Ok(found.into_iter().map(difference).collect())
}

/// Mean difference over blocks of text with its standard error.
fn text_estimate(left: &[f64], right: &[f64], counts: &[f64]) -> statistics::Estimate {
    let sums: Vec<f64> = left.iter().zip(right).map(|(left, right)| left - right).collect();
    statistics::estimate(&sums, counts)
}

/// The variance whose estimates from S seeds have this median: the median of a chi-square of d
/// degrees over d is about (1 - 2 / (9 d))^3 (Wilson and Hilferty 1931).
fn typical_variance(mut estimates: Vec<f64>, seeds: usize) -> f64 {
    if estimates.is_empty() || seeds < 2 {
        return 0.0;
    }
    estimates.sort_by(f64::total_cmp);
    let middle = estimates.len() / 2;
    let median = match estimates.len() % 2 {
        1 => estimates[middle],
        _ => f64::midpoint(estimates[middle - 1], estimates[middle]),
    };
    median / (1.0 - 2.0 / (9.0 * (seeds - 1) as f64)).powi(3)
}

/// The difference of two asymptotes: told apart only if their intervals do not touch.
pub(super) fn asymptotes(point: &Score, center: &Score) -> Difference {
    let mean = point.value() - center.value();
    let interval = match (point, center) {
        (Score::Asymptote { claim: left, .. }, Score::Asymptote { claim: right, .. }) => {
            let ends = |claim: &Claim| {
                let low = claim.interval.low.value().unwrap_or(f64::NEG_INFINITY);
                let high = claim.interval.high.value().unwrap_or(f64::INFINITY);
                (low, high)
            };
            let ((low, high), (center_low, center_high)) = (ends(left), ends(right));
            let level = left.interval.level;
            Some(Interval { low: low - center_high, high: high - center_low, level })
        }
        _ => None,
    };
    Difference { mean, interval, basis: Basis::Asymptotes }
}
