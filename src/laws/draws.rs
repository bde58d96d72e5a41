//! Normal and scale draws for bootstraps, from the engine's counter-based generator.

use scarce_engine::random::Stream;

/// Key of every bootstrap here; any value would do, but it must never depend on the run.
const KEY: u64 = 0x5CA2_CE00_1A35_0001;

/// A sequence of standard normal numbers that depends on its number only.
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    stream: Stream,
    next: u64,
    spare: Option<f64>,
}

impl Draws {
    /// The sequence number `number`.
    pub(crate) fn new(number: u64) -> Self {
        Self { stream: Stream::new(KEY, number), next: 0, spare: None }
    }

    /// A number between 0 and 1.
    pub(super) fn uniform(&mut self) -> f64 {
        self.next += 1;
        self.stream.uniform(self.next - 1)
    }

    /// A standard normal number, by the transform of Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        if let Some(second) = self.spare.take() {
            return second;
        }
        let radius = (-2.0 * libm::log(self.stream.uniform(self.next))).sqrt();
        let angle = std::f64::consts::TAU * self.stream.uniform(self.next + 1);
        self.next += 2;
        self.spare = Some(radius * libm::sin(angle));
        radius * libm::cos(angle)
    }

    /// sqrt(d / chi-square with d degrees of freedom): what an estimated standard deviation must be
    /// multiplied with, so that its uncertainty reaches the resamples.
    pub(super) fn scale(&mut self, degrees: usize) -> f64 {
        let squares = (0..degrees).fold(0.0, |sum, _| {
            let z = self.normal();
            sum + z * z
        });
        (degrees as f64 / squares).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_have_the_right_moments_and_repeat_themselves() {
        let count = 100_000;
        let mut draws = Draws::new(1);
        let values: Vec<f64> = (0..count).map(|_| draws.normal()).collect();
        let moment =
            |power: i32| values.iter().map(|z| z.powi(power)).sum::<f64>() / f64::from(count);
        assert!(moment(1).abs() < 0.01 && (moment(2) - 1.0).abs() < 0.02);
        assert!(moment(3).abs() < 0.04 && (moment(4) - 3.0).abs() < 0.1);
        let again = Draws::new(1).normal();
        assert_eq!(again.to_bits(), values[0].to_bits());
        assert_ne!(Draws::new(2).normal().to_bits(), values[0].to_bits());
    }

    #[test]
    fn a_scaled_normal_is_student_distributed() {
        let mut draws = Draws::new(3);
        let inside = (0..20_000)
            .filter(|_| (draws.scale(3) * draws.normal()).abs() <= 2.353_363_434_801_824)
            .count();
        assert!((inside as f64 / 20_000.0 - 0.9).abs() < 0.01, "{inside}");
    }
}
