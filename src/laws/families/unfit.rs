//! Tables that families of several axes must not be fitted to, and why.

use std::fmt;

use super::axis::ln_key;
use super::points::Point;

/// The fewest runs that a choice by nested folds can be made with.
pub const RUNS_MIN: usize = 40;
/// The fewest distinct values of an axis, without which a power of it has no exponent.
pub const VALUES_MIN: usize = 3;
/// Axes of which one explains this share of the variance of the other are one axis.
const COLLINEAR: f64 = 0.999;
/// Values that are nearer than this share are the same.
const SAME: f64 = 1e-6;
/// Neighboring values that differ by more than this factor are in different units.
const GAP: f64 = 3000.0;

/// Why there is no law.
#[derive(Clone, Debug, PartialEq)]
pub enum Unfit {
    /// Fewer than [`RUNS_MIN`] runs.
    TooFewRuns {
        /// How many there are.
        runs: usize,
    },
    /// No run repeats its tokens.
    NeverRepeated,
    /// An axis takes fewer values than [`VALUES_MIN`] (epochs: two).
    FewValues {
        /// The axis, in words.
        axis: &'static str,
        /// How many values there are.
        values: usize,
    },
    /// N moves with the tokens, so that no data tell their effects apart.
    Collinear {
        /// The share of the variance of ln N that the tokens explain.
        share: f64,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewRuns { runs } => write!(
                f,
                "{runs} runs to fit are too few: a choice among laws of several axes needs \
                 {RUNS_MIN}"
            ),
            Self::NeverRepeated => f.write_str(
                "no run has more than one epoch, so that nothing tells what repeating does",
            ),
            Self::FewValues { axis, values: 1 } => write!(f, "the {axis} are the same in all runs"),
            Self::FewValues { axis, values } => {
                write!(f, "the {axis} take {values} values, which give a power no exponent")
            }
            Self::Collinear { share } => write!(
                f,
                "the parameters move with the tokens ({:.2} % of their variance), so that the \
                 effects of the two cannot be told apart",
                100.0 * share
            ),
        }
    }
}

impl Unfit {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooFewRuns { .. } => {
                "hold out fewer runs, or fit `--law chinchilla` or `--law repeat`, which ask for \
                 less and predict less"
            }
            Self::NeverRepeated => "fit `--law chinchilla`, which has no term for repeating",
            Self::FewValues { .. } => {
                "measure more values, or fit `--law chinchilla` or a law of one axis"
            }
            Self::Collinear { .. } => {
                "vary tokens at the same size, or fit a law of one axis: `--x COL`"
            }
        }
    }
}

/// Whether runs can be fitted.
///
/// # Errors
/// The first reason why not.
pub fn check(points: &[Point]) -> Result<(), Unfit> {
    if points.len() < RUNS_MIN {
        return Err(Unfit::TooFewRuns { runs: points.len() });
    }
    if points.iter().all(|point| point.place.repetitions <= SAME) {
        return Err(Unfit::NeverRepeated);
    }
    let along = |key: &dyn Fn(&Point) -> f64| distinct(points.iter().map(key).collect());
    let axes = [
        ("parameters", VALUES_MIN, along(&|point| point.place.ln_n)),
        ("tokens", VALUES_MIN, along(&|point| point.place.ln_t)),
        ("unique tokens", VALUES_MIN, along(&|point| point.place.ln_u)),
        ("epochs", 2, along(&|point| ln_key(3, point))),
    ];
    for (axis, needed, values) in axes {
        if values < needed {
            return Err(Unfit::FewValues { axis, values });
        }
    }
    let share = explained(points);
    if share > COLLINEAR {
        return Err(Unfit::Collinear { share });
    }
    Ok(())
}

/// How many different logarithms there are.
fn distinct(mut ln_values: Vec<f64>) -> usize {
    ln_values.sort_by(f64::total_cmp);
    ln_values.dedup_by(|left, right| (*left - *right).abs() < SAME);
    ln_values.len()
}

