//! Data efficiency: how many times more data the law's recipe needs to reach another loss.
//!
//! eff(L) = x(L) / x(base), with x(L) the inverse of the standard recipe's law in tokens (mission
//! L4 and L5; the paper's Figure 1 has it as a second axis). Three ways to read x(L) off the
//! measured points, because the choice alone moves the multiplier: by the fitted law, and by
//! straight lines between neighbors in x or in ln x. Lines say nothing outside of the points.

use std::fmt;

use serde_json::json;

use super::bootstrap::{percentiles, resample};
use super::curve::Curve;
use super::draws::Draws;
use super::fit::Work;
use super::found::{Options, Refusal};
use super::interval::{Claim, End, Interval};
use super::power::PowerLaw;
use super::region::{Region, Side};
use super::search::border;
use super::told::StandardError;
use crate::number::digits;

/// The search for an x ends at e^131 times the best one: no corpus is larger.
const DOUBLINGS: i32 = 18;

/// What the multiplier is relative to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Base {
    /// This amount of x, for example the tokens that there are.
    X(f64),
    /// The amount of x that gives this loss, as in the paper: the law's own smoothing then acts on
    /// numerator and denominator alike.
    Loss(Target),
}

/// A loss to be reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// The loss, nats per token.
    pub loss: f64,
    /// Its error; `None` if it is taken as exact.
    pub error: Option<StandardError>,
}

/// How x is read off the points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interpolation {
    /// By the fitted law.
    Law,
    /// By straight lines in x.
    Linear,
    /// By straight lines in ln x.
    Logarithmic,
}

/// Why there is no multiplier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// The loss, or the base's, lies at or below the law's asymptote: no amount of data gives it.
    BelowAsymptote,
    /// The loss, or the base's, lies outside of the measured ones, where lines say nothing.
    OutsideMeasured,
}

/// How many times the base's data a loss is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multiplier {
    /// How it was read off.
    pub interpolation: Interpolation,
    /// The factor, or why there is none.
    pub value: Result<f64, Unreached>,
    /// By the law: its profile-likelihood interval, and what the errors of both losses add to it
    /// (in ln x, by their squares). An upper end is open where the law may never reach the loss.
    /// There may be one where there is no value: the best law does not reach the loss, but others
    /// do that the data do not exclude.
    pub profile: Option<Interval>,
    /// The bootstrap's interval, over the noise of the points and of the target. Ends are open
    /// where the loss may not be reached.
    pub bootstrap: Option<Interval>,
}

impl Interpolation {
    /// "law", "linear" or "logarithmic".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Law => "law",
            Self::Linear => "linear",
            Self::Logarithmic => "logarithmic",
        }
    }

    /// The x at which the lines between the points first come down to `loss`.
    fn invert(self, x: &[f64], y: &[f64], loss: f64) -> Option<f64> {
        let index = y.windows(2).position(|pair| pair[0] >= loss && loss >= pair[1])?;
        let (left, right) = (x[index], x[index + 1]);
        let fall = y[index] - y[index + 1];
        let share = if fall > 0.0 { (y[index] - loss) / fall } else { 0.0 };
        Some(match self {
            Self::Linear => left + share * (right - left),
            _ => left * libm::pow(right / left, share),
        })
    }
}

impl Multiplier {
    /// The value with the headline interval (profile, else bootstrap), for printing.
    ///
    /// # Errors
    /// Where there is no multiplier.
    pub fn claim(&self) -> Result<Claim, Unreached> {
        let interval = self.profile.or(self.bootstrap);
        Ok(Claim { value: self.value?, interval: interval.expect("a value has an interval") })
    }
}

serialize_as!(Multiplier, |it| json!({
    "interpolation": it.interpolation.name(), "value": it.value.ok(),
    "profile": it.profile, "bootstrap": it.bootstrap, "interval": it.profile.or(it.bootstrap),
}));

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BelowAsymptote => "not reached: at or below the asymptote of the law",
            Self::OutsideMeasured => "outside of the measured losses",
        })
    }
}

impl fmt::Display for Multiplier {
    /// "2.0833 (1.9521 to 2.2160)", or why there is none, with the range that is not excluded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.claim(), self.profile) {
            (Ok(claim), _) => write!(f, "{claim}"),
            (Err(why), Some(range)) => write!(f, "{why} ({range})"),
            (Err(why), None) => write!(f, "{why}"),
        }
    }
}

