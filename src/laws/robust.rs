//! Laws that a few points far off cannot pull: Huber's loss of the logarithm of losses.
//!
//! Hoffmann et al. (2022, appendix D.2) fit L(N, D) by the sum of Huber_delta(ln law - ln L) with
//! delta = 1e-3, as Besiroglu et al. (2024, "Chinchilla scaling: a replication attempt") do again:
//! nearly the sum of absolute errors, so that an error counts by its size and not by its square.
//!
//! Minimized over the logarithms of all coefficients and exponents by steps of Levenberg and
//! Marquardt on reweighted residuals, from a grid of exponents and from the least-squares law, with
//! a delta that shrinks to the one that was asked for: at first all points pull, at last those in
//! the middle.
//!
//! This objective is no likelihood: its profile says nothing about chance. Intervals are those of a
//! bootstrap that redraws residuals (of the logarithms, inflated by the degrees of freedom that the
//! law has used up), so that points far off stay as frequent as they were found. With few points
//! that is rough: as many residuals as there are parameters can be zero.

use std::fmt;

use serde_json::json;

use super::bootstrap::percentiles;
use super::curve::Curve;
use super::draws::Draws;
use super::found::{Options, Refusal};
use super::interval::Claim;
use super::noise::Noise;
use super::parameter::Parameter;
use super::residuals::Residuals;
use super::separable::{Problem, Solution, Which, damped_step};
use super::surface::{Layout, Sample, Shape, check};
use crate::{Error, Result};

/// The delta of Hoffmann et al.
pub const HUBER_DELTA: f64 = 1e-3;

/// Steps of one descent.
const STEPS_MAX: usize = 200;
/// A descent ends when nothing moves by more than this, in logarithms.
const STILL: f64 = 1e-8;
/// The width of a difference in the logarithm of an exponent.
const DIFFERENCE: f64 = 1e-7;
/// A term that is nowhere larger than this share of the largest loss is none.
const NOTHING: f64 = 1e-9;
/// Descents that go on to the smallest delta.
const FINALISTS: usize = 3;

/// A law fitted by Huber's loss.
#[derive(Clone, Debug, PartialEq)]
pub struct RobustFit {
    /// Where squares give way to absolute values, in ln L.
    pub delta: f64,
    /// Each parameter with its bootstrap interval, in the order of [`Parameter`].
    pub estimates: Vec<(Parameter, Claim)>,
    /// Number of points.
    pub points: usize,
    /// The sum that was minimized.
    pub objective: f64,
    /// Share of the variance of the losses that the law explains.
    pub r_squared: f64,
    /// What the residuals say, in nats and in the order of the points.
    pub residuals: Residuals,
}

impl RobustFit {
    /// The estimate of a parameter; `None` if the law has none of this name.
    #[must_use]
    pub fn get(&self, parameter: Parameter) -> Option<Claim> {
        self.estimates.iter().find(|(name, _)| *name == parameter).map(|(_, claim)| *claim)
    }
}

// A profile of this objective is no likelihood, so that there is none.
serialize_as!(RobustFit, |fit| {
    let mut told = json!({
        "loss": "huber-log", "delta": fit.delta, "objective": fit.objective, "intervals": {},
        "r2": fit.r_squared, "n": fit.points, "residuals": fit.residuals,
    });
    for (parameter, Claim { value, interval }) in &fit.estimates {
        told[parameter.name()] = json!(value);
        told["intervals"]["level"] = json!(interval.level);
        told["intervals"][parameter.name()] = json!({ "profile": null, "bootstrap": interval });
    }
    told
});

impl fmt::Display for RobustFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "huber-log, delta {}, {} points", self.delta, self.points)
    }
}

/// Fits a law of one axis, in the order of the curve's x.
///
/// # Errors
/// A [`Refusal`] where the points are as few as parameters, or the losses do not fall.
pub fn fit_robust(
    curve: &Curve,
    options: &Options,
    delta: f64,
) -> std::result::Result<RobustFit, Refusal> {
    let needed = options.family.parameters() + 1;
    if curve.len() < needed {
        return Err(Refusal::TooFewPoints { points: curve.len(), needed });
    }
    if curve.y().contains(&0.0) {
        return Err(Refusal::ZeroLoss);
    }
    let sample = |(x, loss): (f64, f64)| Sample {
        parameters: Some(x / curve.x()[0]),
        tokens: 1.0,
        epochs: None,
        loss,
    };
    let samples: Vec<Sample> = curve.points().map(sample).collect();
    let layout = Layout::line(options.family);
    let fit = robust(&layout, &samples, curve.x()[0], options, delta);
    match fit.get(Parameter::A).map(|claim| claim.value) {
        Some(a) if a <= 0.0 => Err(Refusal::NoDecrease),
        Some(a) if !a.is_normal() => Err(Refusal::Unit),
        _ => Ok(fit),
    }
}

