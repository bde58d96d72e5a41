//! Estimates and intervals as tables show them.

use crate::eval::statistics::{Estimate, Interval};
use crate::number::{MISSING, signed};

/// An estimate as "2.7506 ± 0.0044", or "diverged" where a run left none.
#[must_use]
pub fn estimate_or_diverged(estimate: Option<&Estimate>) -> String {
    estimate.map_or_else(|| "diverged".to_owned(), Estimate::to_string)
}

/// An interval as "-0.0488 to -0.0405", or [`MISSING`].
#[must_use]
pub fn interval(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || MISSING.to_owned(),
        |interval| format!("{} to {}", signed(interval.low), signed(interval.high)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_carry_their_signs() {
        let ends = Interval { low: -0.04876, high: 0.001, level: 0.95 };
        assert_eq!(interval(Some(ends)), "-0.0488 to +0.0010");
        assert_eq!(interval(None), MISSING);
    }
}
