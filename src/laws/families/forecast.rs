//! Predictions with intervals, and whether anything vouches for them.
//!
//! The half-width of an interval, in ln(loss), is the larger of two. The first is what statistics
//! knows: z times the root of the summed squares of the bootstrap's deviation, of the spread
//! between the averaged families, and of the noise of a run. The second is what happened: the
//! quantile of the errors of the nested folds along the axes beyond whose edge the place lies.
//! Families share their shape, so that their spread says nothing about what they have in common.

use super::axis::ln_key;
use super::choice::{Law, Member};
use super::points::{Place, Point};
use crate::laws::bootstrap::quantile;
use crate::laws::two_sided_z;

/// Logarithms that are nearer than this to the edge are not beyond it.
const AT_EDGE: f64 = 1e-9;

/// A predicted loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The loss, nats per token.
    pub loss: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end of its interval.
    pub high: f64,
    /// Half the width in ln(loss).
    pub half_width: f64,
    /// Axes beyond whose edge the place lies.
    pub beyond: Vec<Beyond>,
}

/// A place beyond the largest run along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beyond {
    /// The axis, as an index of [`Law::axes`].
    pub axis: usize,
    /// How far it lies beyond the edge, in the logarithm.
    pub distance: f64,
    /// How far the nested folds went.
    pub tested: f64,
}

impl Beyond {
    /// Whether the folds cannot vouch for it.
    #[must_use]
    pub fn is_untested(&self) -> bool {
        self.distance > self.tested
    }
}

impl Law {
    /// The loss at a place with its interval of `level`. `asked` is the place's number on the axis
    /// that was asked for, where the law has such a fifth axis.
    #[must_use]
    pub fn forecast(&self, place: &Place, asked: Option<f64>, level: f64) -> Forecast {
        let ln_loss = self.ln_loss(place);
        let beyond = self.beyond(place, asked);
        let errors = |axis: usize| match &self.axes[axis].errors[..] {
            [] => 0.0,
            errors => quantile(errors, level),
        };
        let seen = match beyond.is_empty() || beyond.iter().any(|b| b.axis == self.along) {
            true => errors(self.along),
            false => beyond.iter().map(|beyond| errors(beyond.axis)).fold(0.0, f64::max),
        };
        let deviation = self.deviation(place, ln_loss);
        let half_width = (two_sided_z(level) * deviation).max(seen);
        Forecast {
            loss: libm::exp(ln_loss),
            low: libm::exp(ln_loss - half_width),
            high: libm::exp(ln_loss + half_width),
            half_width,
            beyond,
        }
    }

    /// The deviation of ln(loss) that resamples, families and noise account for.
    fn deviation(&self, place: &Place, ln_loss: f64) -> f64 {
        let of =
            |member: &Member, theta| libm::log(member.formula.loss(theta, place, self.ceiling));
        let spread = self.averaged().fold(0.0, |sum, member| {
            let difference = of(member, &member.theta) - ln_loss;
            sum + member.weight * difference * difference
        });
        let count = self.averaged().map(|member| member.resamples.len()).min().unwrap_or(0);
        let squares = (0..count).fold(0.0, |sum, number| {
            let drawn = self.averaged().fold(0.0, |sum, member| {
                sum + member.weight * of(member, &member.resamples[number])
            });
            sum + (drawn - ln_loss) * (drawn - ln_loss)
        });
        let bootstrap = squares / (count.max(1) as f64);
        (bootstrap + spread + self.noise * self.noise).sqrt()
    }

    fn beyond(&self, place: &Place, asked: Option<f64>) -> Vec<Beyond> {
        let point = Point { place: *place, loss: 1.0 };
        let axes = self.axes.iter().enumerate();
        let beyond = axes.filter_map(|(axis, known)| {
            let ln_key = if axis < super::axis::AXES { ln_key(axis, &point) } else { asked? };
            let distance = ln_key - known.edge;
            (distance > AT_EDGE).then_some(Beyond { axis, distance, tested: known.tested })
        });
        beyond.collect()
    }
}