/// Fits a law of several axes.
///
/// # Errors
/// As [`super::fit_surface`], and where a loss is zero, which has no logarithm.
pub fn fit_surface_robust(
    samples: &[Sample],
    shape: Shape,
    options: &Options,
    delta: f64,
) -> Result<RobustFit> {
    let size = samples.iter().any(|sample| sample.parameters.is_some());
    let layout = Layout::new(shape, size);
    if samples.len() <= layout.count() {
        let (points, needed) = (samples.len(), layout.count() + 1);
        let refusal = Refusal::TooFewPoints { points, needed };
        return Err(Error::data(refusal.to_string()).hint(refusal.hint()));
    }
    check(samples, shape, size)?;
    if samples.iter().any(|sample| sample.loss <= 0.0) {
        return Err(Error::data(Refusal::ZeroLoss.to_string()).hint(Refusal::ZeroLoss.hint()));
    }
    Ok(robust(&layout, samples, 1.0, options, delta))
}

/// Samples have N in units of `unit`, in which A is told as it is in units of one: every refit has
/// an exponent of its own, and so a factor of its own.
fn robust(
    layout: &Layout,
    samples: &[Sample],
    unit: f64,
    options: &Options,
    delta: f64,
) -> RobustFit {
    let losses: Vec<f64> = samples.iter().map(|sample| sample.loss).collect();
    let columns = |theta: &[f64]| layout.columns(samples, theta);
    let (bounds, starts) = (layout.bounds(), layout.starts());
    let problem = Problem { y: &losses, columns: &columns, bounds: &bounds, starts: &starts };
    let huber = Huber { problem: &problem, delta };
    let best = huber.solve();
    let fitted = huber.values(&best);
    let intervals = huber.bootstrap(&best, &fitted, layout.count(), options);
    let places = layout.places();
    let alpha = places.iter().find(|(name, _)| *name == Parameter::Alpha).map(|(_, which)| *which);
    let value = |law: &Solution, parameter, which| match parameter {
        Parameter::A => law.get(which) * libm::pow(unit, alpha.map_or(1.0, |alpha| law.get(alpha))),
        _ => law.get(which),
    };
    let estimates = places.iter().map(|&(parameter, which)| {
        let drawn = intervals.iter().map(|refit| value(refit, parameter, which)).collect();
        let limits = match which {
            Which::Coefficient(_) => (0.0, f64::INFINITY),
            Which::Theta(index) => (bounds[index].0 * (1.0 + 1e-6), bounds[index].1 * (1.0 - 1e-6)),
        };
        let interval = percentiles(drawn, options.level, limits);
        (parameter, Claim { value: value(&best, parameter, which), interval })
    });
    let estimates = estimates.collect();
    let mean = losses.iter().fold(0.0, |sum, y| sum + y) / losses.len() as f64;
    let squares = |to: &dyn Fn(usize) -> f64| {
        (0..losses.len()).fold(0.0, |sum, i| sum + (losses[i] - to(i)).powi(2))
    };
    let (rest, total) = (squares(&|i| fitted[i]), squares(&|_| mean));
    let mut residuals = Residuals::new(&losses, &fitted, &vec![Vec::new(); layout.count()], 0.0);
    residuals.deviations = residuals.largest.abs() / residuals.robust_deviation;
    RobustFit {
        delta,
        estimates,
        points: samples.len(),
        objective: best.residual,
        r_squared: 1.0 - rest / total,
        residuals,
    }
}

/// The objective. In a [`Solution`] of it, `residual` is its value.
struct Huber<'a> {
    problem: &'a Problem<'a>,
    delta: f64,
}

/// A place of a descent: logarithms of coefficients, then of thetas.
#[derive(Clone)]
struct Place {
    ln: Vec<f64>,
    /// ln law - ln L.
    residuals: Vec<f64>,
    /// Share of each term in the law, at every point.
    shares: Vec<Vec<f64>>,
    value: f64,
}

