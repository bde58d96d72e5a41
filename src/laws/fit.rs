//! A one-axis law with everything that says how far it can be trusted.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::axis::{Axis, EXPONENT_MAX, EXPONENT_MIN, Losses, Scaled};
use super::bootstrap::{percentiles, refits};
use super::curve::Curve;
use super::doubt::{self, Candidate, HeldOut, Warning};
use super::interval::{Claim, End, Interval};
use super::noise::{Noise, Scatter};
use super::power::{Family, PowerLaw};
use super::region::Region;
use super::residuals::{Residuals, last_digit};

/// How to fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The shape of the law.
    pub family: Family,
    /// What is known about the noise of a loss.
    pub noise: Noise,
    /// Level of all intervals, in (0, 1).
    pub level: f64,
    /// Resamples of the parametric bootstrap.
    pub resamples: usize,
}

impl Default for Options {
    /// A power law, noise from the residuals, 90 %, 10,000 resamples.
    fn default() -> Self {
        Self { family: Family::Power, noise: Noise::Residuals, level: 0.9, resamples: 10_000 }
    }
}

/// A fitted law.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The least-squares law.
    pub law: PowerLaw,
    /// Its shape.
    pub family: Family,
    /// E with its intervals, nats per token.
    pub asymptote: Estimate,
    /// alpha with its intervals; all ends are 1 for a reciprocal law.
    pub exponent: Estimate,
    /// A with its intervals, in the user's unit of x.
    pub coefficient: Estimate,
    /// Number of points.
    pub points: usize,
    /// Sum of squared residuals.
    pub residual: f64,
    /// Share of the variance of the losses that the law explains.
    pub r_squared: f64,
    /// The noise of a loss that the intervals rest on.
    pub scatter: Scatter,
    /// What the residuals say, in the order of x.
    pub residuals: Residuals,
    /// The largest x predicted from all others (mission L10).
    pub held_out: Option<HeldOut>,
    /// The shapes that were compared, best first.
    pub candidates: Vec<Candidate>,
    /// What a reader must know before believing the law.
    pub warnings: Vec<Warning>,
}

/// A parameter with what the data say about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The least-squares value.
    pub value: f64,
    /// The headline: the profile-likelihood interval.
    pub profile: Interval,
    /// The percentile interval of the parametric bootstrap, to look at beside it.
    pub bootstrap: Interval,
    /// Smallest and largest value when any one point is left out; `None` where the rest would
    /// be too few, or of more than 200.
    pub leave_one_out: Option<(f64, f64)>,
    /// Whether that range only leaves the interval because losses are rounded.
    pub rounding: bool,
}

/// Why there is no law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The law could pass through every point, whatever they are.
    TooFewPoints {
        /// Points given.
        points: usize,
        /// Points needed.
        needed: usize,
    },
    /// The losses do not fall as x grows: A = 0.
    NoDecrease,
    /// A is too large or too small for a number, in this unit of x.
    Unit,
    /// A loss is zero, and the law is fitted to logarithms of losses.
    ZeroLoss,
}

impl Estimate {
    /// The value with the headline interval, for printing.
    #[must_use]
    pub fn claim(&self) -> Claim {
        Claim { value: self.value, interval: self.profile }
    }

    /// Whether the headline interval holds the whole leave-one-out range, where there is one, up to
    /// the rounding of losses.
    #[must_use]
    pub fn covers_leave_one_out(&self) -> Option<bool> {
        let (low, high) = self.leave_one_out?;
        Some(self.rounding || self.profile.contains(low) && self.profile.contains(high))
    }

    /// Notes whether the leave-one-out range leaves the interval by rounding only: `interval` is
    /// that for losses with a noise of at least their last digit, which it is given, `slack` what
    /// searches leave of a number, and beyond `far` digits were too few to know the number.
    pub(super) fn excuse_rounding(
        &mut self,
        losses: &[f64],
        slack: f64,
        far: f64,
        interval: impl FnOnce(f64) -> Interval,
    ) {
        let Some((low, high)) = self.leave_one_out else { return };
        if self.covers_leave_one_out() == Some(true) {
            return;
        }
        let wide = interval(last_digit(losses));
        let end = |end: End, by: f64| match end {
            End::Closed(value) => End::Closed(value + by),
            open => open,
        };
        let widened = |interval: Interval, by: f64| {
            let (low, high) = (end(interval.low, -by), end(interval.high, by));
            Interval { low, high, ..interval }
        };
        let near = widened(self.profile, far.max(slack));
        let both = |interval: Interval| interval.contains(low) && interval.contains(high);
        self.rounding = both(widened(wide, slack)) && both(near);
    }
}

serialize_as!(Estimate, |it| json!({
    "profile": it.profile, "bootstrap": it.bootstrap, "leave_one_out": it.leave_one_out,
    "covers_leave_one_out": it.covers_leave_one_out(),
}));

serialize_as!(Refusal, |why| json!({ "refused": why.to_string() }));

