//! Axes: a range of values on a range of the picture, with round ticks that do not crowd.

use crate::draw::font;

/// Maps values to places along one direction of the picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

/// Sets of round ticks, densest first: which powers of ten, and which multiples of them.
const SETS: [(i32, &[f64]); 4] =
    [(1, &[1.0, 2.0, 5.0]), (1, &[1.0, 3.0]), (1, &[1.0]), (2, &[1.0])];

/// A tick: its value and its label.
pub(crate) type Tick = (f64, String);

impl Axis {
    /// A linear axis that shows `low` to `high`, widened by `padding` (a share of the range) on
    /// both sides, between the places `from` and `to`. An empty range is given some width.
    pub(crate) fn linear(low: f64, high: f64, padding: f64, from: f64, to: f64) -> Self {
        let range = high - low;
        let range = if range > 0.0 { range } else { (high.abs() * 0.01).max(1e-3) };
        let pad = padding * range;
        let center = (low + high) / 2.0;
        let half = range / 2.0 + pad;
        Self { low: center - half, high: center + half, from, to, logarithmic: false }
    }

    /// A logarithmic axis that shows `low` to `high`, both positive, with a little room.
    pub(crate) fn logarithmic(low: f64, high: f64, from: f64, to: f64) -> Self {
        let (low, high) = (low.ln(), high.ln());
        let pad = (0.03 * (high - low)).max(0.05);
        Self { low: low - pad, high: high + pad, from, to, logarithmic: true }
    }

    /// Where a value lies.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.ln() } else { value };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Whether a value lies within the axis.
    pub(crate) fn holds(&self, value: f64) -> bool {
        let value = if self.logarithmic { value.ln() } else { value };
        value >= self.low && value <= self.high
    }

    /// Round ticks of a linear axis, no closer to each other than `spacing`.
    pub(crate) fn linear_ticks(&self, spacing: f64) -> Vec<Tick> {
        let length = (self.to - self.from).abs();
        let step_min = (self.high - self.low) * spacing / length;
        let magnitude = 10f64.powf(step_min.log10().floor());
        let multiple = [1.0, 2.0, 5.0].into_iter().find(|m| m * magnitude >= step_min);
        let step = multiple.unwrap_or(10.0) * magnitude;
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        // Multiplying whole numbers avoids the drift of repeated addition.
        (first..=last)
            .map(|index| index as f64 * step)
            .map(|value| (value, format!("{:.decimals$}", value + 0.0)))
            .collect()
    }

    /// Whether equal distances are equal ratios.
    pub(crate) fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }

    /// Ticks without labels inside the decades of a logarithmic axis: 2 to 9 times each power of
    /// ten, or the powers themselves where decades are narrower than this many picture units.
    pub(crate) fn minor_ticks(&self, decade_min: f64) -> Vec<f64> {
        let decades = (self.high - self.low) / std::f64::consts::LN_10;
        if !self.logarithmic || decades > 40.0 {
            return Vec::new();
        }
        let first = (self.low / std::f64::consts::LN_10).floor() as i32;
        let last = (self.high / std::f64::consts::LN_10).ceil() as i32;
        let all = (self.to - self.from).abs() / decades >= decade_min;
        let multiples = if all { 1..=9 } else { 1..=1 };
        (first..=last)
            .flat_map(|power| multiples.clone().map(move |m| f64::from(m) * 10f64.powi(power)))
            .filter(|&value| self.holds(value))
            .collect()
    }

    /// Ticks of either kind for a vertical axis, no closer to each other than `spacing`.
    pub(crate) fn ticks_apart(&self, spacing: f64) -> Vec<Tick> {
        if !self.logarithmic {
            return self.linear_ticks(spacing);
        }
        // A logarithmic axis of less than an octave reads better with even steps.
        let (low, high) = (self.low.exp(), self.high.exp());
        if high < 2.2 * low {
            let even = Self { low, high, logarithmic: false, ..*self };
            return even.linear_ticks(spacing);
        }
        // Labels above each other need their height only, which is less than a pleasing distance.
        let apart = |ticks: &Vec<Tick>| {
            let gap = |pair: &[Tick]| (self.place(pair[1].0) - self.place(pair[0].0)).abs();
            ticks.windows(2).all(|pair| gap(pair) >= 0.6 * spacing)
        };
        let mut candidates = SETS.into_iter().map(|(every, set)| self.decades(every, set, plain));
        candidates.find(apart).unwrap_or_else(|| self.decades(3, &[1.0], plain))
    }

    /// Round ticks of a horizontal axis of either kind whose labels of a font size stay apart.
    pub(crate) fn ticks_for_labels(&self, size: f64) -> Vec<Tick> {
        if self.logarithmic {
            self.logarithmic_ticks(size, plain)
        } else {
            self.linear_ticks_for_labels(size)
        }
    }

    /// Round ticks of a horizontal linear axis whose labels of a font size stay apart.
    pub(crate) fn linear_ticks_for_labels(&self, size: f64) -> Vec<Tick> {
        let mut spacing = 3.5 * size;
        loop {
            let ticks = self.linear_ticks(spacing);
            let widths = ticks.iter().map(|(_, label)| font::text_width(label, size));
            let needed = widths.fold(0.0, f64::max) + size;
            let distance = match &ticks[..] {
                [first, second, ..] => self.place(second.0) - self.place(first.0),
                _ => return ticks,
            };
            if distance >= needed {
                return ticks;
            }
            spacing = needed.max(1.5 * spacing);
        }
    }

    /// Round ticks of a logarithmic axis, labeled by `label`: the densest of 1-2-5, 1-3 and powers
    /// of ten whose labels of the given font size stay apart.
    pub(crate) fn logarithmic_ticks(&self, size: f64, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let apart = |ticks: &Vec<Tick>| {
            ticks.windows(2).all(|pair| {
                let gap = self.place(pair[1].0) - self.place(pair[0].0);
                let widths = pair.iter().map(|(_, label)| font::text_width(label, size));
                gap >= widths.sum::<f64>() / 2.0 + size
            })
        };
        let mut candidates = SETS.into_iter().map(|(every, set)| self.decades(every, set, &label));
        let ticks = candidates.find(apart).unwrap_or_else(|| self.decades(3, &[1.0], &label));
        if ticks.is_empty() {
            // Between two ticks of the densest set: the middle is better than nothing.
            let middle = f64::midpoint(self.low, self.high).exp();
            return vec![(middle, label(middle))];
        }
        ticks
    }

    /// These multiples of every so many powers of ten.
    fn decades(&self, every: i32, multiples: &[f64], label: impl Fn(f64) -> String) -> Vec<Tick> {
        let first = (self.low / std::f64::consts::LN_10).floor() as i32;
        let last = (self.high / std::f64::consts::LN_10).ceil() as i32;
        (first..=last)
            .filter(|power| power.rem_euclid(every) == 0)
            .flat_map(|power| multiples.iter().map(move |m| m * 10f64.powi(power)))
            .filter(|&value| self.holds(value))
            .map(|value| (value, label(value)))
            .collect()
    }
}

