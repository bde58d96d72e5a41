//! Joint scaling: the loss of infinitely many members of infinitely large models.
//!
//! Losses of ensembles of K members with N parameters each, at one budget of tokens. The paper's
//! joint scaling law (mission R6) first takes K to infinity: a law in K for every N, whose
//! asymptotes are a curve in N, whose asymptote is the joint one. The limits need not commute on
//! measured points, so the other order is taken, too: a law in N for every K, then the limit in K.
//!
//! Two intervals for a joint asymptote: the profile interval of the last law, whose noise is the
//! scatter of the first asymptotes around it; and a bootstrap through both stages, whose noise is
//! that of single losses. Ensembles that share members have correlated noise, which neither knows.

use std::fmt;

use serde_json::{Value, json};

use super::axis::{Axis, Losses};
use super::bootstrap::{percentiles, resample};
use super::curve::Curve;
use super::fit::fit;
use super::found::{Fit, Options, Refusal, told};
use super::interval::Interval;
use super::noise::{Noise, Scatter};
use crate::number::digits;
use crate::{Error, Result};

/// The loss of an ensemble.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// N of one member, in any unit.
    pub parameters: f64,
    /// K.
    pub members: f64,
    /// Loss, nats per token.
    pub loss: f64,
}

/// In which order the limits are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// K to infinity for every N, then N: the paper's.
    MembersFirst,
    /// N to infinity for every K, then K.
    ParametersFirst,
}

/// The two stages of one order.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// The order.
    pub order: Order,
    /// For every N (or every K) its law in the axis that is taken to infinity first.
    pub stages: Vec<(f64, Fit)>,
    /// The values without a law of their own, with the reason; they are left out of the last law.
    pub refused: Vec<(f64, Refusal)>,
    /// The law of the asymptotes; its asymptote is the joint one.
    pub law: Fit,
    /// The joint asymptote's bootstrap interval through both stages.
    pub bootstrap: Interval,
    /// The noise of a single loss that this bootstrap rests on.
    pub scatter: Scatter,
}

/// Why an order of limits gives nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum NoLimit {
    /// Too few values have a law of their own; with the first that has none.
    Stages {
        /// How many have one.
        found: usize,
        /// The first that has none.
        first: Option<(f64, Refusal)>,
    },
    /// The asymptotes have no law.
    Last(Refusal),
}

/// Both orders of the limits.
#[derive(Clone, Debug, PartialEq)]
pub struct JointFit {
    /// K first, as in the paper.
    pub members_first: std::result::Result<Limit, NoLimit>,
    /// N first.
    pub parameters_first: std::result::Result<Limit, NoLimit>,
}

impl Order {
    /// The letters of the first and the second axis.
    #[must_use]
    pub fn axes(self) -> [&'static str; 2] {
        match self {
            Self::MembersFirst => ["K", "N"],
            Self::ParametersFirst => ["N", "K"],
        }
    }

    /// "K to infinity, then N" or the other way round.
    #[must_use]
    pub fn name(self) -> String {
        let [first, second] = self.axes();
        format!("{first} to infinity, then {second}")
    }
}

impl Limit {
    /// The last law, with the bootstrap through both stages and the noise of a loss.
    fn last(&self) -> Value {
        let mut told = json!(self.law);
        told["intervals"]["E"]["bootstrap_of_both_stages"] = json!(self.bootstrap);
        told["intervals"]["noise_of_a_loss"] = json!(self.scatter);
        told
    }
}

serialize_as!(Limit, |limit| {
    let mut told = limit.last();
    let stages = limit.stages.iter().map(|(at, fit)| {
        let mut stage = json!(fit);
        stage["at"] = json!(at);
        stage
    });
    told["stages"] = stages.collect();
    told
});

serialize_as!(NoLimit, |why| json!({ "refused": why.to_string() }));

// Both orders, and at the top the law of the paper's.
serialize_as!(JointFit, |fit| {
    let mut all = fit.members_first.as_ref().map_or_else(|_| json!({}), Limit::last);
    let orders = fit.orders().map(|(order, limit)| {
        let mut told = told(limit);
        told["order"] = json!(order.axes());
        told
    });
    all["orders"] = json!(orders);
    all["gap"] = json!(fit.gap());
    all
});

impl JointFit {
    /// Both orders, the paper's first.
    pub fn orders(&self) -> [(Order, &std::result::Result<Limit, NoLimit>); 2] {
        let [first, second] = [&self.members_first, &self.parameters_first];
        [(Order::MembersFirst, first), (Order::ParametersFirst, second)]
    }

    /// How far the joint asymptotes of the two orders lie apart: N first minus K first, nats per
    /// token; `None` unless both exist.
    #[must_use]
    pub fn gap(&self) -> Option<f64> {
        let [left, right] =
            [self.members_first.as_ref().ok()?, self.parameters_first.as_ref().ok()?];
        Some(right.law.law.e - left.law.law.e)
    }
}

impl fmt::Display for NoLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stages { found, first: None } => write!(f, "{found} laws are too few"),
            Self::Stages { found, first: Some((value, refusal)) } => {
                write!(f, "{found} laws are too few; at {}: {refusal}", digits(*value))
            }
            Self::Last(refusal) => write!(f, "the asymptotes: {refusal}"),
        }
    }
}

