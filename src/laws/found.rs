//! What a fit of one axis gives, and why it may give nothing.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::axis::EXPONENT_MIN;
use super::interval::{Claim, End, Interval};
use super::noise::{Noise, Scatter};
use super::power::{Family, PowerLaw};
use super::residuals::{Residuals, last_digit};
use super::warning::{Candidate, HeldOut, Warning};

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
