//! Rotary position embedding, with the frequency scaling of Llama 3.
//!
//! **Shapes.** The matrix `[T, row stride]`, of which the first `heads` heads of width D in each
//! row are rotated in place: with the fused matrix of queries, keys and values, these are the
//! query and the key heads. T positions, numbered from 0; D head width, even.
//!
//! **Forward.** Halves are paired as in Hugging Face's Llama (not neighbors as in the paper):
//! with θ_i the frequency of pair i and a = t θ_i,
//! (x_i, x_{i+D/2}) becomes (x_i cos a - x_{i+D/2} sin a, x_{i+D/2} cos a + x_i sin a).
//!
//! **Backward.** A rotation is orthogonal: the gradient is rotated by -a.
//!
//! **Saved for backward.** Nothing.
//!
//! **Cost.** 6 FLOPs for each pair, 8 bytes for each element; the table has 4 T D bytes.
//!
//! **Precision.** Angles, cosines and sines in f64 at start-up, then f32. (Hugging Face computes
//! the angle in f32, which at position 4096 differs by up to 2e-4.)

mod cpu;

use crate::isa::Kernels;

/// The stretching of long wavelengths that Llama 3.1 introduced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3Scaling {
    /// By how much low frequencies are divided.
    pub factor: f64,
    /// Wavelengths above `original_positions / low_frequency_factor` are stretched fully.
    pub low_frequency_factor: f64,
    /// Wavelengths below `original_positions / high_frequency_factor` are kept.
    pub high_frequency_factor: f64,
    /// The context length before the stretching.
    pub original_positions: f64,
}

impl Llama3Scaling {
    fn apply(&self, frequency: f64) -> f64 {
        let turns = self.original_positions * frequency / (2.0 * std::f64::consts::PI);
        let (low, high) = (self.low_frequency_factor, self.high_frequency_factor);
        if turns > high {
            return frequency;
        }
        if turns < low {
            return frequency / self.factor;
        }
        let share = (turns - low) / (high - low);
        (1.0 - share) * frequency / self.factor + share * frequency
    }
}

/// Cosines and sines of all angles.
#[derive(Clone, Debug)]
pub struct RopeTable {
    positions: usize,
    head_dim: usize,
    /// `[positions, head_dim / 2]`.
    cosines: Vec<f32>,
    /// `[positions, head_dim / 2]`.
    sines: Vec<f32>,
}

impl RopeTable {
    /// The table for positions below `positions` and heads of width `head_dim`.
    ///
    /// # Panics
    /// If `head_dim` is odd.
    pub fn new(
        positions: usize,
        head_dim: usize,
        theta: f64,
        scaling: Option<Llama3Scaling>,
    ) -> RopeTable {
        assert!(head_dim.is_multiple_of(2), "head width {head_dim} is odd");
        let frequencies: Vec<f64> = (0..head_dim / 2)
            .map(|i| {
                let frequency = libm::pow(theta, -2.0 * i as f64 / head_dim as f64);
                scaling.map_or(frequency, |scaling| scaling.apply(frequency))
            })
            .collect();
        let table = |f: fn(f64) -> f64| {
            let row = |t| frequencies.iter().map(move |frequency| f(t as f64 * frequency) as f32);
            (0..positions).flat_map(row).collect()
        };
        RopeTable { positions, head_dim, cosines: table(libm::cos), sines: table(libm::sin) }
    }

    /// How many positions it covers.
    pub fn positions(&self) -> usize {
        self.positions
    }
}

/// Rotates the first `heads` heads of each row of `matrix` in place.
pub fn forward(
    kernels: Kernels,
    table: &RopeTable,
    matrix: &mut [f32],
    row_stride: usize,
    heads: usize,
) {
    check_shapes(table, matrix, row_stride, heads);
    cpu::rotate(kernels, table, 1.0, matrix, row_stride, heads);
}

/// Turns the gradient of the rotated heads into that of the heads before, in place.
pub fn backward(
    kernels: Kernels,
    table: &RopeTable,
    matrix: &mut [f32],
    row_stride: usize,
    heads: usize,
) {
    check_shapes(table, matrix, row_stride, heads);
    cpu::rotate(kernels, table, -1.0, matrix, row_stride, heads);
}

