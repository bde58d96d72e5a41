//! The power law L = A / x^alpha + E and its reciprocal form (alpha = 1), as plain functions.

/// A shape with one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// A / x^alpha + E (mission L1).
    Power,
    /// A / x + E (mission L2).
    Reciprocal,
}

/// L(x) = A / x^alpha + E, in nats per token.
///
/// The best law alone says nothing about how far it can be trusted, so that it has no text form:
/// [`super::fit`] gives it with intervals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerLaw {
    /// A: the excess over the asymptote at x = 1, in the user's unit of x.
    pub a: f64,
    /// The exponent; 1 for a reciprocal law. Without meaning where A = 0.
    pub alpha: f64,
    /// E: the asymptote, the loss at infinite x.
    pub e: f64,
}

impl Family {
    /// Number of fitted parameters.
    #[must_use]
    pub fn parameters(self) -> usize {
        match self {
            Self::Power => 3,
            Self::Reciprocal => 2,
        }
    }

    /// "power" or "reciprocal".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Reciprocal => "reciprocal",
        }
    }
}

impl PowerLaw {
    /// L(x); E for an infinite x.
    #[must_use]
    pub fn value(&self, x: f64) -> f64 {
        self.a * libm::pow(x, -self.alpha) + self.e
    }

    /// The x at which the law reaches `loss` (mission L4): (A / (L - E))^(1 / alpha); `None` at or
    /// below the asymptote, which no x reaches.
    #[must_use]
    pub fn invert(&self, loss: f64) -> Option<f64> {
        let x = libm::pow(self.a / (loss - self.e), 1.0 / self.alpha);
        (loss > self.e && self.a > 0.0 && x.is_finite()).then_some(x)
    }

    /// How many times more x `loss` needs than `base` (mission L5); `None` if either lies at or
    /// below the asymptote.
    #[must_use]
    pub fn multiplier(&self, loss: f64, base: f64) -> Option<f64> {
        Some(self.invert(loss)? / self.invert(base)?)
    }

    /// The local exponent of the whole loss, -d ln L / d ln x = A alpha / (A + E x^alpha)
    /// (mission L6).
    #[must_use]
    pub fn local_exponent(&self, x: f64) -> f64 {
        self.a * self.alpha / (self.a + self.e * libm::pow(x, self.alpha))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_and_local_exponent_belong_to_the_value() {
        let law = PowerLaw { a: 1.3, alpha: 0.23, e: 1.89 };
        for x in [0.2, 1.0, 7.0] {
            assert!((law.invert(law.value(x)).unwrap() / x - 1.0).abs() < 1e-12);
            let step = 1e-6;
            let slope = (law.value(x * (1.0 + step)).ln() - law.value(x * (1.0 - step)).ln())
                / (2.0 * step);
            assert!((law.local_exponent(x) + slope).abs() < 1e-8);
        }
        assert_eq!(law.invert(1.89), None);
        assert_eq!(law.invert(1.0), None);
        assert_eq!(law.multiplier(1.5, 3.0), None);
        assert!((law.multiplier(3.0, 3.0).unwrap() - 1.0).abs() < 1e-15);
        assert_eq!(law.value(f64::INFINITY).to_bits(), law.e.to_bits());
    }
}