/// The multiplier of a target by the law, by lines, and by lines in ln x.
///
/// # Errors
/// As [`super::fit`], which also says when this panics.
pub fn multipliers(
    curve: &Curve,
    options: &Options,
    target: Target,
    base: Base,
) -> Result<[Multiplier; 3], Refusal> {
    let work = Work::new(curve, options)?;
    let kinds = [Interpolation::Law, Interpolation::Linear, Interpolation::Logarithmic];
    // Lines take the base's x as known: it is a point, or lies between two.
    let line_bases = kinds.map(|kind| match base {
        Base::X(x) => Some(x),
        Base::Loss(base) => kind.invert(curve.x(), curve.y(), base.loss),
    });
    let by_line = |index: usize, y: &[f64], loss: f64| -> Option<f64> {
        Some(kinds[index].invert(curve.x(), y, loss)? / line_bases[index]?)
    };
    let mut drawn: [Vec<f64>; 3] = Default::default();
    // Lines connect the points themselves, so that their noise comes on top of the points; the law
    // is refitted to what it might have given.
    let noises: Vec<f64> = vec![0.0; curve.len()];
    let (mut losses, mut y) = (work.losses.clone(), curve.y().to_vec());
    let fitted = work.fitted();
    resample(&noises, work.scatter, options.resamples, |noise, draws| {
        let loss = target.drawn(draws);
        let base = match base {
            Base::Loss(base) => Base::Loss(Target { loss: base.drawn(draws), error: None }),
            x => x,
        };
        let around = |center: &[f64], y: &mut [f64]| {
            for ((y, center), noise) in y.iter_mut().zip(center).zip(noise) {
                *y = center + noise;
            }
        };
        around(&fitted, &mut y);
        losses.set(&y);
        let refit = work.axis.law(&work.axis.fit(&losses));
        drawn[0].push(by_law(&refit, loss, base).unwrap_or(f64::INFINITY));
        around(curve.y(), &mut y);
        // Above the first point no x is small enough; below the last none is large enough.
        let out = if loss > y[0] { 0.0 } else { f64::INFINITY };
        for (index, drawn) in drawn.iter_mut().enumerate().skip(1) {
            drawn.push(by_line(index, &y, loss).unwrap_or(out));
        }
    });
    let profile = with_errors(&work, target, base);
    let [law, linear, logarithmic] = drawn;
    let multiplier = |index: usize, value: Result<f64, Unreached>, profile, drawn| Multiplier {
        interpolation: kinds[index],
        value,
        profile,
        bootstrap: value.is_ok().then(|| percentiles(drawn, options.level, (0.0, f64::INFINITY))),
    };
    let line = |index: usize, drawn| {
        let value = by_line(index, curve.y(), target.loss).ok_or(Unreached::OutsideMeasured);
        multiplier(index, value, None, drawn)
    };
    let value = by_law(&work.law, target.loss, base).ok_or(Unreached::BelowAsymptote);
    Ok([multiplier(0, value, profile, law), line(1, linear), line(2, logarithmic)])
}

fn by_law(law: &PowerLaw, loss: f64, base: Base) -> Option<f64> {
    match base {
        Base::X(x) => Some(law.invert(loss)? / x),
        Base::Loss(base) => law.multiplier(loss, base.loss),
    }
}

/// The profile interval with the errors of the losses. Where the best law does not reach the loss
/// there is no distance from it to an end: the ends are then those of the losses at their own ends.
fn with_errors(work: &Work, target: Target, base: Base) -> Option<Interval> {
    let level = work.options.level;
    let moved = |by: f64| Target { loss: target.loss + by * target.half_width(level), ..target };
    let base_moved = |by: f64| match base {
        Base::Loss(own) => {
            Base::Loss(Target { loss: own.loss + by * own.half_width(level), ..own })
        }
        x => x,
    };
    let Some(value) = by_law(&work.law, target.loss, base) else {
        let low = profile(work, moved(1.0).loss, base_moved(-1.0)).map(|easiest| easiest.low);
        return low.map(|low| Interval { low, high: End::Open(f64::INFINITY), level });
    };
    let own = profile(work, target.loss, base)?;
    // How far one source alone moves the multiplier, in ln x; infinitely where it is not reached.
    let reach = |loss: f64, base: Base| {
        by_law(&work.law, loss, base).map_or(f64::INFINITY, |moved| libm::log(moved / value))
    };
    let (hard, easy) = (reach(moved(-1.0).loss, base), reach(moved(1.0).loss, base));
    let (base_hard, base_easy) =
        (reach(target.loss, base_moved(1.0)), reach(target.loss, base_moved(-1.0)));
    let to = |end: End| end.value().map_or(f64::INFINITY, |end| libm::log(end / value));
    let below = to(own.low).hypot(easy).hypot(base_easy);
    let above = to(own.high).hypot(hard).hypot(base_hard);
    let low = if below.is_finite() { End::Closed(value * libm::exp(-below)) } else { own.low };
    let high = value * libm::exp(above);
    let high = if high.is_finite() { End::Closed(high) } else { End::Open(f64::INFINITY) };
    Some(Interval { low, high, level })
}

