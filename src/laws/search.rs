//! Searches in one dimension: deterministic, bracketed, without derivatives.

/// The share of a bracket that golden section leaves out.
const GOLDEN: f64 = 0.381_966_011_250_105_15;
/// A minimum is flat to about the square root of the rounding error: more digits are noise.
const WIDTH: f64 = 1e-8;
/// Guards against endless loops; Brent's method needs about ten steps.
const STEPS_MAX: usize = 100;

/// A minimum of `f` between `low` and `high`, as (place, value): Brent's method (1973), which is
/// golden section with parabolas where they help. Infinite values are allowed, NaN is not.
pub(super) fn minimize(low: f64, high: f64, mut f: impl FnMut(f64) -> f64) -> (f64, f64) {
    let (mut low, mut high) = (low, high);
    let mut best = low + GOLDEN * (high - low);
    let mut value = f(best);
    // The second and third best places with their values, and the last two steps.
    let ((mut second, mut second_value), (mut third, mut third_value)) =
        ((best, value), (best, value));
    let (mut step, mut before) = (0.0_f64, 0.0_f64);
    for _ in 0..STEPS_MAX {
        let middle = 0.5 * (low + high);
        if (best - middle).abs() + 0.5 * (high - low) <= 2.0 * WIDTH {
            break;
        }
        let parabola = parabola_step((best, value), (second, second_value), (third, third_value));
        let inside = |step: f64| best + step > low + WIDTH && best + step < high - WIDTH;
        match parabola.filter(|&try_| try_.abs() < 0.5 * before.abs() && inside(try_)) {
            Some(try_) => (step, before) = (try_, step),
            None => {
                before = if best < middle { high - best } else { low - best };
                step = GOLDEN * before;
            }
        }
        let place = best + if step.abs() >= WIDTH { step } else { WIDTH.copysign(step) };
        let new = f(place);
        if new <= value {
            if place < best {
                high = best
            } else {
                low = best
            }
            (third, third_value) = (second, second_value);
            (second, second_value) = (best, value);
            (best, value) = (place, new);
            continue;
        }
        if place < best {
            low = place
        } else {
            high = place
        }
        if new <= second_value || same(second, best) {
            (third, third_value) = (second, second_value);
            (second, second_value) = (place, new);
        } else if new <= third_value || same(third, best) || same(third, second) {
            (third, third_value) = (place, new);
        }
    }
    (best, value)
}

fn same(left: f64, right: f64) -> bool {
    left.total_cmp(&right).is_eq()
}

/// The step from `a` to the extremum of the parabola through three points (place, value).
fn parabola_step(a: (f64, f64), b: (f64, f64), c: (f64, f64)) -> Option<f64> {
    let r = (a.0 - b.0) * (a.1 - c.1);
    let q = (a.0 - c.0) * (a.1 - b.1);
    let divisor = 2.0 * (q - r);
    let step = -((a.0 - c.0) * q - (a.0 - b.0) * r) / divisor;
    step.is_finite().then_some(step)
}

/// The border between `inside`, where `holds` is true, and `outside`, where it is false.
pub(super) fn border(inside: f64, outside: f64, mut holds: impl FnMut(f64) -> bool) -> f64 {
    let (mut inside, mut outside) = (inside, outside);
    while (inside - outside).abs() > WIDTH {
        let middle = 0.5 * (inside + outside);
        if holds(middle) { inside = middle } else { outside = middle }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(low: f64, high: f64, f: impl Fn(f64) -> f64, expected: f64) {
        let mut calls = 0;
        let (place, value) = minimize(low, high, |x| {
            calls += 1;
            f(x)
        });
        assert!((place - expected).abs() < 1e-7, "{place}, not {expected}");
        assert_eq!(value.to_bits(), f(place).to_bits());
        assert!(calls < 60, "{calls} calls");
    }

    #[test]
    fn minima_are_found_inside_and_at_the_ends() {
        check(-1.0, 3.0, |x| (x - 0.7).powi(2), 0.7);
        check(-1.0, 3.0, |x| (x - 0.7).abs(), 0.7);
        check(0.1, 9.0, |x| x - libm::log(x), 1.0);
        check(0.0, 1.0, |x| x, 0.0);
        check(0.0, 1.0, |x| -x, 1.0);
        let walled = |x: f64| if x < 0.25 { f64::INFINITY } else { (x - 0.5).powi(2) };
        check(0.0, 1.0, walled, 0.5);
    }

    #[test]
    fn a_border_is_inside() {
        let place = border(0.0, 1.0, |x| x <= 0.3);
        assert!(place <= 0.3 && place > 0.3 - 2e-8, "{place}");
    }
}
