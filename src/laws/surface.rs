//! Laws of several axes: Chinchilla's in parameters and tokens, and its form for repeated tokens.
//!
//! - **Chinchilla** (Hoffmann et al. 2022; mission L3 and R11): L = E + A / N^alpha + B / D^beta.
//! - **Repeat** (Muennighoff et al. 2023, "Scaling data-constrained language models", eq. 5): the
//!   same with D' instead of D, D' = U + U R* (1 - exp(-R / R*)), where U are the unique tokens and
//!   R = epochs - 1 their repetitions. R* is the number of repetitions after which a repeated token
//!   has lost 1 - 1/e of its worth. Without a column for N the term A / N^alpha is left out. Their
//!   second decay, of excess parameters, is not fitted: the regularized recipe has none to show.
//!
//! Letters: N parameters, D tokens, U unique tokens, R repetitions, R* their decay.

use serde_json::json;

use super::axis::{EXPONENT_MAX, EXPONENT_MIN};
use super::bootstrap::{percentiles, resample};
use super::curve::LOSS_MAX;
use super::doubt::{few_points, left_out_outside, residual_warnings, scatter_exceeds_noise};
use super::found::{Estimate, Options, Refusal, SEARCH_SLACK};
use super::interval::Interval;
use super::noise::Scatter;
use super::parameter::Parameter;
use super::power::Family;
use super::residuals::{Residuals, last_digit};
use super::separable::{Problem, Solution, Which};
use super::warning::{HeldOut, Warning};
use crate::{Error, Result};

/// Exponents from which descents start.
const EXPONENT_STARTS: [f64; 4] = [0.1, 0.3, 1.0, 2.5];
/// The same for R*, in repetitions.
const DECAY_STARTS: [f64; 3] = [2.0, 10.0, 50.0];
/// R* from "the second epoch is worth a hundredth of the first" to "no decay ever seen".
const DECAY_BOUNDS: (f64, f64) = (1e-2, 1e4);
/// More points than this are not left out one by one.
const LEAVE_ONE_OUT_MAX: usize = 100;

/// A measured loss of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// N, in any unit; `None` where the law has no term for it.
    pub parameters: Option<f64>,
    /// D, or the unique tokens U where they were repeated; in any unit.
    pub tokens: f64,
    /// Passes over the tokens; `None` is one. A fraction below one uses that share of them.
    pub epochs: Option<f64>,
    /// Loss, nats per token.
    pub loss: f64,
}

/// Which law of several axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// E + A / N^alpha + B / D^beta.
    Chinchilla,
    /// E + B / D'^beta, with A / N^alpha where the samples know N.
    Repeat,
}

/// A fitted law of several axes.
#[derive(Clone, Debug, PartialEq)]
pub struct SurfaceFit {
    /// Which law.
    pub shape: Shape,
    /// Each parameter with its intervals, in the order of [`Parameter`].
    pub estimates: Vec<(Parameter, Estimate)>,
    /// Number of samples.
    pub points: usize,
    /// Sum of squared residuals.
    pub residual: f64,
    /// Share of the variance of the losses that the law explains.
    pub r_squared: f64,
    /// Mean of |residual| / loss.
    pub relative_error: f64,
    /// The noise of a loss that the intervals rest on.
    pub scatter: Scatter,
    /// What the residuals say, in the order of the samples.
    pub residuals: Residuals,
    /// The sample of the largest compute, N D epochs, predicted from all others; x is that product.
    pub held_out: Option<HeldOut>,
    /// What a reader must know before believing the law.
    pub warnings: Vec<Warning>,
}

impl SurfaceFit {
    /// The estimate of a parameter; `None` if the law has none of this name.
    #[must_use]
    pub fn get(&self, parameter: Parameter) -> Option<&Estimate> {
        self.estimates.iter().find(|(name, _)| *name == parameter).map(|(_, estimate)| estimate)
    }
}

serialize_as!(SurfaceFit, |fit| {
    let level = fit.get(Parameter::E).map(|e| e.profile.level);
    let mut told = json!({
        "intervals": { "level": level, "noise": fit.scatter, "largest_held_out": fit.held_out },
        "r2": fit.r_squared, "n": fit.points, "residuals": fit.residuals, "warnings": fit.warnings,
    });
    for (parameter, found) in &fit.estimates {
        told[parameter.name()] = json!(found.value);
        told["intervals"][parameter.name()] = json!(found);
    }
    told
});

