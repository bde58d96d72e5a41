//! What residuals say against a law: a point far off, heavy tails.
//!
//! - **A point far off.** Each residual is divided by its own standard deviation, which is smaller
//!   where a point pulls the law towards itself (leverage, by the tangents of the law at its
//!   optimum), with the scatter of all others: for a linear law that is Student's t. The largest of
//!   n is tested at 1 % by Bonferroni's bound, which holds for any dependence.
//! - **Heavy tails.** A few points far off swell the scatter and hide each other. The median of
//!   absolute residuals does not swell: points beyond four standard deviations by it are counted.
//!   Of normal ones there are six in a hundred thousand.
//!
//! Neither sees noise in the rounding of losses.

use serde::Serialize;

use super::quantile::two_sided_t_tail;

/// The probability below which the largest residual is no chance.
const CHANCE: f64 = 0.01;
/// Robust standard deviations from which a point is far off.
const FAR: f64 = 4.0;
/// Relative standard deviation of a median of absolute residuals, times the root of their number.
const MEDIAN_NOISE: f64 = 1.17;
/// Residuals below this share of a loss are those of searches, which end before the last digits.
const SEARCH: f64 = 1e-7;
/// Points far off that are named.
const NAMED: usize = 8;
/// Fewer points than this have no tails.
const TAIL_POINTS: usize = 20;
/// A normal standard deviation is this much larger than the median of absolute values.
pub(super) const MEDIAN_FACTOR: f64 = 1.482_602_218_505_602;

/// What is known of a law's residuals.
///
/// JSON does without numbers of points: whoever has made the points knows a better name of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Residuals {
    /// Number of the point that lies furthest off, counted from 0 in the order of the fit.
    #[serde(skip)]
    pub furthest: usize,
    /// Its residual, measured minus fitted, nats per token.
    pub largest: f64,
    /// That in standard deviations of a loss.
    #[serde(rename = "largest_sd")]
    pub deviations: f64,
    /// Whether it is too large for chance.
    pub stands_out: bool,
    /// Standard deviation by the median of absolute residuals, nats per token.
    #[serde(rename = "robust_sd")]
    pub robust_deviation: f64,
    /// Points further off than four of these.
    #[serde(rename = "beyond_4_robust_sd")]
    pub far: usize,
    /// The numbers of up to eight of them, the furthest first.
    #[serde(skip)]
    pub far_points: Vec<usize>,
    /// Whether they are too many for normal noise.
    pub heavy_tails: bool,
    /// Fourth moment over the square of the second, minus 3: 0 for normal noise.
    pub excess_kurtosis: f64,
}

impl Residuals {
    /// Looks at the residuals of a law with `tangents`: derivatives of its losses by parameters.
    /// `deviation` is the standard deviation of a loss.
    pub(super) fn new(y: &[f64], fitted: &[f64], tangents: &[Vec<f64>], deviation: f64) -> Self {
        let residuals: Vec<f64> = y.iter().zip(fitted).map(|(y, f)| y - f).collect();
        let (count, parameters) = (residuals.len(), tangents.len());
        let degrees = count.saturating_sub(parameters);
        let magnitude = |index: &usize| residuals[*index].abs();
        let furthest = (0..count)
            .max_by(|i, j| magnitude(i).total_cmp(&magnitude(j)))
            .expect("a law has points");
        let moment =
            |power: i32| residuals.iter().fold(0.0, |sum, r| sum + r.powi(power)) / count as f64;
        let (second, fourth) = (moment(2), moment(4));
        let digit = last_digit(y);
        let largest = y.iter().fold(0.0_f64, |max, y| max.max(y.abs()));
        let told = magnitude(&furthest) > 2.0 * digit.max(SEARCH * largest);
        let robust = median(residuals.iter().map(|r| r.abs()).collect());
        let freedom = (count as f64 / degrees.max(1) as f64).sqrt();
        let robust_deviation = (MEDIAN_FACTOR * freedom * robust).max(digit);
        let mut far_points: Vec<usize> =
            (0..count).filter(|index| magnitude(index) > FAR * robust_deviation).collect();
        let far = far_points.len();
        far_points.sort_by(|i, j| magnitude(j).total_cmp(&magnitude(i)));
        far_points.truncate(NAMED);
        let enough = count >= TAIL_POINTS && degrees * 4 >= count * 3;
        Self {
            furthest,
            largest: residuals[furthest],
            deviations: if deviation > 0.0 { magnitude(&furthest) / deviation } else { 0.0 },
            stands_out: told && largest_chance(&residuals, tangents) < CHANCE,
            robust_deviation,
            far,
            far_points,
            heavy_tails: told && enough && at_least(far, expected_far(count)) < CHANCE,
            excess_kurtosis: if second > 0.0 { fourth / (second * second) - 3.0 } else { 0.0 },
        }
    }
}

/// The unit of the last decimal that any of the losses has, and at least their rounding as numbers
/// of a computer.
pub(super) fn last_digit(y: &[f64]) -> f64 {
    let decimals = |y: &f64| {
        let text = y.to_string();
        text.split_once('.').map_or(0, |(_, decimals)| decimals.len())
    };
    let most = y.iter().map(decimals).max().unwrap_or(0);
    let largest = y.iter().fold(0.0_f64, |max, y| max.max(y.abs()));
    libm::pow(10.0, -(most.min(300) as f64)).max(4.0 * f64::EPSILON * largest)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => 0.5 * (values[middle - 1] + values[middle]),
        _ => values[middle],
    }
}

