//! Intervals of differences, from the intervals of both sides.
//!
//! The method of variance estimates recovery (Zou and Donner, "Construction of confidence limits
//! about effect measures: a general approach", Statistics in Medicine 27, 2008): the distance from
//! a number to an end of its interval stands for its error in that direction, and independent
//! errors add by their squares. It keeps what a symmetric error would lose: intervals that lean to
//! one side, and ends that the data leave open.

use super::interval::{Claim, End, Interval};

/// Left minus right for independent numbers with intervals of one level. `more` is half the width
/// of the interval of a further error that both sides share in their difference.
///
/// # Panics
/// If the levels differ.
#[must_use]
pub fn difference(left: Claim, right: Claim, more: f64) -> Claim {
    let level = left.interval.level;
    assert!((level - right.interval.level).abs() < 1e-12, "both intervals have one level");
    let value = left.value - right.value;
    let reach = |number: Claim, end: End| Some((end.value()? - number.value).abs());
    let both = |a: Option<f64>, b: Option<f64>| Some(a?.hypot(b?).hypot(more));
    let below = both(reach(left, left.interval.low), reach(right, right.interval.high));
    let above = both(reach(left, left.interval.high), reach(right, right.interval.low));
    let low = below.map_or(End::Open(f64::NEG_INFINITY), |by| End::Closed(value - by));
    let high = above.map_or(End::Open(f64::INFINITY), |by| End::Closed(value + by));
    Claim { value, interval: Interval { low, high, level } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(value: f64, low: End, high: End) -> Claim {
        Claim { value, interval: Interval { low, high, level: 0.95 } }
    }

    #[test]
    fn errors_add_by_their_squares_on_each_side() {
        let left = claim(3.0, End::Closed(2.7), End::Closed(3.1));
        let right = claim(3.5, End::Closed(3.3), End::Closed(3.9));
        let told = difference(left, right, 0.0);
        assert_eq!(told.to_string(), "-0.5000 (-1.0000 to -0.2764)");
        let wider = difference(left, right, 1.2);
        assert_eq!(wider.to_string(), "-0.5000 (-1.8000 to 0.7207)");
    }

    #[test]
    fn an_open_end_leaves_the_difference_open_on_its_side() {
        let left = claim(3.0, End::Open(0.0), End::Closed(3.1));
        let right = claim(3.5, End::Closed(3.3), End::Closed(3.9));
        assert_eq!(difference(left, right, 0.0).to_string(), "-0.5000 (open to -0.2764)");
        assert_eq!(difference(right, left, 0.0).to_string(), "0.5000 (0.2764 to open)");
    }
}