/// D' = U + U R* (1 - exp(-R / R*)): what `tokens`, seen in `epochs` passes, are worth in fresh
/// ones.
#[must_use]
pub fn effective_tokens(tokens: f64, epochs: f64, decay: f64) -> f64 {
    if epochs <= 1.0 {
        return tokens * epochs;
    }
    tokens * (1.0 - decay * libm::expm1(-(epochs - 1.0) / decay))
}

/// How a shape is made of coefficients and other parameters, for given samples.
pub(super) struct Layout {
    /// E first; then A and B as far as there are.
    coefficients: Vec<Parameter>,
    thetas: Vec<Parameter>,
}

impl Layout {
    /// A law of one axis, whose x are the parameters of the samples.
    pub(super) fn line(family: Family) -> Self {
        let thetas = match family {
            Family::Power => vec![Parameter::Alpha],
            Family::Reciprocal => Vec::new(),
        };
        Self { coefficients: vec![Parameter::E, Parameter::A], thetas }
    }

    pub(super) fn new(shape: Shape, size: bool) -> Self {
        let mut coefficients = vec![Parameter::E];
        let mut thetas = Vec::new();
        if size {
            coefficients.push(Parameter::A);
            thetas.push(Parameter::Alpha);
        }
        coefficients.push(Parameter::B);
        thetas.push(Parameter::Beta);
        if shape == Shape::Repeat {
            thetas.push(Parameter::Decay);
        }
        Self { coefficients, thetas }
    }

    pub(super) fn count(&self) -> usize {
        self.coefficients.len() + self.thetas.len()
    }

    /// All parameters in order, with their place in a solution.
    pub(super) fn places(&self) -> Vec<(Parameter, Which)> {
        let linear = self.coefficients.iter().enumerate().map(|(i, p)| (*p, Which::Coefficient(i)));
        let other = self.thetas.iter().enumerate().map(|(i, p)| (*p, Which::Theta(i)));
        let mut places: Vec<_> = linear.chain(other).collect();
        places.sort_by_key(|(parameter, _)| *parameter);
        places
    }

    pub(super) fn bounds(&self) -> Vec<(f64, f64)> {
        let bounds = self.thetas.iter().map(|theta| match theta {
            Parameter::Decay => DECAY_BOUNDS,
            _ => (EXPONENT_MIN, EXPONENT_MAX),
        });
        bounds.collect()
    }

    pub(super) fn starts(&self) -> Vec<&'static [f64]> {
        let starts = self.thetas.iter().map(|theta| match theta {
            Parameter::Decay => &DECAY_STARTS[..],
            _ => &EXPONENT_STARTS[..],
        });
        starts.collect()
    }

    /// The functions of the coefficients at the samples.
    pub(super) fn columns(&self, samples: &[Sample], theta: &[f64]) -> Vec<Vec<f64>> {
        let value = |wanted: Parameter| {
            self.thetas.iter().position(|theta| *theta == wanted).map(|index| theta[index])
        };
        let column = |coefficient: &Parameter| -> Vec<f64> {
            let at = |sample: &Sample| match coefficient {
                Parameter::A => {
                    let alpha = value(Parameter::Alpha).unwrap_or(1.0);
                    libm::pow(sample.parameters.expect("checked: every sample has N"), -alpha)
                }
                Parameter::B => {
                    let beta = value(Parameter::Beta).expect("a term of D has an exponent");
                    let decay = value(Parameter::Decay).unwrap_or(f64::INFINITY);
                    let epochs = sample.epochs.filter(|_| decay.is_finite()).unwrap_or(1.0);
                    libm::pow(effective_tokens(sample.tokens, epochs, decay), -beta)
                }
                _ => 1.0,
            };
            samples.iter().map(at).collect()
        };
        self.coefficients.iter().map(column).collect()
    }
}

