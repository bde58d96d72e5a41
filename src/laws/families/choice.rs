//! The choice among families: by nested folds of the training runs, never by the runs held out.
//!
//! Every family is scored by the mean of |ln(predicted / measured)| over the folds of all axes.
//! The best few are averaged in the logarithm of the loss with weights score^-2: where several are
//! as good, none of them is the law.

use super::axis::{AXES, Weights, edge, ln_key};
use super::descent::{Misfit, Problem};
use super::folds::{Fold, nested};
use super::formula::{Formula, Letter, Limits, Theta};
use super::points::{Place, Point};
use super::unfit::{Unfit, check};
use crate::laws::draws::Draws;
use crate::laws::residuals::MEDIAN_FACTOR;

/// The most families that are averaged.
const AVERAGED_MAX: usize = 4;
/// Families whose score is beyond this many times the best are not averaged.
const SCORE_RATIO_MAX: f64 = 1.5;
/// Resamples of the runs, for the uncertainty of a fit.
const RESAMPLES: u64 = 40;
/// Number of the first sequence of the resamples, far from those of other bootstraps.
const RESAMPLE_SEQUENCE: u64 = 2 << 56;
/// Steps of a refit to a resample, from the fit.
const RESAMPLE_STEPS: usize = 40;
/// A run is named as an outlier beyond so many deviations and this distance in ln(loss).
const OUTLIER_DEVIATIONS: f64 = 4.0;
const OUTLIER_MIN: f64 = 0.02;
/// A parameter this near to a bound, as a share of its range, lies on it.
const AT_BOUND: f64 = 1e-6;

/// How a choice is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The families to choose among.
    pub library: Vec<Formula>,
    /// What fits minimize.
    pub misfit: Misfit,
    /// M, the loss of a uniform guess.
    pub ceiling: f64,
}

/// A fitted family.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The family.
    pub formula: Formula,
    /// Mean of |ln(predicted / measured)| over the nested folds.
    pub score: f64,
    /// Its part of the average; 0 where it is no part.
    pub weight: f64,
    /// The fit to all training runs.
    pub theta: Theta,
    /// The weighted mean of the misfit that it leaves.
    pub objective: f64,
    /// The h that weights fall with.
    pub reach: f64,
    /// The effective number of runs.
    pub effective: f64,
    /// E of the same runs and weights under the other misfit.
    pub other_asymptote: f64,
    /// Parameters that end on a bound.
    pub at_bounds: Vec<Letter>,
    /// Fits to resampled runs.
    pub resamples: Vec<Theta>,
}

/// What is known along an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The largest logarithm among the training runs.
    pub edge: f64,
    /// How far beyond their edge the nested folds predicted, in the logarithm; 0 without folds.
    pub tested: f64,
    /// |ln(predicted / measured)| of the average over the folds of this axis, ascending.
    pub errors: Vec<f64>,
}

/// A law: the average of families with what vouches for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Law {
    /// Every family of the library, by ascending score.
    pub members: Vec<Member>,
    /// The axes: compute N T, parameters N, unique tokens U, epochs T/U, and one that was asked
    /// for.
    pub axes: Vec<Known>,
    /// The axis that weights fall along.
    pub along: usize,
    /// M, the loss of a uniform guess.
    pub ceiling: f64,
    /// Standard deviation of ln(loss) around the average, by the median.
    pub noise: f64,
}

