//! Intervals whose ends may be open, and numbers that are never shown without theirs.

use std::fmt;

use crate::number::digits;

/// One end of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// The data exclude everything beyond this value.
    Closed(f64),
    /// The data exclude nothing up to this limit of the search: 0 for an asymptote from below, an
    /// infinite value where there is no limit.
    Open(f64),
}

/// A two-sided interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: End,
    /// Upper end.
    pub high: End,
    /// Share of such intervals that hold the true value, for example 0.9.
    pub level: f64,
}

/// A number with its interval: the only way to print it. Where there is no interval, there is no
/// number either, but a [`super::Refusal`] or another sentence that says why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// The best value.
    pub value: f64,
    /// How far the data allow others.
    pub interval: Interval,
}

impl Interval {
    /// An interval with two closed ends.
    #[must_use]
    pub fn closed(low: f64, high: f64, level: f64) -> Self {
        Self { low: End::Closed(low), high: End::Closed(high), level }
    }

    /// Whether the interval holds `value`; an open end excludes nothing.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        let above = match self.low {
            End::Closed(low) => low <= value,
            End::Open(_) => true,
        };
        let below = match self.high {
            End::Closed(high) => value <= high,
            End::Open(_) => true,
        };
        above && below
    }

    /// The distance of the ends; `None` if one is open.
    #[must_use]
    pub fn width(&self) -> Option<f64> {
        match (self.low, self.high) {
            (End::Closed(low), End::Closed(high)) => Some(high - low),
            _ => None,
        }
    }

    /// Whether an end is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.width().is_none()
    }
}

// Both ends, where null is an open one.
serialize_as!(Interval, |it| [it.low.value(), it.high.value()]);

impl End {
    /// The end as a number; `None` if it is open.
    #[must_use]
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Closed(value) => Some(value),
            Self::Open(_) => None,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(value) => f.write_str(&digits(*value)),
            Self::Open(_) => f.write_str("open"),
        }
    }
}

impl fmt::Display for Interval {
    /// "3.4190 to 3.4411", or "open to 3.4411".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.low, self.high)
    }
}

impl fmt::Display for Claim {
    /// "3.4294 (3.4190 to 3.4411)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", digits(self.value), self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_ends_exclude_nothing() {
        let closed = Interval::closed(1.0, 2.0, 0.9);
        assert!(closed.contains(1.0) && closed.contains(2.0) && !closed.contains(2.1));
        assert_eq!((closed.width(), closed.is_open()), (Some(1.0), false));
        let open = Interval { low: End::Open(0.0), ..closed };
        assert!(open.contains(-5.0) && !open.contains(2.1));
        assert_eq!((open.width(), open.is_open()), (None, true));
        let above = Interval { high: End::Open(f64::INFINITY), ..closed };
        assert!(above.contains(1e9) && !above.contains(0.9));
        assert!(!closed.contains(f64::NAN));
    }

    #[test]
    fn a_number_is_shown_with_its_interval() {
        let interval = Interval::closed(3.419, 3.441, 0.9);
        assert_eq!(Claim { value: 3.42944, interval }.to_string(), "3.4294 (3.4190 to 3.4410)");
        let interval = Interval { low: End::Open(0.0), high: End::Closed(3.5), level: 0.9 };
        assert_eq!(Claim { value: 2.0, interval }.to_string(), "2.0000 (open to 3.5000)");
    }
}
