//! Decimals as people write them: 0.95 means 95/100 and not the double next to it.

/// A non-negative decimal number, exactly: `digits / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) digits: u128,
    pub(super) scale: u32,
}

impl Decimal {
    /// The decimal that a person means by this double: its shortest round-trip form.
    pub(super) fn of(value: f64) -> Option<Self> {
        if !value.is_finite() || value < 0.0 {
            return None;
        }
        let text = format!("{value}");
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Self { digits, scale: fraction.len() as u32 })
    }

    /// 10^scale.
    pub(super) fn power(self) -> Option<u128> {
        10_u128.checked_pow(self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_read_as_they_are_written() {
        for (value, digits, scale) in [
            (0.95, 95, 2),
            (16.0, 16, 0),
            (0.0, 0, 0),
            (1e-7, 1, 7),
            (2.5e20, 250 * 10_u128.pow(18), 0),
        ] {
            assert_eq!(Decimal::of(value), Some(Decimal { digits, scale }), "{value}");
        }
        for value in [-0.5, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(Decimal::of(value), None, "{value}");
        }
    }
}