impl Target {
    /// A loss that is taken as exact.
    #[must_use]
    pub fn exact(loss: f64) -> Self {
        Self { loss, error: None }
    }

    fn half_width(self, level: f64) -> f64 {
        self.error.map_or(0.0, |error| error.half_width(level))
    }

    /// The loss as it might have been.
    fn drawn(self, draws: &mut Draws) -> f64 {
        let noise = |error: StandardError| error.nats * draws.scale(error.degrees) * draws.normal();
        self.loss + self.error.map_or(0.0, noise)
    }
}

/// The range of the law's multiplier over all laws that the data do not exclude; `None` if none of
/// them reaches the loss.
pub(super) fn profile(work: &Work, loss: f64, base: Base) -> Option<Interval> {
    let region = work.region();
    let (low, high) = match base {
        Base::Loss(base) => {
            let end = |side| ratio(&region, side, loss, base.loss);
            (end(Side::Low), end(Side::High))
        }
        Base::X(x) => {
            let (low, high) = places(work, &region, loss)?;
            (low / x, high / x)
        }
    };
    if low.is_infinite() {
        return None;
    }
    let low = if low > 0.0 { End::Closed(low) } else { End::Open(0.0) };
    let high = if high.is_finite() { End::Closed(high) } else { End::Open(f64::INFINITY) };
    Some(Interval { low, high, level: work.options.level })
}

/// An end of ((base - e) / (loss - e))^(1 / alpha), which grows with e if the loss is lower than
/// the base's and falls with e if it is higher.
fn ratio(region: &Region, side: Side, loss: f64, base: f64) -> f64 {
    region.extreme(side, |alpha, extreme| {
        let e = if loss <= base { extreme((0.0, 1.0)) } else { -extreme((0.0, -1.0)) };
        if !e.is_finite() {
            return f64::NAN;
        }
        match (loss > e, base > e) {
            (true, true) => libm::pow((base - e) / (loss - e), 1.0 / alpha),
            (true, false) => 0.0,
            (false, _) => f64::INFINITY,
        }
    })
}

/// The smallest and the largest x at which an acceptable law has this loss; `None` if none has it
/// anywhere.
fn places(work: &Work, region: &Region, loss: f64) -> Option<(f64, f64)> {
    let (first, last) = (work.curve.x()[0], work.curve.x()[work.curve.len() - 1]);
    let range = |ln_x: f64| {
        let x = first * libm::exp(ln_x);
        region.range(|alpha| (work.axis.relative_power(alpha, x), 1.0))
    };
    // Losses fall along x: a smaller x is out when even the lowest law lies above the loss, a
    // larger one when even the highest lies below it.
    let (lowest, highest) = (|ln_x| range(ln_x).0 <= loss, |ln_x| range(ln_x).1 >= loss);
    let far = |from: f64, direction: f64, wanted: &dyn Fn(f64) -> bool| {
        let places = (0..DOUBLINGS).map(|k| from + direction * 1e-3 * f64::from(1 << k));
        places.into_iter().find(|&place| wanted(place))
    };
    let reached = work.law.invert(loss).unwrap_or(last);
    let from = libm::log(reached / first);
    let start = if lowest(from) { from } else { far(from, 1.0, &lowest)? };
    let low = far(start, -1.0, &|ln_x| !lowest(ln_x));
    let low = low.map_or(0.0, |outside| first * libm::exp(border(start, outside, lowest)));
    let high = if region.range(|_| (0.0, 1.0)).1 >= loss {
        None
    } else {
        far(start, 1.0, &|ln_x| !highest(ln_x))
    };
    let high = high.map(|outside| first * libm::exp(border(start, outside, highest)));
    Some((low, high.unwrap_or(f64::INFINITY)))
}

/// The law's loss at each x with its profile-likelihood interval: the band of a figure. An
/// infinite x gives the asymptote.
///
/// # Errors
/// As [`super::fit`], which also says when this panics.
pub fn predictions(curve: &Curve, options: &Options, x: &[f64]) -> Result<Vec<Claim>, Refusal> {
    let work = Work::new(curve, options)?;
    let region = work.region();
    let claims = x.iter().map(|&x| {
        let (low, high) = region.range(|alpha| (work.axis.relative_power(alpha, x), 1.0));
        let low = if low > 0.0 { End::Closed(low) } else { End::Open(0.0) };
        let interval = Interval { low, high: End::Closed(high), level: options.level };
        Claim { value: work.law.value(x), interval }
    });
    Ok(claims.collect())
}

/// A factor with two decimals and an "x", for tables: "5.23x".
#[must_use]
pub fn factor(value: f64) -> String {
    if value < 1000.0 { format!("{value:.2}x") } else { format!("{}x", digits(value)) }
}
