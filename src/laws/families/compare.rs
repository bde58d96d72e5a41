//! Predictions beside what was measured.

use serde_json::json;

use super::choice::Law;
use super::forecast::Forecast;
use super::points::Point;
use crate::laws::bootstrap::quantile;

/// How predictions of some runs went.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The prediction of each run.
    pub forecasts: Vec<Forecast>,
    /// 1 - squares of (measured - predicted) / squares of (measured - mean); `None` where all
    /// losses are equal.
    pub r_squared: Option<f64>,
    /// Mean of |ln(predicted / measured)|.
    pub mean_error: f64,
    /// Runs inside their interval.
    pub inside: usize,
    /// Median of the half-widths of the intervals in ln(loss).
    pub half_width: f64,
}

serialize_as!(Comparison, |it| json!({
    "runs": it.forecasts.len(), "r2": it.r_squared, "mean_ln_error": it.mean_error,
    "inside": it.inside, "median_half_width": it.half_width,
}));

/// Compares a law with runs. `asked` are their numbers on a fifth axis, where the law has one.
///
/// # Panics
/// Without runs.
#[must_use]
pub fn compare(law: &Law, points: &[Point], asked: Option<&[f64]>, level: f64) -> Comparison {
    let forecast = |(index, point): (usize, &Point)| {
        law.forecast(&point.place, asked.map(|asked| asked[index]), level)
    };
    let losses: Vec<f64> = points.iter().map(|point| point.loss).collect();
    Comparison::of(&losses, points.iter().enumerate().map(forecast).collect())
}

impl Comparison {
    /// Of forecasts with the losses that came of them.
    ///
    /// # Panics
    /// Without runs.
    #[must_use]
    pub fn of(losses: &[f64], forecasts: Vec<Forecast>) -> Self {
        assert!(!losses.is_empty(), "a comparison needs runs");
        let count = losses.len() as f64;
        let pairs = || losses.iter().copied().zip(&forecasts);
        let sum = |of: &dyn Fn(f64, &Forecast) -> f64| {
            pairs().fold(0.0, |sum, (loss, forecast)| sum + of(loss, forecast))
        };
        let mean = sum(&|loss, _| loss) / count;
        let total = sum(&|loss, _| (loss - mean) * (loss - mean));
        let left = sum(&|loss, forecast| (loss - forecast.loss) * (loss - forecast.loss));
        let mut widths: Vec<f64> = forecasts.iter().map(|forecast| forecast.half_width).collect();
        widths.sort_by(f64::total_cmp);
        Self {
            r_squared: (total > 0.0).then(|| 1.0 - left / total),
            mean_error: sum(&|loss, forecast| libm::log(forecast.loss / loss).abs()) / count,
            inside: pairs().filter(|(loss, f)| (f.low..=f.high).contains(loss)).count(),
            half_width: quantile(&widths, 0.5),
            forecasts,
        }
    }
}