/// A bound of the probability that normal residuals have one as large as their largest, measured
/// by the scatter of all others; 1 where too few degrees of freedom are left to tell.
fn largest_chance(residuals: &[f64], tangents: &[Vec<f64>]) -> f64 {
    let count = residuals.len();
    let degrees = count.saturating_sub(tangents.len());
    if degrees < 3 {
        return 1.0;
    }
    let squares = residuals.iter().fold(0.0, |sum, r| sum + r * r);
    let mut least: f64 = 1.0;
    for (residual, leverage) in residuals.iter().zip(leverages(tangents, count)) {
        let free = 1.0 - leverage;
        if free < 1e-6 {
            // The law goes through this point whatever it is.
            continue;
        }
        let own = residual * residual / free;
        let rest = (squares - own).max(0.0) / (degrees - 1) as f64;
        let t = if rest > 0.0 { (own / rest).sqrt() } else { f64::INFINITY };
        least = least.min(two_sided_t_tail(t, degrees - 1));
    }
    (count as f64 * least).min(1.0)
}

/// How much of its own residual each point takes away: the diagonal of the projection on the
/// tangents, by Gram and Schmidt, twice.
fn leverages(tangents: &[Vec<f64>], count: usize) -> Vec<f64> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut sums = vec![0.0; count];
    for tangent in tangents {
        let largest = tangent.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
        if !largest.is_normal() {
            continue;
        }
        let mut direction: Vec<f64> = tangent.iter().map(|value| value / largest).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b);
        let before = dot(&direction, &direction);
        for _ in 0..2 {
            for other in &basis {
                let share = dot(&direction, other);
                direction.iter_mut().zip(other).for_each(|(value, o)| *value -= share * o);
            }
        }
        let squares = dot(&direction, &direction);
        // What is left of a tangent that depends on earlier ones is rounding.
        if squares <= 1e-18 * before {
            continue;
        }
        let length = squares.sqrt();
        direction.iter_mut().for_each(|value| *value /= length);
        sums.iter_mut().zip(&direction).for_each(|(sum, value)| *sum += value * value);
        basis.push(direction);
    }
    sums
}

/// How many of so many normal residuals lie far off, where chance has made the median small: few
/// points do not know their own deviation.
fn expected_far(count: usize) -> f64 {
    let count = count as f64;
    let bound = FAR * (1.0 - 1.645 * MEDIAN_NOISE / count.sqrt());
    count * libm::erfc(bound * std::f64::consts::FRAC_1_SQRT_2)
}

/// P(a Poisson number of this mean is at least `count`).
fn at_least(count: usize, mean: f64) -> f64 {
    let (mut term, mut below) = (libm::exp(-mean), 0.0);
    for number in 0..count {
        below += term;
        term *= mean / (number + 1) as f64;
    }
    1.0 - below
}

#[cfg(test)]
mod tests {
    use super::super::draws::Draws;
    use super::*;

    /// A line through `count` points with normal noise; what is added to the last ones.
    fn look(count: usize, number: u64, added: &[f64]) -> Residuals {
        let mut draws = Draws::new(number);
        let mut y: Vec<f64> = (0..count).map(|_| 3.0 + 0.01 * draws.normal()).collect();
        y.iter_mut().rev().zip(added).for_each(|(y, more)| *y += more);
        let mean = y.iter().sum::<f64>() / count as f64;
        let squares: f64 = y.iter().map(|y| (y - mean).powi(2)).sum();
        let deviation = (squares / (count - 1) as f64).sqrt();
        Residuals::new(&y, &vec![mean; count], &[vec![1.0; count]], deviation)
    }

    #[test]
    fn normal_noise_is_rarely_doubted_and_points_far_off_always() {
        let count = |size: usize, added: &[f64], doubt: fn(&Residuals) -> bool| {
            (0..1000).filter(|number| doubt(&look(size, 7000 + number, added))).count()
        };
        for size in [5, 8, 30, 150] {
            let doubted = count(size, &[], |found| found.stands_out);
            assert!(doubted <= 20, "{doubted} of 1000 with {size} points");
        }
        assert!(count(100, &[], |found| found.heavy_tails) <= 20);
        assert!(count(30, &[0.1], |found| found.stands_out && found.furthest == 29) > 990);
        assert!(count(8, &[0.3], |found| found.stands_out) > 990);
        // Many of them hide each other from the scatter, and not from the median.
        let many = [0.2; 10];
        assert!(count(100, &many, |found| found.heavy_tails && found.far >= 10) > 990);
    }

    #[test]
    fn digits_bound_what_is_told() {
        let digit = |y: &[f64], expected: f64| {
            assert!((last_digit(y) / expected - 1.0).abs() < 1e-9, "{}", last_digit(y));
        };
        digit(&[3.5, 3.25, 3.0], 0.01);
        digit(&[3.0, 4.0], 1.0);
        digit(&[10.0 / 3.0], 4.0 * f64::EPSILON * 10.0 / 3.0);
        assert!((at_least(1, 0.01) - 0.00995).abs() < 1e-5);
        // Rounding alone is no noise, however it is distributed.
        let y = [3.5, 3.5, 3.5, 3.5, 3.5, 3.5, 3.6];
        let fitted = [3.5; 7];
        assert!(!Residuals::new(&y, &fitted, &[vec![1.0; 7]], 0.01).stands_out);
    }
}