/// Chooses by nested folds among families and fits the chosen ones to all runs. Weights fall along
/// `asked`, the logarithms of a number of each run; without it along compute.
///
/// # Errors
/// If the runs cannot carry a law of several axes.
///
/// # Panics
/// Without families, or if `asked` has another length.
pub fn choose(points: &[Point], asked: Option<&[f64]>, options: &Options) -> Result<Law, Unfit> {
    check(points)?;
    let mut axes: Vec<Vec<f64>> =
        (0..AXES).map(|axis| points.iter().map(|point| ln_key(axis, point)).collect()).collect();
    let along = asked.map_or(0, |asked| {
        assert_eq!(asked.len(), points.len(), "one number for each run");
        let known = axes.iter().position(|axis| same_order(axis, asked));
        known.unwrap_or_else(|| {
            axes.push(asked.to_vec());
            AXES
        })
    });
    let work = Work { points, axes: &axes, options, limits: limits(points, options.ceiling) };
    let folds = nested(&axes);
    let errors: Vec<Vec<Vec<f64>>> =
        options.library.iter().map(|&formula| work.errors(&folds, formula)).collect();
    let scores: Vec<f64> = errors.iter().map(|errors| score(errors)).collect();
    let weights = average(&scores);
    let mut members = Vec::new();
    for (index, &formula) in options.library.iter().enumerate() {
        members.push(work.member(formula, scores[index], weights[index], &axes[along]));
    }
    let known = (0..axes.len()).map(|axis| work.known(axis, &folds, &errors, &weights));
    let mut law =
        Law { axes: known.collect(), along, ceiling: options.ceiling, noise: 0.0, members };
    law.members.sort_by(|left, right| left.score.total_cmp(&right.score));
    let mut sizes: Vec<f64> = law.residuals(points).iter().map(|residual| residual.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    law.noise = MEDIAN_FACTOR * sizes[sizes.len() / 2];
    Ok(law)
}

/// Whether two axes differ by a constant only: a unit.
fn same_order(left: &[f64], right: &[f64]) -> bool {
    left.iter().zip(right).all(|(a, b)| ((a - b) - (left[0] - right[0])).abs() < 1e-9)
}

/// The asymptote lies below every loss.
fn limits(points: &[Point], ceiling: f64) -> Limits {
    let lowest = points.iter().map(|point| point.loss).fold(f64::INFINITY, f64::min);
    Limits { asymptote_max: (lowest - 0.01).max(0.5 * lowest), ceiling }
}

/// The mean over folds of the mean of |error|; infinite without folds.
fn score(errors: &[Vec<f64>]) -> f64 {
    if errors.is_empty() {
        return f64::INFINITY;
    }
    let mean = |errors: &Vec<f64>| {
        errors.iter().fold(0.0, |sum, error| sum + error.abs()) / errors.len() as f64
    };
    errors.iter().fold(0.0, |sum, errors| sum + mean(errors)) / errors.len() as f64
}

/// The weights of the best families.
fn average(scores: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&left, &right| scores[left].total_cmp(&scores[right]));
    let best = scores[order[0]];
    let mut weights = vec![0.0; scores.len()];
    for &index in order.iter().take(AVERAGED_MAX) {
        if index == order[0] || scores[index] <= SCORE_RATIO_MAX * best {
            let ratio = if scores[index] > 0.0 { best / scores[index] } else { 1.0 };
            weights[index] = if best.is_finite() { ratio * ratio } else { 1.0 };
        }
    }
    let sum = weights.iter().fold(0.0, |sum, weight| sum + weight);
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// What the parts of a choice share.
struct Work<'a> {
    points: &'a [Point],
    axes: &'a [Vec<f64>],
    options: &'a Options,
    limits: Limits,
}

