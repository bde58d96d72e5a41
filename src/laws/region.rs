//! The laws that the data do not exclude: all (a, alpha, e) whose residual sum stays under a limit.
//!
//! The profile-likelihood interval of a number v(a, alpha, e) is the range of v over this region.
//! For a fixed exponent the region is an ellipse in (a, e), cut by a >= 0 and e >= 0, and for
//! v = p a + q e its extremes have closed forms: at the tangent of the ellipse, or where it meets
//! a border. What remains is one search over the exponent, without nested fits; and as the range is
//! taken over the whole region, a second optimum cannot hide.

use super::axis::{Axis, Column, Losses, Scaled};
use super::search::{border, minimize};

/// Exponents between the ends of the region where the search for an extreme begins.
const GRID: usize = 24;

/// The acceptable laws of one curve.
#[derive(Clone, Debug)]
pub(super) struct Region<'a> {
    axis: &'a Axis,
    losses: &'a Losses,
    best: Scaled,
    limit: f64,
    /// ln of the smallest and largest acceptable exponent.
    ln_low: f64,
    ln_high: f64,
}

/// Which end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Low,
    High,
}

/// The weights (p, q) of v = p a + q e.
pub(super) type Weights = (f64, f64);

impl Side {
    /// v times this grows towards the side.
    fn sign(self) -> f64 {
        match self {
            Self::Low => -1.0,
            Self::High => 1.0,
        }
    }
}

impl<'a> Region<'a> {
    /// The laws whose residual sum exceeds that of the best by at most `allowance`.
    pub(super) fn new(
        axis: &'a Axis,
        losses: &'a Losses,
        best: Scaled,
        allowance: f64,
    ) -> Region<'a> {
        let limit = best.residual + allowance;
        let (ln_low, ln_high) = exponents(axis, losses, &best, limit);
        Self { axis, losses, best, limit, ln_low, ln_high }
    }

    /// The smallest and the largest acceptable exponent.
    pub(super) fn exponents(&self) -> (f64, f64) {
        (libm::exp(self.ln_low), libm::exp(self.ln_high))
    }

    /// Whether a constant, a = 0, is acceptable.
    pub(super) fn holds_a_constant(&self) -> bool {
        self.losses.squares <= self.limit
    }

    /// The range of p a + q e, whose weights may depend on the exponent.
    pub(super) fn range(&self, weights: impl Fn(f64) -> Weights) -> (f64, f64) {
        let end = |side| self.extreme(side, |alpha, extreme| extreme(weights(alpha)));
        (end(Side::Low), end(Side::High))
    }

    /// The extreme of a number over the region: `number(alpha, extreme)` says what it is for one
    /// exponent, given a function for the extremes of p a + q e at this exponent. It must grow with
    /// what that function returns.
    pub(super) fn extreme(
        &self,
        side: Side,
        number: impl Fn(f64, &dyn Fn(Weights) -> f64) -> f64,
    ) -> f64 {
        let mut column = self.axis.column(self.best.alpha);
        let mut height = |ln_alpha: f64| {
            let alpha = libm::exp(ln_alpha);
            self.axis.set(&mut column, alpha);
            let sign = side.sign();
            // Exponents without an acceptable law are out of the search.
            let out = sign * f64::NEG_INFINITY;
            let extreme =
                |weights| extreme(&column, self.losses, self.limit, weights, side).unwrap_or(out);
            let value = sign * number(alpha, &extreme);
            if value.is_nan() { f64::INFINITY } else { -value }
        };
        let step = (self.ln_high - self.ln_low) / GRID as f64;
        let place = |index: usize| self.ln_low + step * index as f64;
        let mut best = (0, f64::INFINITY);
        for index in 0..=GRID {
            let depth = height(place(index));
            if depth < best.1 {
                best = (index, depth);
            }
        }
        let (low, high) = (place(best.0.saturating_sub(1)), place((best.0 + 1).min(GRID)));
        let (_, refined) = minimize(low, high, &mut height);
        let own = {
            // The best law is in its own region, whatever rounding does to the ends.
            let weigh = |(p, q): Weights| p * self.best.a + q * self.best.e;
            side.sign() * number(self.best.alpha, &weigh)
        };
        side.sign() * (-refined).max(-best.1).max(own)
    }
}

/// The extreme of p a + q e over the acceptable (a, e) of one exponent; `None` if there are none.
fn extreme(
    column: &Column,
    losses: &Losses,
    limit: f64,
    (p, q): Weights,
    side: Side,
) -> Option<f64> {
    let sign = side.sign();
    let count = losses.count();
    let mut best: Option<f64> = None;
    let mut offer = |a: f64, e: f64| {
        let value = p * a + q * e;
        if a >= 0.0 && e >= 0.0 && best.is_none_or(|best| sign * value > sign * best) {
            best = Some(value);
        }
    };
    // In (a, level) with level = e + a mean(z) the residual sum is
    // least + squares(z) (a - slope)^2 + count (level - mean y)^2: an ellipse along the axes.
    let (slope, least) = column.line(losses);
    let across = p - q * column.mean;
    let spread = across * across / column.squares + q * q / count;
    if least <= limit && spread > 0.0 && spread.is_finite() {
        let step = sign * ((limit - least) / spread).sqrt();
        let a = slope + step * across / column.squares;
        let level = losses.mean + step * q / count;
        offer(a, level - a * column.mean);
    }
    // The border a = 0: constants.
    if losses.squares <= limit {
        let half = ((limit - losses.squares) / count).sqrt();
        offer(0.0, losses.mean + half);
        offer(0.0, (losses.mean - half).max(0.0));
    }
    // The border e = 0.
    let (slope, least, squares) = column.ray(losses);
    if least <= limit {
        let half = ((limit - least) / squares).sqrt();
        offer(slope + half, 0.0);
        offer((slope - half).max(0.0), 0.0);
    }
    best
}

