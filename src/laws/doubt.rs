//! Reasons to doubt a law: points left out, the largest predicted, simpler shapes, and warnings.

use std::fmt;

use serde_json::json;

use super::axis::{EXPONENT_MAX, EXPONENT_MIN};
use super::curve::Curve;
use super::fit::{Estimate, Fit, Options, at_bound};
use super::noise::{Noise, chi_square_tail};
use super::power::{Family, PowerLaw};
use super::residuals::Residuals;
use super::surface::{Parameter, SurfaceFit};
use crate::number::digits;

/// Fewer points than parameters and this are said aloud.
const POINTS_SPARE: usize = 2;
/// More points than this are not left out one by one: it would take long and move little.
const LEAVE_ONE_OUT_MAX: usize = 200;
/// An exponent above this divides the excess by eight when x doubles; no loss has been seen to.
const EXPONENT_PLAUSIBLE_MAX: f64 = 3.0;
/// Given noise is doubted if the residuals are as large as this with less than this probability.
const SCATTER_TAIL: f64 = 0.01;

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

/// The laws without each of the points in turn; empty where the rest are too few, or too many.
pub(super) fn leave_one_out(curve: &Curve, family: Family) -> Vec<PowerLaw> {
    if curve.len() <= family.parameters() || curve.len() > LEAVE_ONE_OUT_MAX {
        return Vec::new();
    }
    let rest = (0..curve.len()).filter_map(|index| curve.without(index));
    rest.map(|curve| PowerLaw::least_squares(&curve, family)).collect()
}

/// Predicts the largest x from all others.
pub(super) fn held_out(curve: &Curve, family: Family) -> Option<HeldOut> {
    let smaller = curve.len() - 1;
    let (x, measured) = curve.points().last()?;
    (smaller >= family.parameters()).then(|| {
        let law = PowerLaw::least_squares(&curve.first(smaller), family);
        HeldOut { x, measured, predicted: law.value(x) }
    })
}

/// Compares power, reciprocal and constant, best first; shapes without a criterion come last.
pub(super) fn compare(curve: &Curve, noise: Noise) -> Vec<Candidate> {
    let shapes = [Some(Family::Power), Some(Family::Reciprocal), None];
    let mut candidates: Vec<Candidate> = shapes
        .into_iter()
        .map(|family| Candidate { family, criterion: criterion(curve, family, noise) })
        .collect();
    let key = |candidate: &Candidate| candidate.criterion.unwrap_or(f64::INFINITY);
    candidates.sort_by(|left, right| key(left).total_cmp(&key(right)));
    candidates
}

/// Akaike's criterion with the correction of Hurvich and Tsai (1989) for an estimated deviation,
/// where the deviation counts as a parameter; without it for a given one.
fn criterion(curve: &Curve, family: Option<Family>, noise: Noise) -> Option<f64> {
    let count = curve.len() as f64;
    let mean = curve.y().iter().fold(0.0, |sum, y| sum + y) / count;
    let residuals: Vec<f64> = match family {
        None => curve.y().iter().map(|y| y - mean).collect(),
        Some(family) => {
            let law = PowerLaw::least_squares(curve, family);
            curve.points().map(|(x, y)| y - law.value(x)).collect()
        }
    };
    let squares = residuals.iter().fold(0.0, |sum, residual| sum + residual * residual);
    let parameters = family.map_or(1, Family::parameters) as f64;
    match noise {
        Noise::Known { deviation } | Noise::Measured { deviation, .. } if deviation > 0.0 => {
            Some(squares / (deviation * deviation) + 2.0 * parameters)
        }
        _ => {
            let parameters = parameters + 1.0;
            let room = count - parameters - 1.0;
            // Residuals cannot be smaller than the rounding of the losses.
            let floor = count * (f64::EPSILON * mean).powi(2);
            let fit = count * libm::log(squares.max(floor) / count) + 2.0 * parameters;
            (room > 0.0).then(|| fit + 2.0 * parameters * (parameters + 1.0) / room)
        }
    }
}

