//! How much chance is in a loss, and how much worse than the best a law may fit because of it.

use serde::Serialize;

use super::quantile::{two_sided_t, two_sided_z};

/// Where the standard deviation of a single loss (seeds, order, held-out text) comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    /// From the scatter of the points around the fitted law.
    Residuals,
    /// Known, in nats per token.
    Known {
        /// Standard deviation of a loss.
        deviation: f64,
    },
    /// Measured beforehand over seeds, and combined with the scatter around the law.
    Measured {
        /// Standard deviation of a loss.
        deviation: f64,
        /// Degrees of freedom: seeds minus the number of means that were taken.
        degrees: usize,
    },
}

/// The standard deviation that intervals rest on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scatter {
    /// Standard deviation of a loss, nats per token.
    #[serde(rename = "sd")]
    pub deviation: f64,
    /// Degrees of freedom of its estimate; `None` if it is known.
    pub degrees: Option<usize>,
}

impl Noise {
    /// The scatter for a fit with this residual sum and these degrees of freedom (points minus
    /// parameters); `None` where nothing can be said.
    #[must_use]
    pub fn scatter(self, residual: f64, degrees: usize) -> Option<Scatter> {
        let pooled = |squares: f64, degrees: usize| {
            let deviation = (squares / degrees as f64).sqrt();
            (degrees > 0).then_some(Scatter { deviation, degrees: Some(degrees) })
        };
        match self {
            Self::Residuals => pooled(residual, degrees),
            Self::Known { deviation } => Some(Scatter { deviation, degrees: None }),
            Self::Measured { deviation, degrees: more } => {
                pooled(residual + deviation * deviation * more as f64, degrees + more)
            }
        }
    }
}

impl Scatter {
    /// How far the residual sum may rise above its minimum for one parameter at this level.
    ///
    /// With a known deviation s the rise over s^2 is chi-square with one degree of freedom; with
    /// one that is estimated from d degrees it is F with (1, d) degrees: the square of Student's t.
    #[must_use]
    pub fn allowance(self, level: f64) -> f64 {
        let quantile = match self.degrees {
            None => two_sided_z(level),
            Some(degrees) => two_sided_t(level, degrees),
        };
        (self.deviation * quantile).powi(2)
    }
}

/// P(chi-square with `degrees` degrees of freedom > `x`), by the finite sums for whole degrees
/// (Abramowitz and Stegun 26.4.4 and 26.4.5).
pub(super) fn chi_square_tail(x: f64, degrees: usize) -> f64 {
    let half = 0.5 * x.max(0.0);
    let (mut term, mut sum, mut power) = if degrees % 2 == 1 {
        (libm::exp(-half) * (half / std::f64::consts::PI).sqrt() * 2.0, libm::erfc(half.sqrt()), 1)
    } else {
        (libm::exp(-half), 0.0, 0)
    };
    while power + 2 <= degrees {
        sum += term;
        power += 2;
        term *= x / power as f64;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chi_square_tails_agree_with_tables() {
        // The 95 % and 99 % points of the usual tables, six digits.
        let points = [
            (1, 3.841_459, 6.634_897),
            (2, 5.991_465, 9.210_340),
            (3, 7.814_728, 11.344_867),
            (4, 9.487_729, 13.276_704),
            (5, 11.070_498, 15.086_272),
            (10, 18.307_038, 23.209_251),
        ];
        for (degrees, five, one) in points {
            assert!((chi_square_tail(five, degrees) - 0.05).abs() < 1e-7, "{degrees}");
            assert!((chi_square_tail(one, degrees) - 0.01).abs() < 1e-7, "{degrees}");
        }
        assert_eq!(chi_square_tail(0.0, 4).to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn scatter_comes_from_residuals_seeds_or_both() {
        let close = |left: f64, right: f64| assert!((left - right).abs() < 1e-12, "{left} {right}");
        assert_eq!(Noise::Residuals.scatter(0.0, 0), None);
        let residuals = Noise::Residuals.scatter(0.08, 2).unwrap();
        close(residuals.deviation, 0.2);
        close(residuals.allowance(0.9), 0.04 * two_sided_t(0.9, 2).powi(2));
        let known = Noise::Known { deviation: 0.1 }.scatter(9.0, 0).unwrap();
        close(known.allowance(0.9), 0.01 * two_sided_z(0.9).powi(2));
        let both = Noise::Measured { deviation: 0.1, degrees: 4 }.scatter(0.08, 2).unwrap();
        assert_eq!(both.degrees, Some(6));
        close(both.deviation, (0.12_f64 / 6.0).sqrt());
    }
}