/// Checks the samples of a law, with a term for N if `size`.
pub(super) fn check(samples: &[Sample], shape: Shape, size: bool) -> Result<()> {
    for sample in samples {
        let axes = [sample.parameters, Some(sample.tokens), sample.epochs];
        if let Some(x) = axes.into_iter().flatten().find(|x| !(x.is_finite() && *x > 0.0)) {
            return Err(Error::data(format!("{x} is not a positive, finite number")));
        }
        if !(0.0..=LOSS_MAX).contains(&sample.loss) {
            return Err(Error::data(format!("{} is no loss", sample.loss)));
        }
        if size != sample.parameters.is_some() {
            return Err(Error::data("some samples know N and others do not"));
        }
    }
    let distinct = |number: &dyn Fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(number).collect();
        values.sort_by(f64::total_cmp);
        values.dedup_by(|left, right| left.total_cmp(right).is_eq());
        values.len()
    };
    let sizes = distinct(&|sample| sample.parameters.unwrap_or(0.0));
    let budgets = distinct(&|sample| sample.tokens);
    let repeated = samples.iter().any(|sample| sample.epochs.is_some_and(|epochs| epochs > 1.0));
    let problem = match shape {
        Shape::Chinchilla if !size => "Chinchilla's law needs the parameters N of every sample",
        _ if size && sizes < 3 => "a term of N needs at least three different N",
        Shape::Chinchilla if budgets < 3 => "a term of D needs at least three different D",
        Shape::Repeat if !repeated => "no sample repeats its tokens, so that R* has no meaning",
        Shape::Repeat if budgets < 2 => "a term of D' needs at least two different budgets",
        _ => return Ok(()),
    };
    Err(Error::data(problem).hint("measure more, or fit one axis with the power law"))
}

/// Fits a law of several axes by unweighted least squares with non-negative coefficients.
///
/// `options.family` is not used.
///
/// # Errors
/// If numbers are not positive and finite, there are as few samples as parameters, or an axis that
/// the law needs does not vary.
///
/// # Panics
/// If the level does not lie in (0, 1) or there are no resamples.
pub fn fit_surface(samples: &[Sample], shape: Shape, options: &Options) -> Result<SurfaceFit> {
    let size = samples.iter().any(|sample| sample.parameters.is_some());
    let layout = Layout::new(shape, size);
    let parameters = layout.count();
    if samples.len() <= parameters {
        let (points, needed) = (samples.len(), parameters + 1);
        let refusal = Refusal::TooFewPoints { points, needed };
        return Err(Error::data(refusal.to_string()).hint(refusal.hint()));
    }
    check(samples, shape, size)?;
    let losses: Vec<f64> = samples.iter().map(|sample| sample.loss).collect();
    let columns = |theta: &[f64]| layout.columns(samples, theta);
    let (bounds, starts) = (layout.bounds(), layout.starts());
    let problem = Problem { y: &losses, columns: &columns, bounds: &bounds, starts: &starts };
    let best = problem.solve();
    let degrees = samples.len() - parameters;
    let scatter = options.noise.scatter(best.residual, degrees);
    let scatter = scatter.expect("more samples than parameters leave degrees of freedom");
    let work = Work { layout: &layout, samples, problem: &problem, best: &best };
    let estimates = work.estimates(scatter, options);
    let mean = losses.iter().fold(0.0, |sum, y| sum + y) / losses.len() as f64;
    let total = losses.iter().fold(0.0, |sum, y| sum + (y - mean) * (y - mean));
    let fitted = work.fitted();
    let relative = losses.iter().zip(&fitted).map(|(y, fit)| ((y - fit) / y).abs());
    let mut fit = SurfaceFit {
        shape,
        points: samples.len(),
        residual: best.residual,
        r_squared: 1.0 - best.residual / total,
        relative_error: relative.fold(0.0, |sum, error| sum + error) / losses.len() as f64,
        scatter,
        residuals: Residuals::new(&losses, &fitted, &work.tangents(), scatter.deviation),
        held_out: work.held_out(),
        warnings: Vec::new(),
        estimates,
    };
    fit.warnings = warnings(&fit, options, parameters);
    Ok(fit)
}

/// What the parts of a fit share.
struct Work<'a> {
    layout: &'a Layout,
    samples: &'a [Sample],
    problem: &'a Problem<'a>,
    best: &'a Solution,
}