impl Huber<'_> {
    /// The best law over all starts.
    fn solve(&self) -> Solution {
        let wide = Huber { delta: 100.0 * self.delta, ..*self };
        let squares = self.problem.solve();
        let mut found: Vec<Place> = self
            .problem
            .start_grid()
            .into_iter()
            .map(|theta| self.problem.with_coefficients(&theta))
            .chain([squares])
            .map(|start| wide.descend(wide.start(&start), 25))
            .collect();
        // Places that lead to one another are tried once.
        found.sort_by(|left, right| left.value.total_cmp(&right.value));
        found.dedup_by(|left, right| (left.value - right.value).abs() <= 1e-9 * right.value);
        let last = found.into_iter().take(FINALISTS).map(|place| self.narrow(place.ln));
        let best = last.reduce(|left, right| if right.value < left.value { right } else { left });
        self.solution(&best.expect("there is a start"))
    }

    /// Descents with ever smaller deltas, down to the own one.
    fn narrow(&self, mut ln: Vec<f64>) -> Place {
        for factor in [30.0, 10.0, 3.0] {
            let wider = Huber { delta: factor * self.delta, ..*self };
            ln = wider.descend(wider.at(ln), 30).ln;
        }
        self.descend(self.at(ln), STEPS_MAX)
    }

    /// Where a solution lies; a term of nothing gets a small share, from which it can grow.
    fn start(&self, solution: &Solution) -> Place {
        let columns = (self.problem.columns)(&solution.theta);
        let largest = self.problem.y.iter().fold(0.0_f64, |max, y| max.max(*y));
        let coefficients = solution.coefficients.iter().zip(&columns).map(|(value, column)| {
            let top = column.iter().fold(0.0_f64, |max, f| max.max(*f)).max(f64::MIN_POSITIVE);
            libm::log(value.max(1e-3 * largest / top))
        });
        let thetas = solution.theta.iter().map(|theta| libm::log(*theta));
        self.at(coefficients.chain(thetas).collect())
    }

    /// The objective at a place, which is moved into its bounds.
    fn at(&self, mut ln: Vec<f64>) -> Place {
        let terms = ln.len() - self.problem.bounds.len();
        for (place, (low, high)) in ln[terms..].iter_mut().zip(self.problem.bounds) {
            *place = place.clamp(libm::log(*low), libm::log(*high));
        }
        let theta: Vec<f64> = ln[terms..].iter().map(|place| libm::exp(*place)).collect();
        let mut shares = (self.problem.columns)(&theta);
        for (column, ln) in shares.iter_mut().zip(&ln) {
            let coefficient = libm::exp(*ln);
            column.iter_mut().for_each(|f| *f *= coefficient);
        }
        let mut residuals = Vec::with_capacity(self.problem.y.len());
        let mut value = 0.0;
        for (index, y) in self.problem.y.iter().enumerate() {
            let law = shares.iter().fold(0.0, |sum, column| sum + column[index]);
            shares.iter_mut().for_each(|column| column[index] /= law);
            let residual = libm::log(law / y);
            value += match residual.abs() {
                size if size <= self.delta => 0.5 * size * size,
                size => self.delta * (size - 0.5 * self.delta),
            };
            residuals.push(residual);
        }
        Place { ln, residuals, shares, value }
    }

    /// Goes downhill until nothing moves.
    fn descend(&self, start: Place, steps: usize) -> Place {
        let mut here = start;
        let mut damping = 1e-3;
        for _ in 0..steps {
            let (normal, slope) = self.derivatives(&here);
            let (mut moved, mut gained) = (0.0_f64, 0.0);
            while damping < 1e12 {
                let step = damped_step(&normal, &slope, damping);
                let next = here.ln.iter().zip(&step).map(|(ln, step)| ln + step.clamp(-1.0, 1.0));
                let there = self.at(next.collect());
                if there.value < here.value {
                    let moves = there.ln.iter().zip(&here.ln).map(|(new, old)| (new - old).abs());
                    moved = moves.fold(0.0, f64::max);
                    gained = here.value - there.value;
                    here = there;
                    damping = (damping * 0.2).max(1e-12);
                    break;
                }
                damping *= 4.0;
            }
            if moved < STILL || gained <= 1e-13 * here.value {
                break;
            }
        }
        here
    }

    /// J'WJ and J'Wr by the logarithms, with Huber's weights W.
    fn derivatives(&self, here: &Place) -> (Vec<Vec<f64>>, Vec<f64>) {
        let terms = here.shares.len();
        let mut rows = here.shares.clone();
        for index in terms..here.ln.len() {
            let mut ln = here.ln.clone();
            // Away from an upper bound, where a step forward would be clamped.
            let high = libm::log(self.problem.bounds[index - terms].1);
            let width = if ln[index] + DIFFERENCE > high { -DIFFERENCE } else { DIFFERENCE };
            ln[index] += width;
            let beside = self.at(ln).residuals;
            let slopes = beside.iter().zip(&here.residuals).map(|(b, r)| (b - r) / width);
            rows.push(slopes.collect());
        }
        let weight = |r: &f64| if r.abs() <= self.delta { 1.0 } else { self.delta / r.abs() };
        let weights: Vec<f64> = here.residuals.iter().map(weight).collect();
        let dot = |left: &[f64], right: &[f64]| {
            let pairs = left.iter().zip(right).zip(&weights);
            pairs.fold(0.0, |sum, ((a, b), w)| sum + w * a * b)
        };
        let mut slope: Vec<f64> = rows.iter().map(|row| dot(row, &here.residuals)).collect();
        let mut normal: Vec<Vec<f64>> =
            rows.iter().map(|row| rows.iter().map(|other| dot(row, other)).collect()).collect();
        for index in terms..here.ln.len() {
            let (low, high) = self.problem.bounds[index - terms];
            let outwards = here.ln[index] <= libm::log(low) && slope[index] > 0.0
                || here.ln[index] >= libm::log(high) && slope[index] < 0.0;
            if outwards {
                slope[index] = 0.0;
                normal.iter_mut().for_each(|row| row[index] = 0.0);
                normal[index].fill(0.0);
                normal[index][index] = 1.0;
            }
        }
        (normal, slope)
    }

    /// The law of a place, without terms that are nothing.
    fn solution(&self, place: &Place) -> Solution {
        let terms = place.shares.len();
        let none = |column: &Vec<f64>| column.iter().all(|share| *share < NOTHING);
        let coefficient = |(ln, column): (&f64, &Vec<f64>)| match none(column) {
            true => 0.0,
            false => libm::exp(*ln),
        };
        Solution {
            coefficients: place.ln.iter().zip(&place.shares).map(coefficient).collect(),
            theta: place.ln[terms..].iter().map(|ln| libm::exp(*ln)).collect(),
            residual: place.value,
        }
    }

    /// The law's losses.
    fn values(&self, solution: &Solution) -> Vec<f64> {
        let columns = (self.problem.columns)(&solution.theta);
        let at = |index: usize| {
            let terms = columns.iter().zip(&solution.coefficients);
            terms.fold(0.0, |sum, (column, value)| sum + value * column[index])
        };
        (0..self.problem.y.len()).map(at).collect()
    }

    /// Laws of redrawn losses: residuals in ln L with replacement, or noise that was given.
    fn bootstrap(
        &self,
        best: &Solution,
        fitted: &[f64],
        parameters: usize,
        options: &Options,
    ) -> Vec<Solution> {
        let (count, used) = (fitted.len() as f64, parameters as f64);
        let inflation = (count / (count - used)).sqrt();
        let residuals: Vec<f64> = (self.problem.y.iter().zip(fitted))
            .map(|(y, law)| inflation * libm::log(y / law))
            .collect();
        let redraw = |number: usize| {
            let mut draws = Draws::new(number as u64);
            let losses = fitted.iter().map(|law| match options.noise {
                Noise::Residuals => {
                    let index = (draws.uniform() * residuals.len() as f64) as usize;
                    law * libm::exp(residuals[index.min(residuals.len() - 1)])
                }
                Noise::Known { deviation } | Noise::Measured { deviation, .. } => {
                    law * libm::exp(deviation / law * draws.normal())
                }
            });
            let losses: Vec<f64> = losses.collect();
            let problem = Problem { y: &losses, ..*self.problem };
            let huber = Huber { problem: &problem, delta: self.delta };
            let wider = Huber { problem: &problem, delta: 10.0 * self.delta };
            let near = wider.descend(wider.start(best), 20);
            huber.solution(&huber.descend(huber.at(near.ln), STEPS_MAX))
        };
        (0..options.resamples).map(redraw).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick() -> Options {
        Options { resamples: 20, ..Options::default() }
    }

    fn value(fit: &RobustFit, parameter: Parameter) -> f64 {
        fit.get(parameter).unwrap().value
    }

    fn near(found: f64, expected: f64, tolerance: f64) {
        assert!((found / expected - 1.0).abs() < tolerance, "{found}, not {expected}");
    }

    #[test]
    fn exact_laws_are_recovered() {
        for (a, alpha, e) in [(0.5, 1.0, 3.0), (12.0, 0.3, 1.7)] {
            let points: Vec<(f64, f64)> =
                (1..=8).map(|k| (1e8 * f64::from(k), a * f64::from(k).powf(-alpha) + e)).collect();
            let fit = fit_robust(&Curve::new(&points).unwrap(), &quick(), HUBER_DELTA).unwrap();
            near(value(&fit, Parameter::E), e, 1e-5);
            near(value(&fit, Parameter::Alpha), alpha, 1e-4);
            near(value(&fit, Parameter::A), a * 1e8_f64.powf(alpha), 1e-2);
        }
    }

    /// Far from one, A follows the exponent of each refit: with one factor for all of them its
    /// interval would be as wide as that of the term at the first point.
    #[test]
    fn the_interval_of_a_coefficient_knows_its_unit() {
        let mut draws = Draws::new(5);
        let noisy = |k: u32| 3.0 + 0.5 / f64::from(k).sqrt() + 0.002 * draws.normal();
        let losses: Vec<f64> = (1..=12).map(noisy).collect();
        let in_units_of = |unit: f64| {
            let x = (1..=12).map(|k| unit * f64::from(k));
            let points: Vec<(f64, f64)> = x.zip(losses.iter().copied()).collect();
            fit_robust(&Curve::new(&points).unwrap(), &quick(), HUBER_DELTA).unwrap()
        };
        let ends = |fit: &RobustFit, parameter| {
            let interval = fit.get(parameter).unwrap().interval;
            (interval.low.value().unwrap(), interval.high.value().unwrap())
        };
        let (near_one, far) = (in_units_of(1.0), in_units_of(1e8));
        let alpha = ends(&near_one, Parameter::Alpha);
        assert_eq!(ends(&far, Parameter::Alpha), alpha);
        let ratio = |fit| {
            let (low, high) = ends(fit, Parameter::A);
            high / low
        };
        let factor = libm::pow(1e8, alpha.1 - alpha.0);
        assert!(factor > 2.0, "{factor}");
        // Percentiles of a sum: nearly the product.
        assert!(ratio(&far) > 0.8 * factor, "{} {} {factor}", ratio(&far), ratio(&near_one));
        assert!(ratio(&far) > 1.5 * ratio(&near_one), "{}", ratio(&near_one));
    }

    #[test]
    fn a_point_far_off_moves_squares_and_not_the_robust_law() {
        let mut draws = Draws::new(77);
        let law = |k: u32| 0.5 / f64::from(k) + 3.0;
        let mut points: Vec<(f64, f64)> =
            (1..=12).map(|k| (f64::from(k), law(k) + 0.001 * draws.normal())).collect();
        points[9].1 += 0.3;
        let curve = Curve::new(&points).unwrap();
        let fit = fit_robust(&curve, &quick(), HUBER_DELTA).unwrap();
        near(value(&fit, Parameter::E), 3.0, 2e-3);
        assert_eq!((fit.residuals.furthest, fit.residuals.far), (9, 1));
        assert!((super::super::fit(&curve, &quick()).unwrap().law.e - 3.0).abs() > 0.01);
    }

    #[test]
    fn surfaces_have_the_same() {
        let mut samples = Vec::new();
        for n in [1e8, 3e8, 1e9, 3e9] {
            for d in [1e9, 4e9, 1.6e10, 6.4e10] {
                let loss = 1.7 + 480.0 / f64::powf(n, 0.35) + 2000.0 / f64::powf(d, 0.36);
                samples.push(Sample { parameters: Some(n), tokens: d, epochs: None, loss });
            }
        }
        samples[5].loss += 0.5;
        samples[10].loss += 0.4;
        let fit = fit_surface_robust(&samples, Shape::Chinchilla, &quick(), HUBER_DELTA).unwrap();
        // Two points pull with all that delta allows, against fourteen without any noise.
        near(value(&fit, Parameter::E), 1.7, 1e-2);
        near(value(&fit, Parameter::Beta), 0.36, 3e-2);
        assert_eq!(fit.residuals.furthest, 5);
    }
}
