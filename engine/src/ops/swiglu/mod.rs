//! The gated activation of the feed-forward layer: SiLU of the gate times the other half.
//!
//! **Shapes.** gate_up `[T, 2 F]`, the gate in the first F columns; out `[T, F]`. T positions,
//! F hidden width.
//!
//! **Forward.** With σ(g) = 1 / (1 + e^-g): out = g σ(g) u.
//!
//! **Backward.** As σ' = σ (1 - σ), the derivative of g σ is σ + g σ (1 - σ) = σ (1 + g (1 - σ)).
//! So dg = dout u σ (1 + g (1 - σ)) and du = dout g σ.
//!
//! **Saved for backward.** gate_up, by the caller; σ is computed again, and with it out, of which
//! the gradient of the next weights is made.
//!
//! **Cost.** About 20 FLOPs an element, of which the exponential is most; 12 T F bytes forward,
//! 24 T F bytes backward.
//!
//! **Precision.** f32, elementwise.

mod cpu;

use crate::isa::Kernels;

/// out = SiLU(gate) up, for hidden width `width`.
pub fn forward(kernels: Kernels, width: usize, gate_up: &[f32], out: &mut [f32]) {
    check_shapes(width, gate_up, out);
    cpu::forward(kernels, width, gate_up, out);
}

/// Overwrites `dgate_up` with the gradients of both halves, and `out` with what `forward` gives.
pub fn backward(
    kernels: Kernels,
    width: usize,
    gate_up: &[f32],
    dout: &[f32],
    dgate_up: &mut [f32],
    out: &mut [f32],
) {
    check_shapes(width, gate_up, dout);
    check_shapes(width, dgate_up, out);
    assert_eq!(out.len(), dout.len(), "out and dout differ in size");
    cpu::backward(kernels, width, gate_up, dout, dgate_up, out);
}

fn check_shapes(width: usize, gate_up: &[f32], out: &[f32]) {
    assert!(out.len().is_multiple_of(width), "{} is not [T, {width}]", out.len());
    assert_eq!(gate_up.len(), 2 * out.len(), "gate_up is not [T, 2 * {width}]");
}

/// The naive version in f64: the specification of the kernels.
pub mod reference {
    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// out for one pair.
    pub fn forward(gate: f64, up: f64) -> f64 {
        gate * sigmoid(gate) * up
    }

    /// (dgate, dup) for one pair.
    pub fn backward(gate: f64, up: f64, dout: f64) -> (f64, f64) {
        let sigma = sigmoid(gate);
        (dout * up * sigma * (1.0 + gate * (1.0 - sigma)), dout * gate * sigma)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Precision;
    use crate::testing::{
        check, check_gradient, check_same_bits, kernels, sum_bound, values, wide,
    };

    #[test]
    fn the_reference_has_the_right_gradient() {
        for (gate, up, dout) in [(0.0, 1.5, 1.0), (-3.0, 0.7, -2.0), (2.5, -1.0, 0.3)] {
            let (dgate, dup) = reference::backward(gate, up, dout);
            check_gradient("swiglu", &[gate, up], &[dgate, dup], |x| {
                dout * reference::forward(x[0], x[1])
            });
        }
    }

    #[test]
    fn kernels_follow_the_reference() {
        for (positions, width) in [(0, 3), (1, 1), (2, 7), (3, 33), (2, 65), (1, 127)] {
            let gate_up: Vec<f32> =
                values(1, 2 * positions * width).iter().map(|x| 3.0 * x).collect();
            let dout = values(2, positions * width);
            let pair = |i: usize| {
                let at = i / width * 2 * width + i % width;
                (f64::from(gate_up[at]), f64::from(gate_up[at + width]))
            };
            let all = 0..positions * width;
            let expected: Vec<f64> =
                all.clone().map(|i| reference::forward(pair(i).0, pair(i).1)).collect();
            let mut expected_gradients = vec![0.0; gate_up.len()];
            for (i, dout) in wide(&dout).into_iter().enumerate() {
                let (dgate, dup) = reference::backward(pair(i).0, pair(i).1, dout);
                let at = i / width * 2 * width + i % width;
                (expected_gradients[at], expected_gradients[at + width]) = (dgate, dup);
            }
            let mut first: Option<[Vec<f32>; 2]> = None;
            for kernels in kernels(Precision::F32) {
                let what = format!("swiglu [{positions}, {width}] {}", kernels.isa().name());
                let mut out = vec![f32::NAN; positions * width];
                forward(kernels, width, &gate_up, &mut out);
                let mut gradients = vec![f32::NAN; gate_up.len()];
                let mut again = vec![f32::NAN; out.len()];
                backward(kernels, width, &gate_up, &dout, &mut gradients, &mut again);
                check_same_bits(&what, &again, &out);
                check(&what, &out, &expected, |i| sum_bound(4, expected[i].abs()));
                // 1 + g (1 - σ) may cancel; its terms are at most 1 + |g|.
                check(&format!("{what} d"), &gradients, &expected_gradients, |i| {
                    let row = i / (2 * width) * width + i % width;
                    let (gate, up) = pair(row);
                    let scale = (1.0 + gate.abs()) * (gate.abs() + up.abs());
                    sum_bound(4, scale * f64::from(dout[row]).abs())
                });
                let first = first.get_or_insert([out.clone(), gradients.clone()]);
                check_same_bits(&what, &out, &first[0]);
                check_same_bits(&what, &gradients, &first[1]);
            }
        }
    }

    #[test]
    fn extreme_gates_stay_finite() {
        let gate_up = [-1e30, 1e30, -100.0, 100.0, 1.0, 1.0, 1.0, 1.0];
        for kernels in kernels(Precision::F32) {
            let (mut out, mut gradients) = ([0.0; 4], [0.0; 8]);
            backward(kernels, 4, &gate_up, &[1.0; 4], &mut gradients, &mut out);
            assert!(out.iter().chain(&gradients).all(|x| x.is_finite()), "{out:?} {gradients:?}");
        }
    }
}