impl Work<'_> {
    fn fitted(&self) -> Vec<f64> {
        let columns = (self.problem.columns)(&self.best.theta);
        let at = |index: usize| {
            let terms = columns.iter().zip(&self.best.coefficients);
            terms.fold(0.0, |sum, (column, coefficient)| sum + coefficient * column[index])
        };
        (0..self.samples.len()).map(at).collect()
    }

    /// Derivatives of the losses by the parameters.
    fn tangents(&self) -> Vec<Vec<f64>> {
        const DIFFERENCE: f64 = 1e-6;
        let mut tangents = (self.problem.columns)(&self.best.theta);
        for index in 0..self.best.theta.len() {
            let mut beside = self.best.clone();
            beside.theta[index] *= 1.0 + DIFFERENCE;
            let moved = Work { best: &beside, ..*self }.fitted().into_iter().zip(self.fitted());
            tangents.push(moved.map(|(there, here)| (there - here) / DIFFERENCE).collect());
        }
        tangents
    }

    fn estimates(&self, scatter: Scatter, options: &Options) -> Vec<(Parameter, Estimate)> {
        let allowance = scatter.allowance(options.level);
        let rest = self.leave_one_out();
        let mut refits = Vec::with_capacity(options.resamples);
        resample(&self.fitted(), scatter, options.resamples, |losses, _| {
            refits.push(Problem { y: losses, ..*self.problem }.refine(self.best));
        });
        let estimate = |(parameter, which): (Parameter, Which)| {
            let (limits, slack) = match which {
                Which::Coefficient(_) => ((0.0, f64::INFINITY), 0.0),
                Which::Theta(index) => (self.problem.bounds[index], 1e-6),
            };
            let limits = (limits.0 * (1.0 + slack), limits.1 * (1.0 - slack));
            let drawn = refits.iter().map(|refit| refit.get(which)).collect();
            let (low, high) = self.problem.range(which, self.best, allowance);
            let left_out = rest.iter().map(|solution| solution.get(which));
            let span = left_out.map(|value| (value, value));
            let mut estimate = Estimate {
                value: self.best.get(which),
                profile: Interval { low, high, level: options.level },
                bootstrap: percentiles(drawn, options.level, limits),
                leave_one_out: span.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))),
                rounding: false,
            };
            let slack = SEARCH_SLACK * estimate.value.abs();
            // Other parameters than E have other units than losses.
            let far = match parameter {
                Parameter::E => 10.0 * last_digit(self.problem.y),
                _ => f64::INFINITY,
            };
            estimate.excuse_rounding(self.problem.y, slack, far, |digit| {
                let deviation = scatter.deviation.max(digit);
                let allowance = Scatter { deviation, ..scatter }.allowance(options.level);
                let (low, high) = self.problem.range(which, self.best, allowance);
                Interval { low, high, level: options.level }
            });
            (parameter, estimate)
        };
        self.layout.places().into_iter().map(estimate).collect()
    }

    /// The solution without the sample number `index`.
    fn without(&self, index: usize) -> Option<Solution> {
        if self.samples.len() <= self.layout.count() {
            return None;
        }
        let keep = |other: &usize| *other != index;
        let indices = || (0..self.samples.len()).filter(keep);
        let samples: Vec<Sample> = indices().map(|other| self.samples[other]).collect();
        let losses: Vec<f64> = samples.iter().map(|sample| sample.loss).collect();
        let columns = |theta: &[f64]| self.layout.columns(&samples, theta);
        let problem = Problem { y: &losses, columns: &columns, ..*self.problem };
        Some(problem.refine(self.best))
    }

    fn leave_one_out(&self) -> Vec<Solution> {
        if self.samples.len() > LEAVE_ONE_OUT_MAX {
            return Vec::new();
        }
        (0..self.samples.len()).filter_map(|index| self.without(index)).collect()
    }

    fn held_out(&self) -> Option<HeldOut> {
        let compute = |sample: &Sample| {
            sample.parameters.unwrap_or(1.0) * sample.tokens * sample.epochs.unwrap_or(1.0)
        };
        let indices = 0..self.samples.len();
        let index = indices
            .max_by(|&i, &j| compute(&self.samples[i]).total_cmp(&compute(&self.samples[j])))?;
        let solution = self.without(index)?;
        let sample = self.samples[index];
        let columns = self.layout.columns(&[sample], &solution.theta);
        let terms = columns.iter().zip(&solution.coefficients);
        let predicted = terms.fold(0.0, |sum, (column, value)| sum + value * column[0]);
        Some(HeldOut { x: compute(&sample), measured: sample.loss, predicted })
    }
}

/// Everything that a reader must know about a law with this many parameters.
fn warnings(fit: &SurfaceFit, options: &Options, parameters: usize) -> Vec<Warning> {
    let mut found = Vec::new();
    found.extend(few_points(fit.points, parameters));
    for (parameter, estimate) in &fit.estimates {
        let open =
            estimate.profile.low.value().is_none() && estimate.profile.high.value().is_none();
        let coefficient = matches!(parameter, Parameter::A | Parameter::B);
        if open || coefficient && estimate.value <= 0.0 {
            found.push(Warning::Undetermined { parameter: *parameter });
        }
    }
    found.extend(scatter_exceeds_noise(fit.residual, fit.points - parameters, options.noise));
    if let Some(e) = fit.get(Parameter::E) {
        found.extend((e.value <= 0.0).then_some(Warning::AsymptoteAtBound));
        found.extend(left_out_outside(e));
    }
    found.extend(residual_warnings(&fit.residuals, fit.points));
    found
}
