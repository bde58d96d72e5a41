//! Robust fits: Levenberg and Marquardt's descent on Huber's loss of logarithms, within a box.
//!
//! Huber's loss is iterated as weighted squares: a residual r beyond delta weighs delta/|r|. The
//! weighted squares lie above Huber's loss and touch it at the last parameters, so that what
//! lowers the squares lowers the loss. A parameter on a bound that the slope presses against is
//! frozen for the step; steps are clipped and put back into the box.

use super::formula::{Formula, Limits, PARAMETERS_MAX, Theta};
use super::points::Point;
use crate::laws::draws::Draws;

/// Where Huber's loss of ln(prediction / loss) turns from squares to distances.
pub const HUBER_DELTA: f64 = 0.01;
/// Starts of a fit from nothing.
const STARTS: usize = 8;
/// Starts that go on after the first steps.
const SURVIVORS: usize = 3;
/// First steps of every start.
const FIRST_STEPS: usize = 20;
/// Steps after which a descent stops: nearly all need fewer than 60.
const STEPS_MAX: usize = 200;
/// The longest step of one parameter.
const STEP_MAX: f64 = 2.0;
/// A descent has arrived when a step lowers the loss by less than this share, three times.
const ARRIVED: f64 = 1e-9;
/// Damping, relative to the diagonal: where it starts and where there is no way down.
const DAMPING: (f64, f64) = (1e-2, 1e10);

/// What is minimized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Huber's loss of ln(prediction / loss): one odd run pulls no more than a few others.
    HuberLog,
    /// Squares of prediction - loss.
    Squares,
}

/// Points, their weights, and what is to be fitted to them.
pub(super) struct Problem<'a> {
    pub(super) formula: Formula,
    pub(super) limits: Limits,
    pub(super) misfit: Misfit,
    pub(super) points: &'a [Point],
    /// Their mean is one.
    pub(super) weights: &'a [f64],
}

/// Parameters with what they leave: the weighted mean of the misfit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Solution {
    pub(super) theta: Theta,
    pub(super) objective: f64,
}

/// A descent under way.
struct Descent {
    here: Solution,
    damping: f64,
    /// Small gains in a row.
    idle: usize,
    arrived: bool,
}

/// Squares and products of the slopes, weighted: the normal equations.
struct Normal {
    matrix: [[f64; PARAMETERS_MAX]; PARAMETERS_MAX],
    gradient: Theta,
}