/// A result as JSON: what was found, or why nothing was.
pub(crate) fn told<T: Serialize, E: Serialize>(found: &Result<T, E>) -> Value {
    found.as_ref().map_or_else(|why| json!(why), |found| json!(found))
}

impl Refusal {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::TooFewPoints { .. } => {
                "measure more points; two more than parameters are a sensible minimum"
            }
            Self::NoDecrease => {
                "look at the points: losses that rise need other settings, not a law"
            }
            Self::Unit => "give x in another unit, for example in billions",
            Self::ZeroLoss => "leave such rows out, or fit by least squares",
        }
    }
}

/// Whether an exponent lies at a bound of the search.
pub(super) fn at_bound(alpha: f64, bound: f64) -> bool {
    (alpha / bound - 1.0).abs() < 1e-6
}

/// The share of a number by which searches may miss it.
pub(super) const SEARCH_SLACK: f64 = 1e-6;

/// What is said of a law without [`Fit::has_asymptote`].
pub const NO_ASYMPTOTE: &str = "its law ends at a bound of the search: the data show no asymptote";

impl Fit {
    /// Whether the law ends at a loss. One with E = 0, or with the smallest exponent of the search
    /// (a straight line in ln x), only says that the losses fall.
    #[must_use]
    pub fn has_asymptote(&self) -> bool {
        self.law.e > 0.0 && !at_bound(self.law.alpha, EXPONENT_MIN)
    }
}

serialize_as!(Fit, |fit| {
    let candidates = fit.candidates.iter().map(|shape| (shape.name(), shape.criterion));
    json!({
        "A": fit.law.a, "alpha": fit.law.alpha, "E": fit.law.e,
        "intervals": {
            "level": fit.asymptote.profile.level, "noise": fit.scatter,
            "A": fit.coefficient, "alpha": fit.exponent, "E": fit.asymptote,
            "largest_held_out": fit.held_out, "aicc": candidates.collect::<Value>(),
        },
        "r2": fit.r_squared, "n": fit.points, "residuals": fit.residuals, "warnings": fit.warnings,
    })
});

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewPoints { points: 1, needed } => {
                write!(f, "one point is no law: at least {needed} are needed")
            }
            Self::TooFewPoints { points, needed } => write!(
                f,
                "{points} points are no law, which could pass through them whatever they are: at \
                 least {needed} are needed"
            ),
            Self::NoDecrease => f.write_str("the losses do not fall as x grows: there is no law"),
            Self::Unit => f.write_str("A has no finite value in this unit of x"),
            Self::ZeroLoss => f.write_str("a loss of zero has no logarithm"),
        }
    }
}

/// Everything that is reused between the parts of a fit.
pub(super) struct Work<'a> {
    pub(super) curve: &'a Curve,
    pub(super) options: &'a Options,
    pub(super) axis: Axis,
    pub(super) losses: Losses,
    pub(super) best: Scaled,
    pub(super) law: PowerLaw,
    pub(super) scatter: Scatter,
}

impl<'a> Work<'a> {
    /// Fits the law, or says why there is none.
    pub(super) fn new(curve: &'a Curve, options: &'a Options) -> Result<Self, Refusal> {
        let (points, parameters) = (curve.len(), options.family.parameters());
        if points <= parameters {
            return Err(Refusal::TooFewPoints { points, needed: parameters + 1 });
        }
        let axis = Axis::new(curve, options.family);
        let losses = Losses::new(curve.y());
        let best = axis.fit(&losses);
        if best.a <= 0.0 {
            return Err(Refusal::NoDecrease);
        }
        let law = axis.law(&best);
        if !law.a.is_normal() {
            return Err(Refusal::Unit);
        }
        let scatter = options.noise.scatter(best.residual, points - parameters);
        let scatter = scatter.expect("more points than parameters leave degrees of freedom");
        Ok(Self { curve, options, axis, losses, best, law, scatter })
    }

    /// The laws that the data do not exclude at the level of the options.
    pub(super) fn region(&self) -> Region<'_> {
        let allowance = self.scatter.allowance(self.options.level);
        Region::new(&self.axis, &self.losses, self.best, allowance)
    }

    /// What the residuals say.
    fn residuals(&self) -> Residuals {
        let powers = |x: &f64| self.axis.relative_power(self.best.alpha, *x);
        let z: Vec<f64> = self.curve.x().iter().map(powers).collect();
        let mut tangents = vec![vec![1.0; z.len()], z.clone()];
        if self.options.family == Family::Power {
            let first = self.curve.x()[0];
            let slope = |(z, x): (&f64, &f64)| z * libm::log(x / first);
            tangents.push(z.iter().zip(self.curve.x()).map(slope).collect());
        }
        Residuals::new(self.curve.y(), &self.fitted(), &tangents, self.scatter.deviation)
    }

    /// The law's losses at the points.
    pub(super) fn fitted(&self) -> Vec<f64> {
        let values = self
            .curve
            .x()
            .iter()
            .map(|&x| self.best.a * self.axis.relative_power(self.best.alpha, x) + self.best.e);
        values.collect()
    }
}

