//! Where runs lie, and what they gave.

/// A place that a law has a loss for: logarithms of N, T and U in the units of a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    pub(super) ln_n: f64,
    pub(super) ln_t: f64,
    pub(super) ln_u: f64,
    /// R = T/U - 1, at least 0.
    pub(super) repetitions: f64,
}

/// A measured run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where it lies.
    pub place: Place,
    /// Loss, nats per token, positive.
    pub loss: f64,
}

/// What N and the tokens are counted in: powers of a thousand near the middle of the runs, so that
/// the ranges of coefficients mean the same for pocket models and for large ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Units {
    /// Parameters in one unit of N.
    pub parameters: f64,
    /// Tokens in one unit of T and U.
    pub tokens: f64,
}

impl Place {
    /// The place of N, T and U in the units of a fit. More unique tokens than were trained on
    /// count as one pass.
    #[must_use]
    pub fn new(n: f64, t: f64, u: f64) -> Self {
        let u = u.min(t);
        Self {
            ln_n: libm::log(n),
            ln_t: libm::log(t),
            ln_u: libm::log(u),
            repetitions: (t / u - 1.0).max(0.0),
        }
    }
}

impl Units {
    /// The units for these N and T, both in the units of their columns.
    #[must_use]
    pub fn of(parameters: &[f64], tokens: &[f64]) -> Self {
        Self { parameters: power_of_a_thousand(parameters), tokens: power_of_a_thousand(tokens) }
    }

    /// The place of N, T and U in the units of their columns.
    #[must_use]
    pub fn place(&self, n: f64, t: f64, u: f64) -> Place {
        Place::new(n / self.parameters, t / self.tokens, u / self.tokens)
    }
}

/// The power of a thousand that is nearest to the geometric mean, in the logarithm.
fn power_of_a_thousand(values: &[f64]) -> f64 {
    let sum = values.iter().fold(0.0, |sum, value| sum + libm::log10(*value));
    let thousands = (sum / values.len() as f64 / 3.0).round();
    let factor = if thousands < 0.0 { 1e-3 } else { 1e3 };
    (0..thousands.abs() as usize).fold(1.0, |unit, _| unit * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_a_thousand() {
        let units = Units::of(&[7e6, 8e9, 5e8], &[0.1, 30.0]);
        assert_eq!(units, Units { parameters: 1e9, tokens: 1.0 });
        let place = units.place(2e9, 8.0, 2.0);
        assert_eq!(place, Place::new(2.0, 8.0, 2.0));
        assert!((place.repetitions - 3.0).abs() < 1e-12);
        assert!(Place::new(1.0, 2.0, 2.1).repetitions.abs() < 1e-12);
    }
}