/// Takes both limits in both orders. The first stage uses `options.noise` for a single loss, the
/// last one always the scatter of its points.
///
/// # Errors
/// If a number is not positive and finite, or a pair (N, K) stands twice.
///
/// # Panics
/// If the level does not lie in (0, 1) or there are no resamples.
pub fn fit_joint(cells: &[Cell], options: &Options) -> Result<JointFit> {
    let limit = |order| -> Result<std::result::Result<Limit, NoLimit>> {
        Ok(take(order, &curves(cells, order)?, options))
    };
    Ok(JointFit {
        members_first: limit(Order::MembersFirst)?,
        parameters_first: limit(Order::ParametersFirst)?,
    })
}

/// A curve in the first axis for every value of the second.
fn curves(cells: &[Cell], order: Order) -> Result<Vec<(f64, Curve)>> {
    let pair = |cell: &Cell| match order {
        Order::MembersFirst => (cell.parameters, cell.members),
        Order::ParametersFirst => (cell.members, cell.parameters),
    };
    let [first_axis, second_axis] = order.axes();
    let mut groups: Vec<(f64, Vec<(f64, f64)>)> = Vec::new();
    for cell in cells {
        let (group, x) = pair(cell);
        if !(group.is_finite() && group > 0.0) {
            return Err(Error::data(format!(
                "{second_axis} = {group} is not a positive, finite number"
            )));
        }
        match groups.iter_mut().find(|(known, _)| known.total_cmp(&group).is_eq()) {
            Some((_, points)) => points.push((x, cell.loss)),
            None => groups.push((group, vec![(x, cell.loss)])),
        }
    }
    groups.sort_by(|left, right| left.0.total_cmp(&right.0));
    let curve = |(group, points): (f64, Vec<(f64, f64)>)| {
        let curve = Curve::new(&points)
            .map_err(|error| error.within(format!("{second_axis} = {group}, x is {first_axis}")))?;
        Ok((group, curve))
    };
    groups.into_iter().map(curve).collect()
}

/// Both stages of one order.
fn take(
    order: Order,
    curves: &[(f64, Curve)],
    options: &Options,
) -> std::result::Result<Limit, NoLimit> {
    let mut stages = Vec::new();
    let mut refused = Vec::new();
    let mut used = Vec::new();
    for (value, curve) in curves {
        match fit(curve, options) {
            Ok(fit) => {
                stages.push((*value, fit));
                used.push(curve);
            }
            Err(refusal) => refused.push((*value, refusal)),
        }
    }
    let asymptotes: Vec<(f64, f64)> = stages.iter().map(|(x, fit)| (*x, fit.law.e)).collect();
    let Ok(last) = Curve::new(&asymptotes) else {
        return Err(NoLimit::Stages { found: 0, first: refused.first().copied() });
    };
    let residuals = Options { noise: Noise::Residuals, ..*options };
    let law = fit(&last, &residuals).map_err(|refusal| match refusal {
        Refusal::TooFewPoints { .. } => {
            NoLimit::Stages { found: stages.len(), first: refused.first().copied() }
        }
        _ => NoLimit::Last(refusal),
    })?;
    let scatter = pooled(&stages, options);
    let bootstrap = through_both(&used, &last, scatter, options);
    Ok(Limit { order, stages, refused, law, bootstrap, scatter })
}

/// The noise of a single loss: given, or from the residuals of all first laws together.
fn pooled(stages: &[(f64, Fit)], options: &Options) -> Scatter {
    let parameters = options.family.parameters();
    let residual = stages.iter().fold(0.0, |sum, (_, fit)| sum + fit.residual);
    let degrees = stages.iter().map(|(_, fit)| fit.points - parameters).sum();
    options.noise.scatter(residual, degrees).expect("every stage has degrees of freedom")
}

/// Redraws all losses, refits all first laws and the last one.
fn through_both(curves: &[&Curve], last: &Curve, scatter: Scatter, options: &Options) -> Interval {
    let family = options.family;
    let axes: Vec<Axis> = curves.iter().map(|curve| Axis::new(curve, family)).collect();
    let mut targets: Vec<Losses> = curves.iter().map(|curve| Losses::new(curve.y())).collect();
    let fitted: Vec<f64> = (axes.iter().zip(&targets).zip(curves))
        .flat_map(|((axis, losses), curve)| {
            let law = axis.law(&axis.fit(losses));
            curve.x().iter().map(move |&x| law.value(x)).collect::<Vec<f64>>()
        })
        .collect();
    let last_axis = Axis::new(last, family);
    let mut last_losses = Losses::new(last.y());
    let mut joint = Vec::with_capacity(options.resamples);
    resample(&fitted, scatter, options.resamples, |losses, _| {
        let mut rest = losses;
        let mut asymptotes = Vec::with_capacity(axes.len());
        for ((axis, target), curve) in axes.iter().zip(&mut targets).zip(curves) {
            let (own, others) = rest.split_at(curve.len());
            target.set(own);
            asymptotes.push(axis.fit(target).e);
            rest = others;
        }
        last_losses.set(&asymptotes);
        joint.push(last_axis.fit(&last_losses).e);
    });
    percentiles(joint, options.level, (0.0, f64::INFINITY))
}