impl Work<'_> {
    fn errors(&self, folds: &[Fold], formula: Formula) -> Vec<Vec<f64>> {
        let errors = |fold: &Fold| {
            let ln_keys = &self.axes[fold.axis];
            fold.errors(self.points, ln_keys, formula, self.limits, self.options.misfit)
        };
        folds.iter().map(errors).collect()
    }

    fn problem<'w>(&'w self, formula: Formula, misfit: Misfit, weights: &'w [f64]) -> Problem<'w> {
        Problem { formula, limits: self.limits, misfit, points: self.points, weights }
    }

    fn member(&self, formula: Formula, score: f64, weight: f64, ln_keys: &[f64]) -> Member {
        let weights = Weights::of(ln_keys, formula.letters().len());
        let misfit = self.options.misfit;
        let other = match misfit {
            Misfit::HuberLog => Misfit::Squares,
            Misfit::Squares => Misfit::HuberLog,
        };
        let solution = self.problem(formula, misfit, &weights.values).solve(None);
        let theta = solution.theta;
        let mut resamples = Vec::new();
        for number in 0..if weight > 0.0 { RESAMPLES } else { 0 } {
            let drawn = resampled(&weights.values, number);
            resamples
                .push(self.problem(formula, misfit, &drawn).refine(&theta, RESAMPLE_STEPS).theta);
        }
        let bounds = formula.bounds(&self.limits);
        let on_bound = |index: usize| {
            let (low, high) = bounds[index];
            let slack = AT_BOUND * (high - low);
            theta[index] <= low + slack || theta[index] >= high - slack
        };
        let letters = formula.letters().iter().enumerate();
        Member {
            formula,
            score,
            weight,
            theta,
            objective: solution.objective,
            reach: weights.reach,
            effective: weights.effective,
            other_asymptote: self
                .problem(formula, other, &weights.values)
                .solve(Some(&theta))
                .theta[0],
            at_bounds: letters.filter(|(i, _)| on_bound(*i)).map(|(_, letter)| *letter).collect(),
            resamples,
        }
    }

    fn known(
        &self,
        axis: usize,
        folds: &[Fold],
        errors: &[Vec<Vec<f64>>],
        weights: &[f64],
    ) -> Known {
        let mut known = Known { edge: edge(&self.axes[axis]), tested: 0.0, errors: Vec::new() };
        for (number, fold) in folds.iter().enumerate().filter(|(_, fold)| fold.axis == axis) {
            known.tested = known.tested.max(fold.distance);
            for run in 0..fold.test.len() {
                let parts = errors.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
                let error = parts.fold(0.0, |sum, (of, weight)| sum + weight * of[number][run]);
                known.errors.push(error.abs());
            }
        }
        known.errors.sort_by(f64::total_cmp);
        known
    }
}

/// The weights times how often each run is drawn, with mean one.
fn resampled(weights: &[f64], number: u64) -> Vec<f64> {
    let mut draws = Draws::new(RESAMPLE_SEQUENCE + number);
    let count = weights.len();
    let mut drawn = vec![0.0; count];
    for _ in 0..count {
        drawn[((draws.uniform() * count as f64) as usize).min(count - 1)] += 1.0;
    }
    for (drawn, weight) in drawn.iter_mut().zip(weights) {
        *drawn *= weight;
    }
    let sum = drawn.iter().fold(0.0, |sum, weight| sum + weight);
    drawn.into_iter().map(|weight| weight * count as f64 / sum).collect()
}

impl Law {
    /// The families that are averaged.
    pub fn averaged(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.weight > 0.0)
    }

    /// ln of the loss at a place.
    pub(super) fn ln_loss(&self, place: &Place) -> f64 {
        let ln_loss = |member: &Member| {
            member.weight * libm::log(member.formula.loss(&member.theta, place, self.ceiling))
        };
        self.averaged().map(ln_loss).fold(0.0, |sum, part| sum + part)
    }

    /// The loss at a place, nats per token.
    #[must_use]
    pub fn loss(&self, place: &Place) -> f64 {
        libm::exp(self.ln_loss(place))
    }

    /// Runs that lie farther from the law than chance moves a run, as indices with ln(measured /
    /// predicted), the farthest first. They are named, never dropped.
    #[must_use]
    pub fn outliers(&self, points: &[Point]) -> Vec<(usize, f64)> {
        let far = (OUTLIER_DEVIATIONS * self.noise).max(OUTLIER_MIN);
        let residuals = self.residuals(points).into_iter().enumerate();
        let mut found: Vec<(usize, f64)> = residuals.filter(|(_, r)| r.abs() > far).collect();
        found.sort_by(|left, right| right.1.abs().total_cmp(&left.1.abs()));
        found
    }

    /// ln(measured / predicted) of some runs.
    #[must_use]
    pub fn residuals(&self, points: &[Point]) -> Vec<f64> {
        let residual = |point: &Point| libm::log(point.loss) - self.ln_loss(&point.place);
        points.iter().map(residual).collect()
    }
}
