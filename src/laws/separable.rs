//! Variable projection with several exponents: y = sum of c_j f_j(theta), c_j >= 0, theta in a box.
//!
//! For given theta the coefficients are solved exactly, so that only theta is searched: by the
//! method of Levenberg and Marquardt on the remaining residuals, in ln theta, from every point of a
//! fixed grid of starts. Derivatives are differences, as the projected residuals have no
//! handy ones where a coefficient meets its bound. Everything is deterministic.

use super::interval::End;

/// The functions f_j at all points, for given theta.
pub(super) type Columns<'a> = dyn Fn(&[f64]) -> Vec<Vec<f64>> + 'a;

/// Steps of one descent; a dozen are usual.
const STEPS_MAX: usize = 200;
/// The width of a difference in ln theta.
const DIFFERENCE: f64 = 1e-7;
/// A descent ends when no ln theta moves by more than this.
const STILL: f64 = 1e-9;
/// Below this share of its column's length, what others leave of it is rounding.
const DEPENDENT: f64 = 1e-11;

/// A separable least-squares problem.
pub(super) struct Problem<'a> {
    pub(super) y: &'a [f64],
    pub(super) columns: &'a Columns<'a>,
    /// The lowest and highest value of each theta, all positive.
    pub(super) bounds: &'a [(f64, f64)],
    /// Values of each theta from whose combinations descents start.
    pub(super) starts: &'a [&'a [f64]],
}

/// A least-squares solution.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Solution {
    pub(super) theta: Vec<f64>,
    pub(super) coefficients: Vec<f64>,
    /// Sum of squared residuals.
    pub(super) residual: f64,
}

impl Solution {
    /// The value of a parameter.
    pub(super) fn get(&self, which: Which) -> f64 {
        match which {
            Which::Coefficient(index) => self.coefficients[index],
            Which::Theta(index) => self.theta[index],
        }
    }
}

/// A parameter, to be held at some value while the rest is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Coefficient(usize),
    Theta(usize),
}

type Held = Option<(Which, f64)>;

