//! Nested folds: how well each family, fitted without the largest runs, predicts them.
//!
//! A fold holds out the runs that are largest along one axis, weighs the others along that axis as
//! the fit itself does, and counts ln(predicted / measured). Runs that tie are never parted: half
//! of a group of equals would be predicted from the other half.

use super::axis::{Weights, edge};
use super::descent::{Misfit, Problem};
use super::formula::{Formula, Limits};
use super::points::Point;

/// Shares of the runs that the folds of an axis hold out.
const SHARES: [f64; 2] = [0.1, 0.2];
/// Logarithms that are nearer than this are ties: products round differently.
const TIE: f64 = 1e-9;
/// A fold is left out where fewer runs than this would be left to fit.
const TRAINING_MIN: usize = 20;

/// A split of runs, as indices.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fold {
    /// The axis, as an index.
    pub(super) axis: usize,
    pub(super) train: Vec<usize>,
    pub(super) test: Vec<usize>,
    /// How far the farthest held-out run lies beyond the training runs, in the logarithm.
    pub(super) distance: f64,
}

/// The runs with the `count` largest numbers, and all that tie with the last of them.
#[must_use]
pub fn largest(ln_keys: &[f64], count: usize) -> Vec<usize> {
    let mut sorted = ln_keys.to_vec();
    sorted.sort_by(|left, right| right.total_cmp(left));
    let Some(last) = count.checked_sub(1).and_then(|last| sorted.get(last)) else {
        return Vec::new();
    };
    (0..ln_keys.len()).filter(|&index| ln_keys[index] >= last - TIE).collect()
}

/// The folds along some axes. Those that ties make equal are taken once.
pub(super) fn nested(axes: &[Vec<f64>]) -> Vec<Fold> {
    let mut folds: Vec<Fold> = Vec::new();
    for (axis, ln_keys) in axes.iter().enumerate() {
        for share in SHARES {
            let count = (share * ln_keys.len() as f64).round() as usize;
            let test = largest(ln_keys, count);
            let train: Vec<usize> =
                (0..ln_keys.len()).filter(|index| !test.contains(index)).collect();
            let keys = |indices: &[usize]| indices.iter().map(|&i| ln_keys[i]).collect::<Vec<_>>();
            let distance = edge(&keys(&test)) - edge(&keys(&train));
            let known = folds.iter().any(|fold| fold.axis == axis && fold.test == test);
            if train.len() >= TRAINING_MIN && !test.is_empty() && !known {
                folds.push(Fold { axis, train, test, distance });
            }
        }
    }
    folds
}

impl Fold {
    /// ln(predicted / measured) of the runs held out, for one family.
    pub(super) fn errors(
        &self,
        points: &[Point],
        ln_keys: &[f64],
        formula: Formula,
        limits: Limits,
        misfit: Misfit,
    ) -> Vec<f64> {
        let train: Vec<Point> = self.train.iter().map(|&index| points[index]).collect();
        let keys: Vec<f64> = self.train.iter().map(|&index| ln_keys[index]).collect();
        let weights = Weights::of(&keys, formula.letters().len());
        let problem = Problem { formula, limits, misfit, points: &train, weights: &weights.values };
        let theta = problem.solve(None).theta;
        let test = self.test.iter().map(|&index| points[index]);
        let error = |point: Point| {
            libm::log(formula.loss(&theta, &point.place, limits.ceiling) / point.loss)
        };
        test.map(error).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_never_cut() {
        let keys = [3.0, 1.0, 2.0, 2.0, 2.0 + 1e-12, 0.0];
        assert_eq!(largest(&keys, 1), [0]);
        assert_eq!(largest(&keys, 2), [0, 2, 3, 4]);
        assert_eq!(largest(&keys, 5), [0, 1, 2, 3, 4]);
        assert_eq!(largest(&keys, 0), [0_usize; 0]);
        assert_eq!(largest(&keys, 7), [0_usize; 0]);
    }

    #[test]
    fn folds_reach_beyond_their_training_runs() {
        let keys: Vec<f64> = (0..50).map(|index| f64::from(index / 2)).collect();
        let folds = nested(&[keys.clone(), vec![0.0; 50]]);
        let sizes: Vec<usize> = folds.iter().map(|fold| fold.test.len()).collect();
        assert_eq!(sizes, [6, 10]);
        assert!((folds[1].distance - 5.0).abs() < 1e-12);
    }
}
