//! Laws of measured losses over an axis, with what they were fitted to.

use super::measured::Measured;
use crate::laws::{
    AxisLaw, Claim, Curve, Fit, Multiplier, Options, Replication, Target, predictions,
};

/// A law of some losses.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// What it describes.
    pub name: String,
    /// The law.
    pub law: AxisLaw,
    /// x of the losses is divided by this in the law.
    pub unit: Unit,
    /// The axis.
    pub axis: Axis,
    /// Ids of the runs behind it, each once.
    pub records: Vec<String>,
}

/// An axis of laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Parameters of one model.
    Parameters,
    /// Unique training tokens.
    Tokens,
    /// Members of an ensemble.
    Members,
}

/// A unit of an axis in laws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// What numbers are divided by.
    pub divisor: f64,
    /// In words: `millions`.
    pub name: &'static str,
}

/// Why there is no law, in words.
pub type NoLaw = String;

/// What a loss is worth in data: by the law, by lines in D and by lines in ln D.
pub type Worth = Result<[Multiplier; 3], NoLaw>;

/// K has no unit.
pub(super) const ONES: Unit = Unit { divisor: 1.0, name: "members" };

impl Axis {
    /// The letter of formulas.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Parameters => 'N',
            Self::Tokens => 'D',
            Self::Members => 'K',
        }
    }
}

impl Unit {
    /// The largest of thousands, millions and billions that the largest value reaches.
    pub(super) fn of(values: &[f64]) -> Self {
        let largest = values.iter().copied().fold(0.0, f64::max);
        match largest {
            _ if largest >= 5e8 => Self { divisor: 1e9, name: "billions" },
            _ if largest >= 1e6 => Self { divisor: 1e6, name: "millions" },
            _ => Self { divisor: 1e3, name: "thousands" },
        }
    }
}

impl Fitted {
    /// The fit.
    #[must_use]
    pub fn fit(&self) -> &Fit {
        &self.law.fit
    }

    /// E, nats per token; see [`Fitted::has_asymptote`].
    #[must_use]
    pub fn asymptote(&self) -> f64 {
        self.fit().law.e
    }

    /// Whether the law ends at a loss, which can then be a point of another law.
    #[must_use]
    pub fn has_asymptote(&self) -> bool {
        self.fit().has_asymptote()
    }

    /// E with its one interval, also where the law does not end.
    #[must_use]
    pub fn claim(&self) -> Claim {
        self.law.end().claim
    }

    /// The asymptote with its error, as a loss to be reached.
    #[must_use]
    pub fn target(&self) -> Target {
        Target { loss: self.asymptote(), error: Some(self.law.asymptote_error()) }
    }

    /// The first and the last place that was measured, in the units of the law.
    #[must_use]
    pub fn span(&self) -> (f64, f64) {
        let x = self.law.curve.x();
        (x[0], x[x.len() - 1])
    }

    /// What the law says at places in its units, with intervals; nothing where it cannot.
    #[must_use]
    pub fn at(&self, places: &[f64]) -> Vec<Claim> {
        predictions(&self.law.curve, self.law.options(), places).unwrap_or_default()
    }
}

impl Fitted {
    /// A law of losses over an axis.
    pub(super) fn new(
        name: impl Into<String>,
        (axis, unit): (Axis, Unit),
        losses: &[Measured],
        (replication, options): (&Replication, &Options),
    ) -> Result<Self, NoLaw> {
        let pairs: Vec<(f64, f64)> = losses.iter().map(|m| (m.x / unit.divisor, m.loss)).collect();
        let curve = Curve::new(&pairs).map_err(|error| error.to_string())?;
        let law = AxisLaw::new(curve, replication, options).map_err(|why| why.to_string())?;
        let mut records: Vec<String> = losses.iter().flat_map(|m| m.records.clone()).collect();
        records.sort();
        records.dedup();
        Ok(Self { name: name.into(), law, unit, axis, records })
    }
}

/// Asymptotes over an axis as losses of another law, with what is known of their noise; those of
/// laws that do not end are left out.
pub(super) fn asymptotes<'l>(
    laws: impl IntoIterator<Item = (f64, &'l Fitted)>,
) -> (Vec<Measured>, Replication) {
    let ending: Vec<(f64, &Fitted)> =
        laws.into_iter().filter(|(_, law)| law.has_asymptote()).collect();
    let replication = Replication::of_stages(ending.iter().map(|(_, law)| &law.law));
    let losses = ending.into_iter().map(|(x, law)| Measured {
        x,
        loss: law.asymptote(),
        error: None,
        foreign: false,
        records: law.records.clone(),
    });
    (losses.collect(), replication)
}