impl Problem<'_> {
    /// The best fit over all starts.
    pub(super) fn solve(&self) -> Solution {
        self.best(&self.start_grid(), None)
    }

    /// All combinations of the starts.
    pub(super) fn start_grid(&self) -> Vec<Vec<f64>> {
        let mut starts = vec![Vec::new()];
        for values in self.starts {
            let longer = |start: &Vec<f64>| {
                values.iter().map(|&v| [&start[..], &[v]].concat()).collect::<Vec<_>>()
            };
            starts = starts.iter().flat_map(longer).collect();
        }
        starts
    }

    /// The best coefficients for these theta.
    pub(super) fn with_coefficients(&self, theta: &[f64]) -> Solution {
        let ln_theta: Vec<f64> = theta.iter().map(|theta| libm::log(*theta)).collect();
        let (_, coefficients, residual) = self.project(&ln_theta, None);
        Solution { theta: theta.to_vec(), coefficients, residual }
    }

    /// The best fit that a descent from a neighboring solution finds.
    pub(super) fn refine(&self, near: &Solution) -> Solution {
        self.best(std::slice::from_ref(&near.theta), None)
    }

    fn best(&self, starts: &[Vec<f64>], held: Held) -> Solution {
        let descents = starts.iter().map(|start| self.descend(start, held));
        let better = |left: Solution, right: Solution| {
            if right.residual < left.residual { right } else { left }
        };
        descents.reduce(better).expect("there is at least one start")
    }

    /// The range of a parameter over all fits whose residual sum exceeds the best by at most
    /// `allowance`.
    pub(super) fn range(&self, which: Which, best: &Solution, allowance: f64) -> (End, End) {
        let profile = Profile { problem: self, which, best, allowance };
        match which {
            Which::Theta(index) => {
                let (low, high) = self.bounds[index];
                let end = |bound: f64| profile.end([bound].into_iter(), bound);
                (end(low), end(high))
            }
            Which::Coefficient(index) => {
                let value = best.coefficients[index];
                // A coefficient at zero starts from a small share of the largest loss.
                let largest = self.y.iter().fold(0.0_f64, |max, y| max.max(y.abs()));
                let unit = if value > 0.0 { value } else { 1e-6 * largest };
                let far = (0..60).map(|doubling| value + 1e-2 * unit * f64::from(doubling).exp2());
                (profile.end([0.0].into_iter(), 0.0), profile.end(far, f64::INFINITY))
            }
        }
    }

    /// A descent from `start`, with one parameter possibly held.
    fn descend(&self, start: &[f64], held: Held) -> Solution {
        let mut ln_theta: Vec<f64> = start.iter().map(|theta| libm::log(*theta)).collect();
        let bounds: Vec<(f64, f64)> =
            self.bounds.iter().map(|(low, high)| (libm::log(*low), libm::log(*high))).collect();
        if let Some((Which::Theta(index), value)) = held {
            ln_theta[index] = libm::log(value);
        }
        for (place, (low, high)) in ln_theta.iter_mut().zip(&bounds) {
            *place = place.clamp(*low, *high);
        }
        let mut damping = 1e-3;
        let mut here = self.project(&ln_theta, held);
        for _ in 0..STEPS_MAX {
            let (normal, slope) = self.derivatives(&ln_theta, held, &here.0, &bounds);
            let mut moved = 0.0_f64;
            while damping < 1e12 {
                let step = damped_step(&normal, &slope, damping);
                let next: Vec<f64> = (ln_theta.iter().zip(&step).zip(&bounds))
                    .map(|((place, step), (low, high))| {
                        (place + step.clamp(-1.0, 1.0)).clamp(*low, *high)
                    })
                    .collect();
                let there = self.project(&next, held);
                if there.2 < here.2 {
                    let moves = next.iter().zip(&ln_theta).map(|(new, old)| (new - old).abs());
                    moved = moves.fold(0.0, f64::max);
                    (here, ln_theta) = (there, next);
                    damping = (damping * 0.2).max(1e-12);
                    break;
                }
                damping *= 4.0;
            }
            if moved < STILL {
                break;
            }
        }
        let theta = ln_theta.iter().map(|place| libm::exp(*place)).collect();
        Solution { theta, coefficients: here.1, residual: here.2 }
    }

    /// J'J and J'r of the projected residuals by ln theta. Parameters that are held, or at a bound
    /// and pushed beyond it, do not move: their rows are those of the identity.
    fn derivatives(
        &self,
        ln_theta: &[f64],
        held: Held,
        residuals: &[f64],
        bounds: &[(f64, f64)],
    ) -> (Vec<Vec<f64>>, Vec<f64>) {
        let count = ln_theta.len();
        let mut rows = Vec::new();
        for index in 0..count {
            let mut place = ln_theta.to_vec();
            place[index] += DIFFERENCE;
            let beside = self.project(&place, held).0;
            let slopes = beside.iter().zip(residuals).map(|(b, r)| (b - r) / DIFFERENCE);
            rows.push(slopes.collect::<Vec<f64>>());
        }
        let mut slope: Vec<f64> = rows.iter().map(|row| dot(row, residuals)).collect();
        let mut normal: Vec<Vec<f64>> =
            (0..count).map(|i| (0..count).map(|j| dot(&rows[i], &rows[j])).collect()).collect();
        for index in 0..count {
            let (low, high) = bounds[index];
            let outwards = ln_theta[index] <= low && slope[index] > 0.0
                || ln_theta[index] >= high && slope[index] < 0.0;
            let is_held = held.is_some_and(|(which, _)| which == Which::Theta(index));
            if outwards || is_held {
                slope[index] = 0.0;
                normal.iter_mut().for_each(|row| row[index] = 0.0);
                normal[index].fill(0.0);
                normal[index][index] = 1.0;
            }
        }
        (normal, slope)
    }

    /// The best coefficients for ln theta: (residuals, coefficients, residual sum).
    fn project(&self, ln_theta: &[f64], held: Held) -> (Vec<f64>, Vec<f64>, f64) {
        let theta: Vec<f64> = ln_theta.iter().map(|place| libm::exp(*place)).collect();
        let columns = (self.columns)(&theta);
        let mut y = self.y.to_vec();
        let mut free: Vec<usize> = (0..columns.len()).collect();
        if let Some((Which::Coefficient(index), value)) = held {
            for (y, f) in y.iter_mut().zip(&columns[index]) {
                *y -= value * f;
            }
            free.retain(|&other| other != index);
        }
        let (residuals, found) = nonnegative(&columns, &free, &y);
        let mut coefficients = found;
        if let Some((Which::Coefficient(index), value)) = held {
            coefficients[index] = value;
        }
        let sum = dot(&residuals, &residuals);
        (residuals, coefficients, sum)
    }
}