/// ln of the smallest and the largest exponent with a law under the limit, by the grid of the axis
/// and a bisection between an accepted exponent and its rejected neighbor.
fn exponents(axis: &Axis, losses: &Losses, best: &Scaled, limit: f64) -> (f64, f64) {
    let own = libm::log(best.alpha);
    let mut column = axis.column(best.alpha);
    let mut holds = |ln_alpha: f64| {
        axis.set(&mut column, libm::exp(ln_alpha));
        column.fit(losses).residual <= limit
    };
    let accepted: Vec<(f64, bool)> = axis
        .grid()
        .iter()
        .map(|column| (libm::log(column.alpha), column.fit(losses).residual <= limit))
        .collect();
    // From the outside in: the first accepted exponent and the rejected one before it.
    let mut end = |from_outside: &mut dyn Iterator<Item = &(f64, bool)>, beyond: f64| {
        let mut rejected = None;
        for &(place, accepted) in from_outside {
            if beyond * (place - own) <= 0.0 {
                break;
            }
            if accepted {
                return rejected.map_or(place, |outside| border(place, outside, &mut holds));
            }
            rejected = Some(place);
        }
        rejected.map_or(own, |outside| border(own, outside, &mut holds))
    };
    let low = end(&mut accepted.iter(), -1.0);
    (low, end(&mut accepted.iter().rev(), 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::curve::Curve;
    use crate::laws::power::Family;

    /// The range of e, found by refitting with e held: what the closed form must agree with.
    fn range_by_refits(curve: &Curve, best: &Scaled, limit: f64) -> (f64, f64) {
        let axis = Axis::new(curve, Family::Power);
        let holds = |e: f64| {
            let residual = |alpha: f64| {
                let z: Vec<f64> = curve.x().iter().map(|x| x.powf(-alpha)).collect();
                let squares: f64 = z.iter().map(|z| z * z).sum();
                let product: f64 = z.iter().zip(curve.y()).map(|(z, y)| z * (y - e)).sum();
                let a = (product / squares).max(0.0);
                z.iter().zip(curve.y()).map(|(z, y)| (y - e - a * z).powi(2)).sum::<f64>()
            };
            let logs: Vec<f64> = axis.grid().iter().map(|c| c.alpha.ln()).collect();
            let at = |i: usize| residual(logs[i].exp());
            let index = (0..logs.len()).min_by(|&i, &j| at(i).total_cmp(&at(j))).unwrap();
            let (low, high) =
                (logs[index.saturating_sub(1)], logs[(index + 1).min(logs.len() - 1)]);
            minimize(low, high, |ln_alpha| residual(ln_alpha.exp())).1 <= limit
        };
        let low = if holds(0.0) { 0.0 } else { border(best.e, 0.0, holds) };
        (low, border(best.e, curve.y()[0] + 1.0, holds))
    }

    #[test]
    fn the_range_of_the_asymptote_is_that_of_refits() {
        let cases = [
            (&[4.1, 3.78, 3.70, 3.66, 3.62, 3.61][..], 1e-4),
            (&[4.1, 3.78, 3.70, 3.66, 3.62, 3.61], 1e-2),
            (&[3.52, 3.336, 3.297, 3.341], 5e-3),
            (&[3.0, 2.9, 2.82, 2.75, 2.69], 1e-3),
        ];
        for (losses, allowance) in cases {
            let points: Vec<_> = (1..).map(f64::from).zip(losses.iter().copied()).collect();
            let curve = Curve::new(&points).unwrap();
            let axis = Axis::new(&curve, Family::Power);
            let losses = Losses::new(curve.y());
            let best = axis.fit(&losses);
            let region = Region::new(&axis, &losses, best, allowance);
            let (low, high) = region.range(|_| (0.0, 1.0));
            let expected = range_by_refits(&curve, &best, best.residual + allowance);
            assert!((low - expected.0).abs() < 1e-5, "{low} {expected:?}");
            assert!((high - expected.1).abs() < 1e-5, "{high} {expected:?}");
        }
    }

    #[test]
    fn a_region_of_one_law_is_that_law() {
        let points: Vec<_> =
            (1..7).map(|k| (f64::from(k), 0.5 / f64::from(k).powf(1.1) + 3.0)).collect();
        let curve = Curve::new(&points).unwrap();
        let axis = Axis::new(&curve, Family::Power);
        let losses = Losses::new(curve.y());
        let best = axis.fit(&losses);
        let region = Region::new(&axis, &losses, best, 0.0);
        let (low, high) = region.range(|_| (0.0, 1.0));
        assert!((low - 3.0).abs() < 1e-6 && (high - 3.0).abs() < 1e-6 && low <= high);
        assert!(!region.holds_a_constant());
    }
}
