//! Variable projection on one axis: for a given exponent the law is linear, so that one search
//! over the exponent finds the exact least-squares fit.
//!
//! With x relative to its smallest value, z = x^-alpha lies in (0, 1] and y = a z + e. The means
//! of z and y are split off, which keeps all digits where alpha is tiny and z is nearly constant.

use super::curve::Curve;
use super::power::{Family, PowerLaw};
use super::search::minimize;

/// The smallest exponent that is tried; x^-0.001 is a logarithm for all purposes.
pub const EXPONENT_MIN: f64 = 1e-3;
/// The largest exponent that is tried: doubling x divides the excess by a million.
pub const EXPONENT_MAX: f64 = 20.0;
/// Exponents of the first search, evenly spaced in the logarithm: neighbors differ by 11 %.
const GRID: usize = 96;

/// The powers of a curve's axis for the exponents of the first search. They serve all losses over
/// the same axis: a bootstrap makes them once.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// ln(x / smallest x).
    ln_x: Vec<f64>,
    /// ln(smallest x).
    ln_first: f64,
    grid: Vec<Column>,
}

/// z = (x / smallest x)^-alpha at the points.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) alpha: f64,
    /// z minus its mean.
    deviations: Vec<f64>,
    pub(super) mean: f64,
    /// Sum of squared deviations.
    pub(super) squares: f64,
}

/// The losses y of the points.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    /// y minus its mean.
    deviations: Vec<f64>,
    pub(super) mean: f64,
    /// Sum of squared deviations: the residual sum of a constant.
    pub(super) squares: f64,
}

/// A fit y = a z + e with a >= 0 and e >= 0, and z relative to the smallest x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scaled {
    pub(super) alpha: f64,
    pub(super) a: f64,
    pub(super) e: f64,
    /// Sum of squared residuals.
    pub(super) residual: f64,
}

impl Axis {
    /// The axis of `curve` for laws of `family`.
    pub(super) fn new(curve: &Curve, family: Family) -> Self {
        let first = curve.x()[0];
        let ln_x: Vec<f64> = curve.x().iter().map(|x| libm::log(x / first)).collect();
        let exponents = match family {
            Family::Reciprocal => vec![1.0],
            Family::Power => {
                let (low, high) = (libm::log(EXPONENT_MIN), libm::log(EXPONENT_MAX));
                let step = (high - low) / (GRID - 1) as f64;
                let inner = (1..GRID - 1).map(|i| libm::exp(low + step * i as f64));
                [EXPONENT_MIN].into_iter().chain(inner).chain([EXPONENT_MAX]).collect()
            }
        };
        let grid = exponents.into_iter().map(|alpha| Column::new(&ln_x, alpha)).collect();
        Self { ln_x, ln_first: libm::log(first), grid }
    }

    /// The columns of the first search, by increasing exponent.
    pub(super) fn grid(&self) -> &[Column] {
        &self.grid
    }

    /// An exponent's column, to be moved to other exponents by [`Axis::set`].
    pub(super) fn column(&self, alpha: f64) -> Column {
        Column::new(&self.ln_x, alpha)
    }

    /// Moves a column to another exponent.
    pub(super) fn set(&self, column: &mut Column, alpha: f64) {
        column.set(&self.ln_x, alpha);
    }

    /// x^-alpha relative to that of the smallest x; 0 for an infinite x.
    pub(super) fn relative_power(&self, alpha: f64, x: f64) -> f64 {
        libm::exp(-alpha * (libm::log(x) - self.ln_first))
    }

    /// The factor between A in the user's unit of x and a: A = a times this.
    pub(super) fn unit(&self, alpha: f64) -> f64 {
        libm::exp(alpha * self.ln_first)
    }

    /// The law in the user's unit of x.
    pub(super) fn law(&self, scaled: &Scaled) -> PowerLaw {
        PowerLaw { a: scaled.a * self.unit(scaled.alpha), alpha: scaled.alpha, e: scaled.e }
    }

    /// The least-squares fit with a, e >= 0: every local minimum on the grid is refined.
    pub(super) fn fit(&self, losses: &Losses) -> Scaled {
        let coarse: Vec<Scaled> = self.grid.iter().map(|column| column.fit(losses)).collect();
        let last = coarse.len() - 1;
        let mut best = coarse[0];
        let mut column = self.grid[0].clone();
        for (index, here) in coarse.iter().enumerate() {
            let (left, right) = (coarse[index.saturating_sub(1)], coarse[(index + 1).min(last)]);
            if here.residual > left.residual || here.residual > right.residual {
                continue;
            }
            let (low, high) = (libm::log(left.alpha), libm::log(right.alpha));
            let (place, _) = minimize(low, high, |ln_alpha| {
                self.set(&mut column, libm::exp(ln_alpha));
                column.fit(losses).residual
            });
            self.set(&mut column, libm::exp(place));
            for candidate in [*here, column.fit(losses)] {
                if candidate.residual < best.residual {
                    best = candidate;
                }
            }
        }
        best
    }
}