/// The residual sum as a function of one parameter, all others fitted.
struct Profile<'a> {
    problem: &'a Problem<'a>,
    which: Which,
    best: &'a Solution,
    allowance: f64,
}

impl Profile<'_> {
    /// One end of the range: the first of the `places`, ever further out, that is excluded closes
    /// it, and it lies between that place and the last one before.
    fn end(&self, places: impl Iterator<Item = f64>, limit: f64) -> End {
        let mut inside = (self.best.get(self.which), -self.allowance.sqrt(), self.best.clone());
        for place in places {
            if (place - inside.0).abs() <= 1e-6 * place.abs() {
                return End::Open(limit);
            }
            let outside = self.explore(place, &inside.2);
            if outside.1 > 0.0 {
                return End::Closed(self.border(inside, outside));
            }
            inside = outside;
        }
        End::Open(limit)
    }

    /// The fit with the parameter held at `place`, from one start; with it sqrt(excess) -
    /// sqrt(allowance), which is negative where it is accepted and nearly straight.
    fn at(&self, place: f64, start: &Solution) -> (f64, f64, Solution) {
        let found = self.problem.descend(&start.theta, Some((self.which, place)));
        let excess = (found.residual - self.best.residual).max(0.0);
        (place, excess.sqrt() - self.allowance.sqrt(), found)
    }

    /// The same from several starts, as a place far out may belong to another valley.
    fn explore(&self, place: f64, near: &Solution) -> (f64, f64, Solution) {
        let mut found = self.at(place, near);
        for index in 0..self.best.theta.len() {
            for factor in [1.0, 0.4, 2.5] {
                let mut start = self.best.clone();
                start.theta[index] *= factor;
                let other = self.at(place, &start);
                if other.1 < found.1 {
                    found = other;
                }
            }
        }
        found
    }

    /// Where the excess is the allowance, by false position with the halving of the Illinois rule.
    fn border(&self, mut inside: (f64, f64, Solution), mut outside: (f64, f64, Solution)) -> f64 {
        let (mut left, mut right) = (inside.1, outside.1);
        for _ in 0..50 {
            if (inside.0 - outside.0).abs() <= 1e-7 * inside.0.abs().max(outside.0.abs()) {
                break;
            }
            let share = (left / (left - right)).clamp(0.02, 0.98);
            let place = inside.0 + share * (outside.0 - inside.0);
            let near = if share < 0.5 { &inside.2 } else { &outside.2 };
            let found = self.at(place, near);
            let still = found.1.abs() <= 1e-7 * self.allowance.sqrt();
            if found.1 <= 0.0 {
                (left, inside, right) = (found.1, found, 0.5 * right);
            } else {
                (right, outside, left) = (found.1, found, 0.5 * left);
            }
            if still {
                return place;
            }
        }
        inside.0
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).fold(0.0, |sum, (a, b)| sum + a * b)
}