fn check_shapes(table: &RopeTable, matrix: &[f32], row_stride: usize, heads: usize) {
    assert!(matrix.len().is_multiple_of(row_stride), "{} / {row_stride}", matrix.len());
    let (positions, width) = (matrix.len() / row_stride, heads * table.head_dim);
    assert!(width <= row_stride, "{heads} heads take {width} of {row_stride} columns");
    assert!(positions <= table.positions, "{positions} positions, table of {}", table.positions);
}

/// The naive version in f64: the specification of the kernels.
pub mod reference {
    /// Rotates one head at one position by `sign` times the angles of the frequencies.
    pub fn rotate(head: &[f64], position: usize, frequencies: &[f64], sign: f64) -> Vec<f64> {
        let pairs = head.len() / 2;
        let mut rotated = head.to_vec();
        for (i, frequency) in frequencies.iter().enumerate() {
            let angle = sign * position as f64 * frequency;
            let (a, b) = (head[i], head[i + pairs]);
            rotated[i] = a * angle.cos() - b * angle.sin();
            rotated[i + pairs] = b * angle.cos() + a * angle.sin();
        }
        rotated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Precision;
    use crate::testing::{check, check_same_bits, kernels, sum_bound, values, wide};

    const THETA: f64 = 10_000.0;

    fn frequencies(head_dim: usize) -> Vec<f64> {
        (0..head_dim / 2).map(|i| THETA.powf(-2.0 * i as f64 / head_dim as f64)).collect()
    }

    #[test]
    fn kernels_follow_the_reference_and_backward_is_the_inverse() {
        for (positions, heads, head_dim, rest) in [(0, 1, 2, 0), (5, 3, 2, 1), (9, 2, 34, 34)] {
            let row_stride = heads * head_dim + rest;
            let table = RopeTable::new(positions + 3, head_dim, THETA, None);
            let before = values(1, positions * row_stride);
            let mut expected = wide(&before);
            for (t, row) in expected.chunks_exact_mut(row_stride).enumerate() {
                for head in row.chunks_exact_mut(head_dim).take(heads) {
                    let rotated = reference::rotate(head, t, &frequencies(head_dim), 1.0);
                    head.copy_from_slice(&rotated);
                }
            }
            let mut first: Option<Vec<f32>> = None;
            for kernels in kernels(Precision::F32) {
                let what = format!("rope {positions} x {heads} x {head_dim}");
                let mut matrix = before.clone();
                forward(kernels, &table, &mut matrix, row_stride, heads);
                check(&what, &matrix, &expected, |_| sum_bound(2, 3.0));
                let first = first.get_or_insert(matrix.clone());
                check_same_bits(&what, &matrix, first);
                backward(kernels, &table, &mut matrix, row_stride, heads);
                check(&format!("{what} back"), &matrix, &wide(&before), |_| sum_bound(4, 3.0));
            }
        }
    }

    /// Frequencies of Llama 3.2 (theta 500000, factor 32), by Hugging Face's formula: the highest
    /// are kept, the lowest divided by the factor, and those between interpolated.
    #[test]
    fn llama3_scaling_bends_low_frequencies() {
        let scaling = Llama3Scaling {
            factor: 32.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_positions: 8192.0,
        };
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-12, "{a} instead of {b}");
        close(scaling.apply(1.0), 1.0);
        close(scaling.apply(1e-5), 1e-5 / 32.0);
        // A wavelength of 4096: two turns in the original context, a third of the way up.
        let frequency = 2.0 * std::f64::consts::PI / 4096.0;
        close(scaling.apply(frequency), frequency * (2.0 / 3.0 / 32.0 + 1.0 / 3.0));
        let plain = RopeTable::new(4, 8, 500_000.0, None);
        let scaled = RopeTable::new(4, 8, 500_000.0, Some(scaling));
        assert_eq!(plain.sines[4].to_bits(), scaled.sines[4].to_bits());
        assert!(plain.sines[7] > 30.0 * scaled.sines[7]);
    }
}
