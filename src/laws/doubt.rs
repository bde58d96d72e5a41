//! Reasons to doubt a law: points left out, the largest predicted, simpler shapes, and warnings.

use super::axis::{EXPONENT_MAX, EXPONENT_MIN};
use super::curve::Curve;
use super::found::{Estimate, Fit, Options, at_bound};
use super::noise::{Noise, chi_square_tail};
use super::power::{Family, PowerLaw};
use super::residuals::Residuals;
use super::warning::{Candidate, HeldOut, Warning};

/// Fewer points than parameters and this are said aloud.
const POINTS_SPARE: usize = 2;
/// More points than this are not left out one by one: it would take long and move little.
const LEAVE_ONE_OUT_MAX: usize = 200;
/// An exponent above this divides the excess by eight when x doubles; no loss has been seen to.
const EXPONENT_PLAUSIBLE_MAX: f64 = 3.0;
/// Given noise is doubted if the residuals are as large as this with less than this probability.
const SCATTER_TAIL: f64 = 0.01;

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

pub(super) fn left_out_outside(e: &Estimate) -> Option<Warning> {
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

pub(super) fn few_points(points: usize, parameters: usize) -> Option<Warning> {
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

pub(super) fn scatter_exceeds_noise(
    residual: f64,
    degrees: usize,
    noise: Noise,
) -> Option<Warning> {
    let Noise::Known { deviation } = noise else { return None };
    let scatter = (residual / degrees as f64).sqrt();
    let tail = chi_square_tail(residual / (deviation * deviation), degrees);
    (tail < SCATTER_TAIL).then_some(Warning::ScatterExceedsNoise { scatter, deviation })
}