/// -(normal + damping diagonal)^-1 slope, by Gaussian elimination of a positive definite matrix.
pub(super) fn damped_step(normal: &[Vec<f64>], slope: &[f64], damping: f64) -> Vec<f64> {
    let count = slope.len();
    let largest = (0..count).fold(0.0_f64, |max, i| max.max(normal[i][i]));
    let mut matrix: Vec<Vec<f64>> = normal.to_vec();
    let mut step: Vec<f64> = slope.iter().map(|slope| -slope).collect();
    for i in 0..count {
        // A direction without effect gets no step instead of a division by zero.
        matrix[i][i] += damping * normal[i][i] + 1e-14 * largest + f64::MIN_POSITIVE;
    }
    for i in 0..count {
        for j in i + 1..count {
            let factor = matrix[j][i] / matrix[i][i];
            let pivot = matrix[i].clone();
            subtract(&mut matrix[j][i..], &pivot[i..], factor);
            step[j] -= factor * step[i];
        }
    }
    for i in (0..count).rev() {
        let known = (i + 1..count).fold(0.0, |sum, j| sum + matrix[i][j] * step[j]);
        step[i] = (step[i] - known) / matrix[i][i];
    }
    step
}

/// Least squares with non-negative coefficients of the `free` columns, as (residuals,
/// coefficients of all columns). With at most four columns every set of positive coefficients can
/// be tried; mostly the first, all of them, is it.
fn nonnegative(columns: &[Vec<f64>], free: &[usize], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut best = (y.to_vec(), vec![0.0; columns.len()]);
    let mut smallest = dot(y, y);
    for set in (1..1_usize << free.len()).rev() {
        let members = free.iter().enumerate().filter(|(place, _)| set >> place & 1 == 1);
        let chosen: Vec<usize> = members.map(|(_, &index)| index).collect();
        let (residuals, found) = least_squares(columns, &chosen, y);
        if found.iter().any(|coefficient| *coefficient < 0.0) {
            continue;
        }
        let sum = dot(&residuals, &residuals);
        if sum < smallest {
            let mut coefficients = vec![0.0; columns.len()];
            for (index, coefficient) in chosen.iter().zip(&found) {
                coefficients[*index] = *coefficient;
            }
            (best, smallest) = ((residuals, coefficients), sum);
        }
        if chosen.len() == free.len() {
            break;
        }
    }
    best
}

/// Unbounded least squares of the chosen columns, as (residuals, coefficients): modified Gram and
/// Schmidt, twice, on columns of length one. A column that depends on earlier ones gets zero.
fn least_squares(columns: &[Vec<f64>], chosen: &[usize], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut basis: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let mut residuals = y.to_vec();
    let mut coefficients = vec![0.0; chosen.len()];
    for (place, &index) in chosen.iter().enumerate() {
        let largest = columns[index].iter().fold(0.0_f64, |max, f| max.max(f.abs()));
        if !(largest.is_normal()) {
            continue;
        }
        // Each direction remembers how it is made of the columns.
        let mut direction: Vec<f64> = columns[index].iter().map(|f| f / largest).collect();
        let mut recipe = vec![0.0; chosen.len()];
        recipe[place] = 1.0 / largest;
        let length = dot(&direction, &direction).sqrt();
        for _ in 0..2 {
            for (other, other_recipe) in &basis {
                let share = dot(&direction, other);
                subtract(&mut direction, other, share);
                subtract(&mut recipe, other_recipe, share);
            }
        }
        let left = dot(&direction, &direction).sqrt();
        if left <= DEPENDENT * length {
            continue;
        }
        direction.iter_mut().for_each(|value| *value /= left);
        recipe.iter_mut().for_each(|value| *value /= left);
        basis.push((direction, recipe));
    }
    for (direction, recipe) in &basis {
        let share = dot(&residuals, direction);
        subtract(&mut residuals, direction, share);
        subtract(&mut coefficients, recipe, -share);
    }
    (residuals, coefficients)
}

fn subtract(from: &mut [f64], what: &[f64], share: f64) {
    for (from, what) in from.iter_mut().zip(what) {
        *from -= share * what;
    }
}