/// The share of the variance of ln N that a plane over ln T and ln U explains.
fn explained(points: &[Point]) -> f64 {
    let deviations = |of: fn(&Point) -> f64| {
        let mean = points.iter().fold(0.0, |sum, point| sum + of(point)) / points.len() as f64;
        points.iter().map(|point| of(point) - mean).collect::<Vec<f64>>()
    };
    let product = |left: &[f64], right: &[f64]| {
        left.iter().zip(right).fold(0.0, |sum, (left, right)| sum + left * right)
    };
    let n = deviations(|point| point.place.ln_n);
    let t = deviations(|point| point.place.ln_t);
    let epochs = deviations(|point| ln_key(3, point));
    // What is left of n and of the epochs without t; then of n without both.
    let without = |x: &[f64], y: &[f64]| {
        let slope = product(x, y) / product(y, y);
        x.iter().zip(y).map(|(x, y)| x - slope * y).collect::<Vec<f64>>()
    };
    let (n_rest, epochs_rest) = (without(&n, &t), without(&epochs, &t));
    let rest = match product(&epochs_rest, &epochs_rest) > 1e-9 * product(&epochs, &epochs) {
        true => without(&n_rest, &epochs_rest),
        false => n_rest,
    };
    1.0 - product(&rest, &rest) / product(&n, &n)
}

/// The values on the smaller side of the widest gap between neighbors, where it is too wide for
/// one unit: their indices.
#[must_use]
pub fn in_other_units(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&left, &right| values[left].total_cmp(&values[right]));
    let ratio = |place: usize| values[order[place]] / values[order[place - 1]];
    let widest = (1..order.len()).max_by(|&left, &right| ratio(left).total_cmp(&ratio(right)));
    let Some(place) = widest.filter(|&place| ratio(place) > GAP) else { return Vec::new() };
    let (below, above) = order.split_at(place);
    let mut fewer = if below.len() < above.len() { below.to_vec() } else { above.to_vec() };
    fewer.sort_unstable();
    fewer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::families::Place;

    fn table(place: impl Fn(f64) -> Place) -> Vec<Point> {
        (0..48).map(|index| Point { place: place(f64::from(index)), loss: 3.0 }).collect()
    }

    #[test]
    fn tables_without_a_law_are_refused() {
        let grid =
            |i: f64| Place::new(1.0 + i % 4.0, 2.0 + i % 7.0, (2.0 + i % 7.0) / (1.0 + i % 3.0));
        assert_eq!(check(&table(grid)), Ok(()));
        assert_eq!(check(&table(grid)[..39]), Err(Unfit::TooFewRuns { runs: 39 }));
        let once = |i: f64| Place::new(1.0 + i % 4.0, 2.0 + i % 7.0, 2.0 + i % 7.0);
        assert_eq!(check(&table(once)), Err(Unfit::NeverRepeated));
        let two = |i: f64| Place::new(1.0 + i % 2.0, 2.0 + i % 7.0, 1.0);
        let few = check(&table(two)).unwrap_err();
        assert_eq!(few, Unfit::FewValues { axis: "parameters", values: 2 });
        let always = |i: f64| Place::new(1.0 + i % 4.0, 2.0 + i % 7.0, 1.0 + i % 7.0 / 2.0);
        let few = check(&table(always)).unwrap_err();
        assert_eq!(few, Unfit::FewValues { axis: "epochs", values: 1 });
        let line =
            |i: f64| Place::new(2.0 + i % 7.0, 2.0 + i % 7.0, (2.0 + i % 7.0) / (1.0 + i % 3.0));
        assert!(matches!(check(&table(line)), Err(Unfit::Collinear { .. })));
        let plane = |i: f64| {
            let (t, epochs) = (2.0 + i % 7.0, 1.0 + i % 3.0);
            Place::new(t / epochs, t, t / epochs)
        };
        assert!(matches!(check(&table(plane)), Err(Unfit::Collinear { .. })));
    }

    #[test]
    fn other_units_leave_a_gap() {
        assert_eq!(in_other_units(&[1e8, 7e6, 8e9]), [0_usize; 0]);
        assert_eq!(in_other_units(&[1e8, 0.5, 8e9, 7e8]), [1]);
        assert_eq!(in_other_units(&[1e8, 0.5, 0.7, 0.9]), [0]);
        assert_eq!(in_other_units(&[]), [0_usize; 0]);
    }
}