/// What residuals say against a law.
pub(super) fn residual_warnings(residuals: &Residuals, points: usize) -> Vec<Warning> {
    let far_off = residuals.stands_out.then_some(Warning::FarOff {
        point: residuals.furthest,
        residual: residuals.largest,
        deviations: residuals.deviations,
    });
    let heavy = residuals.heavy_tails.then_some(Warning::HeavyTails {
        far: residuals.far,
        points,
        deviation: residuals.robust_deviation,
    });
    [far_off, heavy].into_iter().flatten().collect()
}

fn left_out_outside(e: &Estimate) -> Option<Warning> {
    let outside = e.leave_one_out.filter(|_| e.covers_leave_one_out() == Some(false));
    outside.map(|(low, high)| Warning::LeaveOneOutOutside { low, high })
}

/// Everything that a reader must know about this fit, the gravest first.
pub(super) fn warnings(
    curve: &Curve,
    options: &Options,
    fit: &Fit,
    constant: bool,
) -> Vec<Warning> {
    let law = &fit.law;
    let (first, last) = (curve.x()[0], curve.x()[curve.len() - 1]);
    let fall = law.value(first) - law.value(last);
    let (gap, deviation) = (law.value(last) - law.e, fit.scatter.deviation);
    let near = |bound: f64| at_bound(law.alpha, bound);
    let at_bound = fit.family == Family::Power && (near(EXPONENT_MIN) || near(EXPONENT_MAX));
    let degrees = fit.points - fit.family.parameters();
    let found = [
        few_points(fit.points, fit.family.parameters()),
        not_monotone(curve),
        at_bound.then_some(Warning::ExponentAtBound { alpha: law.alpha }),
        (law.alpha > EXPONENT_PLAUSIBLE_MAX && !at_bound)
            .then_some(Warning::ImplausibleExponent { alpha: law.alpha }),
        (law.e <= 0.0).then_some(Warning::AsymptoteAtBound),
        (fall <= 2.0 * deviation).then_some(Warning::NoiseExceedsSignal { fall, deviation }),
        constant.then_some(Warning::ConstantNotExcluded),
        scatter_exceeds_noise(fit.residual, degrees, options.noise),
        (gap > fall).then_some(Warning::FarExtrapolation { gap, fall }),
        left_out_outside(&fit.asymptote),
    ];
    found.into_iter().flatten().chain(residual_warnings(&fit.residuals, fit.points)).collect()
}

/// The same for a law of several axes with this many parameters.
pub(super) fn surface_warnings(
    fit: &SurfaceFit,
    options: &Options,
    parameters: usize,
) -> Vec<Warning> {
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

fn few_points(points: usize, parameters: usize) -> Option<Warning> {
    let sensible = parameters + POINTS_SPARE;
    (points < sensible).then_some(Warning::FewPoints { points, sensible })
}

/// The largest rise between neighbors.
fn not_monotone(curve: &Curve) -> Option<Warning> {
    let points: Vec<(f64, f64)> = curve.points().collect();
    let rises = points.windows(2).map(|pair| (pair[0].0, pair[1].0, pair[1].1 - pair[0].1));
    let largest = rises.max_by(|left, right| left.2.total_cmp(&right.2));
    largest.filter(|(_, _, rise)| *rise > 0.0).map(|(from, to, rise)| Warning::NotMonotone {
        from,
        to,
        rise,
    })
}

fn scatter_exceeds_noise(residual: f64, degrees: usize, noise: Noise) -> Option<Warning> {
    let Noise::Known { deviation } = noise else { return None };
    let scatter = (residual / degrees as f64).sqrt();
    let tail = chi_square_tail(residual / (deviation * deviation), degrees);
    (tail < SCATTER_TAIL).then_some(Warning::ScatterExceedsNoise { scatter, deviation })
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
