//! The AdamW step, and the sums over parameters that surround it.
//!
//! **Shapes.** Parameters w, moments m and v, gradient g: slices of one length, any part of a
//! tensor.
//!
//! **Forward.** With g' = s g, where s is the gradient scale (mean over tokens, clipping):
//! m ← β₁ m + (1 - β₁) g', v ← β₂ v + (1 - β₂) g'²,
//! w ← w - lr (m / c₁ / (√(v / c₂) + ε) + λ w), with the bias corrections c = 1 - β^step.
//! This is AdamW as in Optax and Levanter: ε outside of the root, decay λ scaled by lr.
//!
//! **Backward.** None.
//!
//! **Saved for backward.** m and v are the optimizer's state.
//!
//! **Cost.** 15 FLOPs and 28 bytes for each parameter: bound by memory.
//!
//! **Precision.** f32, elementwise, divisions and roots correctly rounded.

mod cpu;

use crate::isa::Kernels;

/// The numbers of one optimizer step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// The learning rate of this step.
    pub lr: f32,
    /// The decay of the first moment.
    pub beta1: f32,
    /// The decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// The weight decay λ; with 0 its term is left out.
    pub weight_decay: f32,
    /// 1 - beta1^step, steps counted from 1.
    pub bias_correction1: f32,
    /// 1 - beta2^step.
    pub bias_correction2: f32,
    /// What the gradient is multiplied with first.
    pub gradient_scale: f32,
}

/// One step: updates `w`, `m` and `v` from the gradient `g`.
pub fn step(
    kernels: Kernels,
    w: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    g: &[f32],
    update: &Update,
) {
    let lengths = [w.len(), m.len(), v.len(), g.len()];
    assert!(lengths.iter().all(|len| *len == g.len()), "w, m, v, g differ in size: {lengths:?}");
    cpu::step(kernels, w, m, v, g, update);
}

/// The sum of squares, in f64, in an order that depends on the length only.
pub fn sum_squares(kernels: Kernels, values: &[f32]) -> f64 {
    cpu::sum_squares(kernels, values)
}

/// Adds `source` to `sum`, elementwise: the reduction over lanes.
pub fn add_assign(kernels: Kernels, sum: &mut [f32], source: &[f32]) {
    assert_eq!(sum.len(), source.len(), "sum and source differ in size");
    cpu::add_assign(kernels, sum, source);
}
