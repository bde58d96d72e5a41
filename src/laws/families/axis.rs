//! Axes that runs are ordered along, and weights that fall with the distance from their edge.
//!
//! A law is asked about runs beyond the largest ones. Runs near that edge say more about them than
//! small ones, whose misfit a formula can only spread: a run weighs exp(-distance / h), where the
//! distance is that of its logarithm from the largest.

use super::points::Point;

/// The distance, in the logarithm, over which a weight falls to 1/e.
const REACH: f64 = 1.0;
/// Beyond this the weights are as good as equal, and h is doubled no further.
const REACH_MAX: f64 = 8.0;
/// Fewer effective runs than this, or than four for each parameter, and h is doubled.
const EFFECTIVE_MIN: f64 = 30.0;

/// Weights of runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weights {
    /// Their mean is one.
    pub(super) values: Vec<f64>,
    /// The h that they fall with.
    pub(super) reach: f64,
    /// The effective number of runs: (sum of weights)^2 / sum of squares.
    pub(super) effective: f64,
}

/// The four axes of the recipe: compute, parameters, unique tokens, epochs.
pub(super) const AXES: usize = 4;

/// The number of an axis of the recipe at a place, as a logarithm.
pub(super) fn ln_key(axis: usize, point: &Point) -> f64 {
    let place = &point.place;
    match axis {
        0 => place.ln_n + place.ln_t,
        1 => place.ln_n,
        2 => place.ln_u,
        _ => place.ln_t - place.ln_u,
    }
}

/// The largest of some logarithms.
pub(super) fn edge(ln_keys: &[f64]) -> f64 {
    ln_keys.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

impl Weights {
    /// The weights of runs with these numbers, for a family with so many parameters.
    pub(super) fn of(ln_keys: &[f64], parameters: usize) -> Self {
        let needed = EFFECTIVE_MIN.max(4.0 * parameters as f64);
        let mut weights = Self::falling(ln_keys, REACH);
        while weights.effective < needed && weights.reach < REACH_MAX {
            weights = Self::falling(ln_keys, 2.0 * weights.reach);
        }
        weights
    }

    fn falling(ln_keys: &[f64], reach: f64) -> Self {
        let edge = edge(ln_keys);
        let mut values: Vec<f64> =
            ln_keys.iter().map(|ln_key| libm::exp((ln_key - edge) / reach)).collect();
        let sum = values.iter().fold(0.0, |sum, weight| sum + weight);
        let squares = values.iter().fold(0.0, |sum, weight| sum + weight * weight);
        let count = values.len() as f64;
        for weight in &mut values {
            *weight *= count / sum;
        }
        Self { values, reach, effective: sum * sum / squares }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_fall_from_the_edge_until_too_few_runs_count() {
        let even: Vec<f64> = (0..400).map(|index| f64::from(index) / 100.0).collect();
        let weights = Weights::of(&even, 8);
        assert!((weights.reach - 1.0).abs() < 1e-12 && weights.effective > 100.0);
        let ratio = weights.values[399] / weights.values[299];
        assert!((ratio - std::f64::consts::E).abs() < 1e-9, "{ratio}");
        let mean = weights.values.iter().sum::<f64>() / 400.0;
        assert!((mean - 1.0).abs() < 1e-12);
        let far: Vec<f64> = (0..40).map(f64::from).collect();
        let weights = Weights::of(&far, 8);
        assert!((weights.reach - 8.0).abs() < 1e-12, "{weights:?}");
    }
}