impl Problem<'_> {
    fn count(&self) -> usize {
        self.formula.letters().len()
    }

    /// Residual of a point, with the factor from slopes of the loss to slopes of the residual.
    fn residual(&self, loss: f64, predicted: f64) -> (f64, f64) {
        match self.misfit {
            Misfit::HuberLog => (libm::log(predicted / loss), 1.0 / predicted),
            Misfit::Squares => (predicted - loss, 1.0),
        }
    }

    /// What a residual costs.
    fn cost(&self, residual: f64) -> f64 {
        let size = residual.abs();
        if self.misfit == Misfit::Squares || size <= HUBER_DELTA {
            return size * size;
        }
        HUBER_DELTA * (2.0 * size - HUBER_DELTA)
    }

    fn objective(&self, theta: &Theta) -> f64 {
        let costs = self.points.iter().zip(self.weights).map(|(point, weight)| {
            let predicted = self.formula.loss(theta, &point.place, self.limits.ceiling);
            weight * self.cost(self.residual(point.loss, predicted).0)
        });
        let sum = costs.fold(0.0, |sum, cost| sum + cost);
        // An overflow is no loss: such places lie infinitely high.
        if sum.is_finite() { sum / self.points.len() as f64 } else { f64::INFINITY }
    }

    fn normal(&self, theta: &Theta) -> Normal {
        let count = self.count();
        let mut normal =
            Normal { matrix: [[0.0; PARAMETERS_MAX]; PARAMETERS_MAX], gradient: [0.0; 8] };
        for (point, weight) in self.points.iter().zip(self.weights) {
            let (predicted, mut slopes) =
                self.formula.with_slopes(theta, &point.place, self.limits.ceiling);
            let (residual, factor) = self.residual(point.loss, predicted);
            let huber = match self.misfit {
                Misfit::HuberLog if residual.abs() > HUBER_DELTA => HUBER_DELTA / residual.abs(),
                _ => 1.0,
            };
            for slope in &mut slopes[..count] {
                *slope *= factor;
            }
            let weight = weight * huber;
            for (row, slope) in slopes.iter().enumerate().take(count) {
                let weighted = weight * slope;
                normal.gradient[row] += weighted * residual;
                for (entry, slope) in normal.matrix[row].iter_mut().zip(&slopes[..=row]) {
                    *entry += weighted * slope;
                }
            }
        }
        normal
    }

    /// The best of several descents from starts that are drawn, and from `warm` where it is given.
    pub(super) fn solve(&self, warm: Option<&Theta>) -> Solution {
        let mut draws = Draws::new(START_SEQUENCE + self.formula as u64);
        let ranges = self.formula.starts(&self.limits);
        let mut starts: Vec<Theta> = warm.into_iter().copied().collect();
        let drawn = if warm.is_some() { STARTS / 2 } else { STARTS };
        for _ in 0..drawn {
            starts.push(ranges.map(|(low, high)| low + (high - low) * draws.uniform()));
        }
        let mut descents: Vec<Descent> =
            starts.into_iter().map(|start| self.descend(self.begin(start), FIRST_STEPS)).collect();
        descents.sort_by(|left, right| left.here.objective.total_cmp(&right.here.objective));
        descents.truncate(SURVIVORS);
        let ended = descents.into_iter().map(|descent| self.descend(descent, STEPS_MAX).here);
        ended
            .min_by(|left, right| left.objective.total_cmp(&right.objective))
            .expect("there is at least one start")
    }

    /// The descent from one start alone.
    pub(super) fn refine(&self, start: &Theta, steps: usize) -> Solution {
        self.descend(self.begin(*start), steps).here
    }

    fn begin(&self, start: Theta) -> Descent {
        let bounds = self.formula.bounds(&self.limits);
        let inside = |index: usize| start[index].clamp(bounds[index].0, bounds[index].1);
        let theta: Theta = std::array::from_fn(inside);
        let here = Solution { theta, objective: self.objective(&theta) };
        Descent { here, damping: DAMPING.0, idle: 0, arrived: false }
    }

    fn descend(&self, mut descent: Descent, steps: usize) -> Descent {
        let bounds = self.formula.bounds(&self.limits);
        for _ in 0..steps {
            if descent.arrived {
                break;
            }
            let normal = self.normal(&descent.here.theta);
            self.step(&mut descent, &normal, &bounds);
        }
        descent
    }

    /// Damps the step until it goes down, or gives up.
    fn step(&self, descent: &mut Descent, normal: &Normal, bounds: &[(f64, f64)]) {
        let count = self.count();
        let theta = descent.here.theta;
        let free = |index: usize| {
            let (low, high) = bounds[index];
            let slope = normal.gradient[index];
            !(theta[index] <= low && slope > 0.0 || theta[index] >= high && slope < 0.0)
        };
        let free: Vec<usize> = (0..count).filter(|&index| free(index)).collect();
        while descent.damping < DAMPING.1 {
            let Some(step) = normal.solve(&free, descent.damping) else {
                descent.damping *= 4.0;
                continue;
            };
            let mut moved = theta;
            for (&index, step) in free.iter().zip(&step) {
                let step = step.clamp(-STEP_MAX, STEP_MAX);
                moved[index] = (moved[index] + step).clamp(bounds[index].0, bounds[index].1);
            }
            let objective = self.objective(&moved);
            if objective < descent.here.objective {
                let gain = 1.0 - objective / descent.here.objective;
                descent.idle = if gain < ARRIVED { descent.idle + 1 } else { 0 };
                descent.arrived = descent.idle >= 3;
                descent.here = Solution { theta: moved, objective };
                descent.damping *= 0.3;
                return;
            }
            descent.damping *= 4.0;
        }
        descent.arrived = true;
    }
}

/// Number of the first sequence of starts, far from those of bootstraps.
const START_SEQUENCE: u64 = 1 << 56;

impl Normal {
    /// The step of the free parameters, by Cholesky's factors; `None` if there are none.
    fn solve(&self, free: &[usize], damping: f64) -> Option<Theta> {
        let count = free.len();
        let mut factor = [[0.0_f64; PARAMETERS_MAX]; PARAMETERS_MAX];
        let mut step = [0.0; PARAMETERS_MAX];
        for row in 0..count {
            for column in 0..=row {
                let (high, low) = (free[row].max(free[column]), free[row].min(free[column]));
                let mut entry = self.matrix[high][low];
                if row == column {
                    // A parameter without any effect must not make the matrix singular.
                    entry += damping * entry + 1e-14;
                }
                for (left, right) in factor[row].iter().zip(&factor[column]).take(column) {
                    entry -= left * right;
                }
                factor[row][column] = match row == column {
                    true if entry > 0.0 => entry.sqrt(),
                    true => return None,
                    false => entry / factor[column][column],
                };
            }
            let sum = (0..row).fold(0.0, |sum, inner| sum + factor[row][inner] * step[inner]);
            step[row] = (-self.gradient[free[row]] - sum) / factor[row][row];
        }
        for row in (0..count).rev() {
            let below = row + 1..count;
            let sum = below.fold(0.0, |sum, inner| sum + factor[inner][row] * step[inner]);
            step[row] = (step[row] - sum) / factor[row][row];
        }
        step.iter().all(|entry| entry.is_finite()).then_some(step)
    }
}
