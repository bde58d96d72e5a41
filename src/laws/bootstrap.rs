//! The parametric bootstrap: fits to losses that the fitted law itself might have given.

use super::axis::{Axis, Losses, Scaled};
use super::draws::Draws;
use super::interval::{End, Interval};
use super::noise::Scatter;

/// Draws `count` sets of losses around `fitted` and hands each to `use_losses`.
///
/// Where the deviation was estimated from d degrees of freedom, every set has a deviation of its
/// own, sqrt(d / chi-square) times the estimate: for a linear law the percentiles are then exactly
/// Student's interval. Set number i depends on i only.
pub(super) fn resample(
    fitted: &[f64],
    scatter: Scatter,
    count: usize,
    mut use_losses: impl FnMut(&[f64], &mut Draws),
) {
    let mut losses = fitted.to_vec();
    for number in 0..count {
        let mut draws = Draws::new(number as u64);
        let deviation = match scatter.degrees {
            Some(degrees) => scatter.deviation * draws.scale(degrees),
            None => scatter.deviation,
        };
        for (loss, fitted) in losses.iter_mut().zip(fitted) {
            *loss = fitted + deviation * draws.normal();
        }
        use_losses(&losses, &mut draws);
    }
}

/// The refitted laws of all resamples.
pub(super) fn refits(axis: &Axis, fitted: &[f64], scatter: Scatter, count: usize) -> Vec<Scaled> {
    let mut laws = Vec::with_capacity(count);
    let mut target = Losses::new(fitted);
    resample(fitted, scatter, count, |losses, _| {
        target.set(losses);
        laws.push(axis.fit(&target));
    });
    laws
}

/// The percentile interval of `level` of some numbers. An end at or beyond its limit is open:
/// `limits` are the lowest and the highest value that the number can take.
///
/// # Panics
/// Without numbers.
pub(super) fn percentiles(mut values: Vec<f64>, level: f64, limits: (f64, f64)) -> Interval {
    assert!(!values.is_empty(), "percentiles need numbers");
    values.sort_unstable_by(f64::total_cmp);
    let tail = 0.5 * (1.0 - level);
    let (low, high) = (quantile(&values, tail), quantile(&values, 1.0 - tail));
    let low = if low <= limits.0 { End::Open(limits.0) } else { End::Closed(low) };
    let high = if high >= limits.1 { End::Open(limits.1) } else { End::Closed(high) };
    Interval { low, high, level }
}

/// The quantile of sorted values, linear between neighbors (numpy's default). Infinite neighbors
/// count as they are.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let index = (place as usize).min(sorted.len() - 1);
    let (left, right) = (sorted[index], sorted[(index + 1).min(sorted.len() - 1)]);
    let rest = place - index as f64;
    if rest > 0.0 && left.is_finite() { left + rest * (right - left) } else { left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_open_at_their_limits() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        let interval = percentiles(values.clone(), 0.9, (f64::NEG_INFINITY, f64::INFINITY));
        let (low, high) = (interval.low.value().unwrap(), interval.high.value().unwrap());
        assert!((low - 5.0).abs() < 1e-9 && (high - 95.0).abs() < 1e-9, "{interval:?}");
        let bounded = percentiles(values, 0.9, (5.5, 90.0));
        assert_eq!((bounded.low, bounded.high), (End::Open(5.5), End::Open(90.0)));
        let mut wild = vec![1.0; 80];
        wild.extend([f64::INFINITY; 20]);
        let interval = percentiles(wild, 0.9, (0.0, f64::INFINITY));
        assert_eq!((interval.low, interval.high), (End::Closed(1.0), End::Open(f64::INFINITY)));
    }

    #[test]
    fn resamples_have_the_noise_that_was_asked_for() {
        let scatter = Scatter { deviation: 0.3, degrees: None };
        let (mut sum, mut squares) = (0.0, 0.0);
        resample(&[1.0, 2.0], scatter, 20_000, |losses, _| {
            sum += losses[1] - 2.0;
            squares += (losses[1] - 2.0).powi(2);
        });
        assert!((sum / 2e4_f64).abs() < 0.01 && ((squares / 2e4_f64).sqrt() - 0.3).abs() < 0.01);
    }
}
