//! Quantiles of Student's t and of the normal distribution, for intervals around a mean.
//!
//! Both are solved by Newton's method on P(|X| <= x), which is increasing and concave for x > 0.
//! A tangent lies above a concave function, so every step from the left stops short of the root:
//! the iteration climbs monotonically from zero and needs neither brackets nor a good start.

/// Steps after which Newton's method has long converged; a guard against endless loops, no tuning.
const STEPS_MAX: usize = 200;

/// The t with P(|T| <= t) = `level` for Student's distribution with `degrees` degrees of freedom.
///
/// Whole degrees of freedom (blocks - 1) allow a finite sum in theta = atan(t / sqrt(degrees)),
/// with positive terms only and no gamma function (Abramowitz and Stegun 26.7.3 and 26.7.4).
///
/// # Panics
/// Unless 0 < `level` < 1 and `degrees` >= 1.
#[must_use]
pub fn two_sided_t(level: f64, degrees: usize) -> f64 {
    assert!(level > 0.0 && level < 1.0, "a level must lie in (0, 1), not {level}");
    assert!(degrees >= 1, "Student's t needs at least one degree of freedom");
    let angle = climb(level, |angle| t_probability_and_slope(angle, degrees));
    (degrees as f64).sqrt() * angle.tan()
}

/// The z with P(|Z| <= z) = `level` for the standard normal distribution.
///
/// # Panics
/// Unless 0 < `level` < 1.
#[must_use]
pub fn two_sided_z(level: f64) -> f64 {
    assert!(level > 0.0 && level < 1.0, "a level must lie in (0, 1), not {level}");
    climb(level, normal_probability_and_slope)
}

/// P(|T| > `t`) for Student's distribution; not below the rounding of its complement.
pub(super) fn two_sided_t_tail(t: f64, degrees: usize) -> f64 {
    let angle = libm::atan(t / (degrees as f64).sqrt());
    (1.0 - t_probability_and_slope(angle, degrees).0).max(0.0)
}

/// P(F > `ratio`) for the ratio of two variances of these degrees of freedom, each at least 1: an
/// incomplete beta function (Abramowitz and Stegun 26.6.2), by its continued fraction (26.5.8).
pub(super) fn variance_ratio_tail(ratio: f64, above: usize, below: usize) -> f64 {
    let (above, below) = (above as f64, below as f64);
    let x = below / (below + above * ratio.max(0.0));
    let (a, b) = (0.5 * below, 0.5 * above);
    let ln_beta = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let front = libm::exp(a * libm::log(x) + b * libm::log1p(-x) - ln_beta);
    // The fraction converges fast on one side of the mean only; the other is its complement.
    match x < (a + 1.0) / (a + b + 2.0) {
        true => front * beta_fraction(a, b, x) / a,
        false => 1.0 - front * beta_fraction(b, a, 1.0 - x) / b,
    }
}

/// The continued fraction of the incomplete beta function, by Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let (mut c, mut fraction) = (1.0, d);
    for step in (1..).map(f64::from).take(STEPS_MAX) {
        let even = step * (b - step) * x / ((a + 2.0 * step - 1.0) * (a + 2.0 * step));
        let odd = -(a + step) * (a + b + step) * x / ((a + 2.0 * step) * (a + 2.0 * step + 1.0));
        let before = fraction;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            fraction *= c * d;
        }
        if (fraction - before).abs() < 1e-15 * fraction.abs() {
            break;
        }
    }
    fraction
}

/// The root of probability(x) = `level`, from x = 0 upwards.
fn climb(level: f64, probability_and_slope: impl Fn(f64) -> (f64, f64)) -> f64 {
    let mut x = 0.0;
    for _ in 0..STEPS_MAX {
        let (probability, slope) = probability_and_slope(x);
        let next = x + (level - probability) / slope;
        // In exact arithmetic every step goes up; the first that does not is rounding.
        if next <= x || next.is_nan() {
            break;
        }
        x = next;
    }
    x
}

