//! Parameters of laws of several axes.

use std::fmt;

/// A parameter of a law of several axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Parameter {
    /// The asymptote in all axes.
    E,
    /// Coefficient of N.
    A,
    /// Exponent of N.
    Alpha,
    /// Coefficient of D or D'.
    B,
    /// Exponent of D or D'.
    Beta,
    /// R*, in repetitions.
    Decay,
}

impl Parameter {
    /// Its name in tables and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::E => "E",
            Self::A => "A",
            Self::Alpha => "alpha",
            Self::B => "B",
            Self::Beta => "beta",
            Self::Decay => "r_star",
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
