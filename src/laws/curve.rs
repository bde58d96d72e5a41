//! A curve: measured losses over one positive axis, the input of every one-axis law.

use crate::{Error, Result};

/// The largest loss that is taken for one.
pub const LOSS_MAX: f64 = 1e100;

/// Losses y over a positive axis x (parameters, members or tokens), sorted by x.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    x: Vec<f64>,
    y: Vec<f64>,
}

impl Curve {
    /// A curve of (x, y) pairs in any order; y in nats per token, x in any unit.
    ///
    /// # Errors
    /// Without points; if an x is not positive and finite or stands twice; if a y is not finite or
    /// negative.
    pub fn new(points: &[(f64, f64)]) -> Result<Self> {
        if points.is_empty() {
            return Err(Error::data("there are no points to fit"));
        }
        if let Some((x, _)) = points.iter().find(|(x, _)| !(x.is_finite() && *x > 0.0)) {
            return Err(Error::data(format!("x = {x} is not a positive, finite number"))
                .hint("a power law needs x > 0: leave such points out"));
        }
        if let Some((x, y)) = points.iter().find(|(_, y)| !y.is_finite()) {
            return Err(Error::data(format!("the loss at x = {x} is {y}, not a finite number"))
                .hint("leave runs that diverged out"));
        }
        // Beyond this, squares would overflow.
        if let Some((x, y)) = points.iter().find(|(_, y)| *y < 0.0 || *y > LOSS_MAX) {
            return Err(Error::data(format!("{y} at x = {x} is no loss"))
                .hint("losses lie between 0 and 1e100, and their asymptotes are at least 0"));
        }
        let mut sorted = points.to_vec();
        sorted.sort_by(|left, right| left.0.total_cmp(&right.0));
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].0.total_cmp(&pair[1].0).is_eq()) {
            return Err(Error::data(format!("x = {} stands twice", pair[0].0))
                .hint("average the losses of the same x, or fit them as separate groups"));
        }
        Ok(Self::from_sorted(sorted.into_iter()))
    }

    fn from_sorted(points: impl Iterator<Item = (f64, f64)>) -> Self {
        let (x, y) = points.unzip();
        Self { x, y }
    }

    /// The axis, increasing.
    #[must_use]
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// The losses, in the order of [`Curve::x`].
    #[must_use]
    pub fn y(&self) -> &[f64] {
        &self.y
    }

    /// Number of points, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a curve is never empty")]
    pub fn len(&self) -> usize {
        self.x.len()
    }

    /// The (x, y) pairs, by increasing x.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.x.iter().copied().zip(self.y.iter().copied())
    }

    /// The curve without its point number `index`; `None` if nothing would be left.
    #[must_use]
    pub fn without(&self, index: usize) -> Option<Self> {
        let rest = self.points().enumerate().filter(|(i, _)| *i != index).map(|(_, point)| point);
        (self.len() > 1).then(|| Self::from_sorted(rest))
    }

    /// The `count` smallest x with their losses.
    ///
    /// # Panics
    /// Unless 1 <= `count` <= the number of points.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        assert!((1..=self.len()).contains(&count), "{count} of {} points", self.len());
        Self { x: self.x[..count].to_vec(), y: self.y[..count].to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_sorted_and_checked() {
        let curve = Curve::new(&[(2.0, 3.0), (1.0, 4.0), (4.0, 2.5)]).unwrap();
        assert_eq!((curve.x(), curve.y()), (&[1.0, 2.0, 4.0][..], &[4.0, 3.0, 2.5][..]));
        assert_eq!(curve.first(2).y(), [4.0, 3.0]);
        assert_eq!(curve.without(1).unwrap().x(), [1.0, 4.0]);
        let refuse = |points: &[(f64, f64)], expected: &str| {
            let message = Curve::new(points).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        refuse(&[], "no points");
        refuse(&[(0.0, 1.0)], "x = 0 is not a positive");
        refuse(&[(-1.0, 1.0)], "x = -1 is not a positive");
        refuse(&[(f64::INFINITY, 1.0)], "x = inf is not");
        refuse(&[(1.0, f64::NAN)], "the loss at x = 1 is NaN");
        refuse(&[(1.0, -2.0)], "-2 at x = 1 is no loss");
        refuse(&[(1.0, 1e200)], "at x = 1 is no loss");
        refuse(&[(1.0, 1.0), (2.0, 1.0), (1.0, 3.0)], "x = 1 stands twice");
    }
}
