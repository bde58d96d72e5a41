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
//! **Saved for backward.** gate_up, by the caller; σ is computed again.
//!
//! **Cost.** About 20 FLOPs an element, of which the exponential is most; 12 T F bytes forward,
//! 20 T F bytes backward.
//!
//! **Precision.** f32, elementwise.

mod cpu;

use crate::isa::Kernels;

/// out = SiLU(gate) up, for hidden width `width`.
pub fn forward(kernels: Kernels, width: usize, gate_up: &[f32], out: &mut [f32]) {
    check_shapes(width, gate_up, out);
    cpu::forward(kernels, width, gate_up, out);
}

/// Overwrites `dgate_up` with the gradients of both halves.
pub fn backward(
    kernels: Kernels,
    width: usize,
    gate_up: &[f32],
    dout: &[f32],
    dgate_up: &mut [f32],
) {
    check_shapes(width, gate_up, dout);
    assert_eq!(dgate_up.len(), gate_up.len(), "dgate_up and gate_up differ in size");
    cpu::backward(kernels, width, gate_up, dout, dgate_up);
}

fn check_shapes(width: usize, gate_up: &[f32], out: &[f32]) {
    assert!(out.len().is_multiple_of(width), "{} is not [T, {width}]", out.len());
    assert_eq!(gate_up.len(), 2 * out.len(), "gate_up is not [T, 2 * {width}]");
}
