//! What a reader must know before believing a law.

use std::fmt;

use serde_json::json;

use super::parameter::Parameter;
use super::power::Family;
use crate::number::digits;

/// The largest x, predicted by the law of all smaller ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut {
    /// The largest x.
    pub x: f64,
    /// Its loss, nats per token.
    pub measured: f64,
    /// What the law of the others says.
    pub predicted: f64,
}

/// A shape that was compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The shape; `None` is a constant.
    pub family: Option<Family>,
    /// Akaike's criterion, corrected for few points; smaller is better. `None` where the points
    /// are too few for it.
    pub criterion: Option<f64>,
}

/// What a reader must know before believing a law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warning {
    /// Fewer points than two more than parameters: five for a power law.
    FewPoints {
        /// Number of points.
        points: usize,
        /// The sensible minimum.
        sensible: usize,
    },
    /// The exponent lies at the bound of the search.
    ExponentAtBound {
        /// The bound.
        alpha: f64,
    },
    /// A parameter of a law of several axes has an interval that is open on both sides, or no
    /// effect: the data do not fix it.
    Undetermined {
        /// The parameter.
        parameter: Parameter,
    },
    /// The exponent is larger than any that has been seen.
    ImplausibleExponent {
        /// The exponent.
        alpha: f64,
    },
    /// E = 0, the bound: the data do not show an asymptote.
    AsymptoteAtBound,
    /// Losses rise somewhere.
    NotMonotone {
        /// Before the largest rise.
        from: f64,
        /// After it.
        to: f64,
        /// The rise, nats per token.
        rise: f64,
    },
    /// The whole fall of the law over the measured range is at most twice the noise of a loss.
    NoiseExceedsSignal {
        /// The fall, nats per token.
        fall: f64,
        /// Standard deviation of a loss.
        deviation: f64,
    },
    /// A constant is not excluded.
    ConstantNotExcluded,
    /// The points lie further from the law than the given noise explains.
    ScatterExceedsNoise {
        /// Root mean square of the residuals, corrected for the parameters.
        scatter: f64,
        /// The given deviation.
        deviation: f64,
    },
    /// The asymptote lies further below the last point than the whole measured fall.
    FarExtrapolation {
        /// From the last point to the asymptote, nats per token.
        gap: f64,
        /// From the first point to the last.
        fall: f64,
    },
    /// One point lies further off than chance explains.
    FarOff {
        /// Its number, counted from 0 in the order of the fit.
        point: usize,
        /// Measured minus fitted, nats per token.
        residual: f64,
        /// The same in standard deviations of a loss.
        deviations: f64,
    },
    /// More points lie far off than normal noise explains: they pull the law, and the intervals
    /// are those of normal noise.
    HeavyTails {
        /// Points beyond four robust standard deviations.
        far: usize,
        /// Of so many.
        points: usize,
        /// The robust standard deviation, nats per token.
        deviation: f64,
    },
    /// Leaving one point out moves E outside of its interval.
    LeaveOneOutOutside {
        /// Smallest E.
        low: f64,
        /// Largest E.
        high: f64,
    },
}

impl HeldOut {
    /// Predicted minus measured, nats per token.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.predicted - self.measured
    }
}

serialize_as!(HeldOut, |held| json!({
    "x": held.x, "measured": held.measured, "predicted": held.predicted, "error": held.error(),
}));

// In a sentence.
serialize_as!(Warning, |warning| warning.to_string());

impl Candidate {
    /// "power", "reciprocal" or "constant".
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.family.map_or("constant", Family::name)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::FewPoints { points, sensible } => {
                write!(f, "{points} points are few: {sensible} are a sensible minimum for this law")
            }
            Self::ExponentAtBound { alpha } => write!(
                f,
                "the exponent lies at the bound of the search, {}: the data do not fix it",
                digits(alpha)
            ),
            Self::Undetermined { parameter } => write!(f, "the data do not fix {parameter}"),
            Self::ImplausibleExponent { alpha } => {
                write!(f, "the exponent {} is implausibly large", digits(alpha))
            }
            Self::AsymptoteAtBound => {
                f.write_str("E is zero, its bound: the data do not show an asymptote")
            }
            Self::NotMonotone { from, to, rise } => {
                write!(
                    f,
                    "not monotone: the loss rises by {} from x = {from} to {to}",
                    digits(rise)
                )
            }
            Self::NoiseExceedsSignal { fall, deviation } => write!(
                f,
                "noise exceeds signal: the law falls by {} over the measured range, the noise of \
                 a loss is {}",
                digits(fall),
                digits(deviation)
            ),
            Self::ConstantNotExcluded => {
                f.write_str("a constant loss is not excluded at this noise")
            }
            Self::ScatterExceedsNoise { scatter, deviation } => write!(
                f,
                "the points scatter by {} around the law, more than the given noise of {}: the \
                 intervals are too narrow",
                digits(scatter),
                digits(deviation)
            ),
            Self::FarExtrapolation { gap, fall } => write!(
                f,
                "far extrapolation: the asymptote lies {} below the last point, the measured fall \
                 is {}",
                digits(gap),
                digits(fall)
            ),
            Self::FarOff { residual, deviations, .. } => write!(
                f,
                "a point lies {deviations:.1} standard deviations ({}) off the law, more than \
                 chance explains",
                digits(residual)
            ),
            Self::HeavyTails { far, points, deviation } => write!(
                f,
                "heavy tails: {far} of {points} points lie beyond 4 robust standard deviations \
                 ({} each): they pull the law, and the intervals do not know",
                digits(deviation)
            ),
            Self::LeaveOneOutOutside { low, high } => write!(
                f,
                "leaving one point out moves E over {} to {}, outside of its interval",
                digits(low),
                digits(high)
            ),
        }
    }
}