impl Column {
    fn new(ln_x: &[f64], alpha: f64) -> Self {
        let deviations = vec![0.0; ln_x.len()];
        let mut column = Self { alpha, deviations, mean: 0.0, squares: 0.0 };
        column.set(ln_x, alpha);
        column
    }

    fn set(&mut self, ln_x: &[f64], alpha: f64) {
        let mut sum = 0.0;
        for (deviation, ln_x) in self.deviations.iter_mut().zip(ln_x) {
            // z - 1, exact for small exponents.
            *deviation = libm::expm1(-alpha * ln_x);
            sum += *deviation;
        }
        let mean = sum / ln_x.len() as f64;
        self.squares = 0.0;
        for deviation in &mut self.deviations {
            *deviation -= mean;
            self.squares += *deviation * *deviation;
        }
        (self.alpha, self.mean) = (alpha, 1.0 + mean);
    }

    /// The slope of y over z without bounds, with the residual sum of that line.
    pub(super) fn line(&self, losses: &Losses) -> (f64, f64) {
        let product = self.product(losses);
        let a = if self.squares > 0.0 { product / self.squares } else { 0.0 };
        (a, self.residual(losses, a, 0.0))
    }

    /// The slope of y over z with e = 0, the residual sum of that line, and the sum of z squared.
    pub(super) fn ray(&self, losses: &Losses) -> (f64, f64, f64) {
        let count = losses.deviations.len() as f64;
        let squares = self.squares + count * self.mean * self.mean;
        let a = (self.product(losses) + count * self.mean * losses.mean) / squares;
        (a, self.residual(losses, a, losses.mean - a * self.mean), squares)
    }

    /// Sum of (y - mean y)(z - mean z).
    fn product(&self, losses: &Losses) -> f64 {
        let pairs = self.deviations.iter().zip(&losses.deviations);
        pairs.fold(0.0, |sum, (z, y)| sum + z * y)
    }

    /// Sum of squares of (deviation of y) - a (deviation of z) + shift.
    fn residual(&self, losses: &Losses, a: f64, shift: f64) -> f64 {
        let pairs = self.deviations.iter().zip(&losses.deviations);
        pairs.fold(0.0, |sum, (z, y)| {
            let residual = y - a * z + shift;
            sum + residual * residual
        })
    }

    /// The least-squares fit with a, e >= 0 at this exponent. Where the free optimum breaks a
    /// bound, the optimum lies on a border: a = 0 or e = 0.
    pub(super) fn fit(&self, losses: &Losses) -> Scaled {
        let alpha = self.alpha;
        let (a, residual) = self.line(losses);
        let e = losses.mean - a * self.mean;
        if a >= 0.0 && e >= 0.0 {
            return Scaled { alpha, a, e, residual };
        }
        let constant = Scaled { alpha, a: 0.0, e: losses.mean.max(0.0), residual: losses.squares };
        let (a, residual, _) = self.ray(losses);
        if a > 0.0 && residual < constant.residual {
            return Scaled { alpha, a, e: 0.0, residual };
        }
        constant
    }
}

impl Losses {
    pub(super) fn new(y: &[f64]) -> Self {
        let mut losses = Self { deviations: y.to_vec(), mean: 0.0, squares: 0.0 };
        losses.set(y);
        losses
    }

    /// Other losses of as many points.
    pub(super) fn set(&mut self, y: &[f64]) {
        let mean = y.iter().fold(0.0, |sum, y| sum + y) / y.len() as f64;
        self.squares = 0.0;
        for (deviation, y) in self.deviations.iter_mut().zip(y) {
            *deviation = y - mean;
            self.squares += *deviation * *deviation;
        }
        self.mean = mean;
    }

    /// Number of points.
    pub(super) fn count(&self) -> f64 {
        self.deviations.len() as f64
    }
}

impl PowerLaw {
    /// The least-squares law with A, E >= 0 and an exponent in [0.001, 20] (mission L1): a bare
    /// point for further computing. A = 0 if the losses do not fall.
    #[must_use]
    pub fn least_squares(curve: &Curve, family: Family) -> Self {
        let axis = Axis::new(curve, family);
        axis.law(&axis.fit(&Losses::new(curve.y())))
    }
}
