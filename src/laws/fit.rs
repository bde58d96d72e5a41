//! Fits a law of one axis, with everything that says how far it can be trusted.

use super::axis::{Axis, EXPONENT_MAX, EXPONENT_MIN, Losses, Scaled};
use super::bootstrap::{percentiles, refits};
use super::curve::Curve;
use super::doubt;
use super::found::{Estimate, Fit, Options, Refusal, SEARCH_SLACK};
use super::interval::{End, Interval};
use super::noise::Scatter;
use super::power::{Family, PowerLaw};
use super::region::Region;
use super::residuals::{Residuals, last_digit};

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
