//! Losses over an axis, as they were measured.

use super::run::Run;
use crate::laws::LossError;

/// A loss over an axis: of a run, or the mean of several that differ in their seeds only.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Place on the axis.
    pub x: f64,
    /// Nats per token.
    pub loss: f64,
    /// How far it may be off.
    pub error: Option<LossError>,
    /// Whether another program made a run behind it.
    pub foreign: bool,
    /// Ids of the runs behind it.
    pub records: Vec<String>,
}

impl Measured {
    /// The mean of some runs.
    #[must_use]
    pub fn mean(x: f64, runs: &[&Run]) -> Self {
        let losses: Vec<f64> = runs.iter().filter_map(|run| Some(run.loss?.nats)).collect();
        let text = runs.first().and_then(|run| run.loss?.standard_error_nats);
        let error = match runs {
            [Run { ensemble: Some(ensemble), .. }] => {
                LossError::of_members(&ensemble.without, text)
            }
            _ => LossError::of_losses(&losses, text),
        };
        Self {
            x,
            loss: mean(&losses),
            error,
            foreign: runs.iter().any(|run| run.origin.is_foreign()),
            records: runs.iter().map(|run| run.origin.id().to_owned()).collect(),
        }
    }
}

/// The mean of some numbers.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |sum, value| sum + value) / values.len() as f64
}

/// Standard deviation with n - 1; `None` for fewer than two.
#[must_use]
pub fn deviation(values: &[f64]) -> Option<f64> {
    let center = mean(values);
    let squares = values.iter().fold(0.0, |sum, value| sum + (value - center).powi(2));
    (values.len() > 1).then(|| (squares / (values.len() as f64 - 1.0)).sqrt())
}