/// A tick as a plain number: ticks are 1, 2, 3 or 5 times a power of ten, so that one digit is
/// enough, and an exponent beyond ten thousand or its inverse.
fn plain(value: f64) -> String {
    let power = (value * 1.000_001).log10().floor();
    if !(-4.0..6.0).contains(&power) {
        return format!("{:.0}e{power:.0}", value / 10f64.powf(power));
    }
    format!("{value:.*}", (-power).max(0.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::short_tokens;

    #[test]
    fn linear_ticks_are_round_and_apart() {
        let labels = |low, high| -> Vec<String> {
            let axis = Axis::linear(low, high, 0.0, 0.0, 260.0);
            axis.linear_ticks(50.0).into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(2.3, 4.1), ["2.5", "3.0", "3.5", "4.0"]);
        assert_eq!(labels(0.0, 1.7), ["0.0", "0.5", "1.0", "1.5"]);
        assert_eq!(labels(-0.001, 0.0042), ["-0.001", "0.000", "0.001", "0.002", "0.003", "0.004"]);
        assert_eq!(labels(3.0, 300.0), ["100", "200", "300"]);
        let narrow = Axis::linear(1.00036, 1.00042, 0.0, 0.0, 260.0).linear_ticks_for_labels(12.5);
        let places: Vec<&str> = narrow.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(places, ["1.00036", "1.00038", "1.00040", "1.00042"]);
    }

    #[test]
    fn token_ticks_thin_out_with_the_range() {
        let labels = |low, high| -> Vec<String> {
            let axis = Axis::logarithmic(low, high, 0.0, 380.0);
            let ticks = axis.logarithmic_ticks(12.5, short_tokens);
            ticks.into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(6400.0, 819_200.0), ["10k", "20k", "50k", "100k", "200k", "500k"]);
        assert_eq!(labels(1e3, 1e12), ["10k", "1M", "100M", "10B", "1T"]);
        assert_eq!(labels(9e5, 1.1e6), ["1M"]);
        // Between two round numbers the middle is shown.
        assert_eq!(labels(6e8, 6e8), ["600M"]);
    }

    #[test]
    fn ticks_of_small_numbers_have_the_digits_that_they_need() {
        let labels = |low, high| -> Vec<String> {
            let axis = Axis::logarithmic(low, high, 0.0, 280.0);
            axis.ticks_for_labels(12.5).into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(0.38, 2.9), ["0.5", "1", "2"]);
        assert_eq!(labels(0.0009, 0.06), ["0.001", "0.003", "0.01", "0.03"]);
    }

    #[test]
    fn empty_ranges_have_width() {
        let axis = Axis::linear(2.5, 2.5, 0.04, 0.0, 100.0);
        assert!((axis.place(2.5) - 50.0).abs() < 1e-9);
        assert!(!axis.linear_ticks(20.0).is_empty());
        assert!(axis.holds(2.5) && !axis.holds(3.0));
    }
}