/// Fits a law to a curve by unweighted least squares, with intervals and warnings.
///
/// # Errors
/// A [`Refusal`] where there is no law: as few points as parameters, losses that do not fall, or
/// a unit of x in which A overflows.
///
/// # Panics
/// If the level does not lie in (0, 1) or there are no resamples.
pub fn fit(curve: &Curve, options: &Options) -> Result<Fit, Refusal> {
    assert!(options.resamples > 0, "a bootstrap needs resamples");
    let work = Work::new(curve, options)?;
    let region = work.region();
    let [mut asymptote, exponent, coefficient] = estimates(&work, &region);
    let far = 10.0 * last_digit(curve.y());
    asymptote.excuse_rounding(curve.y(), SEARCH_SLACK * work.losses.mean, far, |digit| {
        let deviation = work.scatter.deviation.max(digit);
        let allowance = Scatter { deviation, ..work.scatter }.allowance(options.level);
        self::asymptote(&work, &Region::new(&work.axis, &work.losses, work.best, allowance))
    });
    let r_squared = 1.0 - work.best.residual / work.losses.squares;
    let mut fit = Fit {
        law: work.law,
        family: options.family,
        asymptote,
        exponent,
        coefficient,
        points: curve.len(),
        residual: work.best.residual,
        r_squared,
        scatter: work.scatter,
        residuals: work.residuals(),
        held_out: doubt::held_out(curve, options.family),
        candidates: doubt::compare(curve, options.noise),
        warnings: Vec::new(),
    };
    fit.warnings = doubt::warnings(curve, options, &fit, region.holds_a_constant());
    Ok(fit)
}

/// E, alpha and A with their intervals.
fn estimates(work: &Work, region: &Region) -> [Estimate; 3] {
    let level = work.options.level;
    let axis = &work.axis;
    let laws = refits(axis, &work.fitted(), work.scatter, work.options.resamples);
    let rest = doubt::leave_one_out(work.curve, work.options.family);
    let span = |number: fn(&PowerLaw) -> f64| {
        let numbers = rest.iter().map(number);
        let range = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
        (!rest.is_empty()).then(|| numbers.fold((f64::INFINITY, f64::NEG_INFINITY), range))
    };
    let estimate_of_e = Estimate {
        value: work.law.e,
        profile: asymptote(work, region),
        bootstrap: percentiles(laws.iter().map(|l| l.e).collect(), level, (0.0, f64::INFINITY)),
        leave_one_out: span(|law| law.e),
        rounding: false,
    };
    let free = work.options.family == Family::Power;
    let (low, high) = region.exponents();
    let profile = Interval {
        low: if free { open_at(low, EXPONENT_MIN) } else { End::Closed(low) },
        high: if free { open_at(high, EXPONENT_MAX) } else { End::Closed(high) },
        level,
    };
    let exponent = Estimate {
        value: work.law.alpha,
        profile,
        bootstrap: exponents(&laws, level, free),
        leave_one_out: span(|law| law.alpha),
        rounding: false,
    };
    let (low, high) = region.range(|alpha| (axis.unit(alpha), 0.0));
    let coefficients = laws.iter().map(|law| axis.law(law).a).collect();
    let coefficient = Estimate {
        value: work.law.a,
        profile: Interval { low: open_at(low, 0.0), high: End::Closed(high), level },
        bootstrap: percentiles(coefficients, level, (0.0, f64::INFINITY)),
        leave_one_out: span(|law| law.a),
        rounding: false,
    };
    [estimate_of_e, exponent, coefficient]
}

/// An end that is open if it lies at the limit, up to the rounding of a logarithm.
fn open_at(value: f64, limit: f64) -> End {
    let at = (value - limit).abs() <= 1e-6 * limit.abs();
    if at { End::Open(limit) } else { End::Closed(value) }
}

/// The headline interval of E.
pub(super) fn asymptote(work: &Work, region: &Region) -> Interval {
    let (low, high) = region.range(|_| (0.0, 1.0));
    Interval { low: open_at(low, 0.0), high: End::Closed(high), level: work.options.level }
}

/// The bootstrap interval of the exponent. A resample that does not fall has no exponent: it
/// counts as the smallest for the lower end and as the largest for the upper one.
fn exponents(laws: &[Scaled], level: f64, free: bool) -> Interval {
    let with = |unknown: f64| {
        let numbers = laws.iter().map(|law| if law.a > 0.0 { law.alpha } else { unknown });
        let slack = 1.0 - 1e-6;
        let limits = (EXPONENT_MIN / slack, EXPONENT_MAX * slack);
        percentiles(numbers.collect(), level, limits)
    };
    if !free {
        return Interval::closed(1.0, 1.0, level);
    }
    Interval { low: with(EXPONENT_MIN).low, high: with(EXPONENT_MAX).high, level }
}