/// P(|T| <= sqrt(degrees) tan(angle)) and its derivative by the angle, which is
/// proportional to cos(angle)^(degrees - 1).
fn t_probability_and_slope(angle: f64, degrees: usize) -> (f64, f64) {
    let (sine, cosine) = angle.sin_cos();
    let odd = degrees % 2 == 1;
    // The sum over cos^p has p = 1, 3, .. for odd and p = 0, 2, .. for even degrees; each
    // coefficient follows from the last, and the first that is left out is that of the derivative.
    let mut power = if odd { 1 } else { 0 };
    let mut term = if odd { cosine } else { 1.0 };
    let mut sum = 0.0;
    while power + 2 <= degrees {
        sum += term;
        term *= cosine * cosine * (power + 1) as f64 / (power + 2) as f64;
        power += 2;
    }
    let slope = term * degrees as f64 / cosine;
    if odd {
        let scale = std::f64::consts::FRAC_2_PI;
        (scale * (angle + sine * sum), scale * slope)
    } else {
        (sine * sum, slope)
    }
}

/// P(|Z| <= z) and its derivative, by the all-positive series of Marsaglia (2004).
fn normal_probability_and_slope(z: f64) -> (f64, f64) {
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let (mut term, mut sum, mut divisor) = (z, 0.0, 1.0);
    while term > sum * f64::EPSILON {
        sum += term;
        divisor += 2.0;
        term *= z * z / divisor;
    }
    (2.0 * density * sum, 2.0 * density)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(got: f64, expected: f64) {
        let error = (got / expected - 1.0).abs();
        // Rounding grows with the number of terms: 1e-15 at 10 degrees, 2e-11 at a million.
        assert!(error < 5e-11, "got {got}, expected {expected}: relative error {error:e}");
    }

    #[test]
    fn ratios_of_variances_have_their_tails() {
        // Critical values of tables at 5 %, and the square of Student's t.
        for (ratio, above, below) in
            [(161.4476, 1, 1), (6.9443, 2, 4), (3.4928, 2, 20), (4.7571, 3, 6), (2.7109, 5, 20)]
        {
            let tail = variance_ratio_tail(ratio, above, below);
            assert!((tail - 0.05).abs() < 2e-6, "{ratio} {above} {below}: {tail}");
        }
        let t = 1.7_f64;
        let difference = variance_ratio_tail(t * t, 1, 7) - two_sided_t_tail(t, 7);
        assert!(difference.abs() < 1e-12, "{difference}");
        assert!((variance_ratio_tail(0.0, 3, 4) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn t_has_closed_forms_for_one_and_two_degrees() {
        for level in [1e-6, 0.1, 0.5, 0.9, 0.95, 0.99, 0.9999] {
            check(two_sided_t(level, 1), (level * std::f64::consts::FRAC_PI_2).tan());
            check(two_sided_t(level, 2), level * (2.0 / (1.0 - level * level)).sqrt());
        }
    }

    #[test]
    fn t_agrees_with_forty_digit_arithmetic() {
        // Roots of the regularized incomplete beta function, from mpmath with 40 digits.
        check(two_sided_t(0.9, 3), 2.353_363_434_801_823_9);
        check(two_sided_t(0.5, 4), 0.740_697_084_112_682_6);
        check(two_sided_t(0.95, 5), 2.570_581_835_636_315_5);
        check(two_sided_t(0.95, 10), 2.228_138_851_986_275);
        check(two_sided_t(0.99, 30), 2.749_995_653_567_225_3);
        check(two_sided_t(0.99, 99), 2.626_405_457_280_827_5);
        check(two_sided_t(0.95, 511), 1.964_617_222_330_404);
        check(two_sided_t(0.99, 100_000), 2.575_878_469_908_375);
    }

    #[test]
    fn z_agrees_with_forty_digit_arithmetic_and_is_the_limit_of_t() {
        check(two_sided_z(0.5), 0.674_489_750_196_081_7);
        check(two_sided_z(0.95), 1.959_963_984_540_054_2);
        check(two_sided_z(0.9999), 3.890_591_886_413_094);
        let z = two_sided_z(0.95);
        let degrees = 1_000_000;
        let first_order = z + (z.powi(3) + z) / (4.0 * degrees as f64);
        check(two_sided_t(0.95, degrees), first_order);
    }
}
