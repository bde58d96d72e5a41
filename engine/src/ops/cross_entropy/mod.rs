//! The output layer and its loss in one: mean -log p(target) without a matrix of all logits.
//!
//! **Shapes.** x `[T, C]`; the head's weights `[V, C]`; targets `[T]`, each below V or
//! [`IGNORED`]; log_probs `[T]`. T positions, C width, V vocabulary.
//!
//! **Forward.** logits = x Wᵀ; log p_t = l_{t,target} - log Σ_j e^{l_tj}; the loss is
//! -Σ_t log p_t over the targets that are not ignored.
//!
//! **Backward.** ∂(-log p_t)/∂l_tj = softmax(l_t)_j - [j = target]. Times the scale s, this is the
//! gradient dl of the logits: dx = dl W, dW += dlᵀ x.
//!
//! **Saved for backward.** Nothing: the backward pass contains the forward pass.
//!
//! **Cost.** 2 T V C FLOPs forward, 6 T V C with gradients, T V exponentials. Rows are taken in
//! blocks whose logits fill about 4 MB, a number of rows that depends on V alone.
//!
//! **Precision.** Logits and softmax in f32, the logarithm and the sum over positions in f64. In
//! bf16 x, W and dl are rounded as operands.

mod cpu;

use crate::buffer::Scratch;
use crate::isa::Kernels;
use crate::ops::linear::LinearWeights;

/// A target that takes no part in the loss.
pub const IGNORED: u32 = u32::MAX;

/// The gradients of the loss, and their scale.
pub struct Gradients<'a> {
    /// What every gradient is multiplied with: 1 / (number of targets in the step), for a mean.
    pub scale: f32,
    /// `[T, C]`, overwritten.
    pub dx: &'a mut [f32],
    /// `[V, C]`, added to.
    pub dhead: &'a mut [f32],
}

/// Bytes of scratch for both functions, with T = `positions`, V = `vocabulary`, C = `width`.
pub fn scratch_bytes(kernels: Kernels, positions: usize, vocabulary: usize, width: usize) -> usize {
    cpu::scratch_bytes(kernels, [positions, vocabulary, width])
}

/// Returns Σ -log p(target) in nats, and overwrites `log_probs` with log p(target), 0 where the
/// target is ignored.
pub fn forward(
    kernels: Kernels,
    x: &[f32],
    head: &LinearWeights,
    targets: &[u32],
    log_probs: &mut [f32],
    scratch: &mut Scratch,
) -> f64 {
    let shape = check_shapes(x, head, targets);
    assert_eq!(log_probs.len(), targets.len(), "log_probs and targets differ in size");
    let [t, v, c] = shape;
    let cut = scratch.cut("cross-entropy forward", scratch_bytes(kernels, t, v, c));
    cpu::forward(kernels, x, head, targets, log_probs, cut)
}

/// Returns Σ -log p(target) in nats, not scaled, and writes the scaled gradients.
pub fn forward_backward(
    kernels: Kernels,
    x: &[f32],
    head: &LinearWeights,
    targets: &[u32],
    gradients: Gradients<'_>,
    scratch: &mut Scratch,
) -> f64 {
    let shape = check_shapes(x, head, targets);
    let [t, v, c] = shape;
    assert_eq!(gradients.dx.len(), x.len(), "dx and x differ in size");
    assert_eq!(gradients.dhead.len(), v * c, "dhead is not [{v}, {c}]");
    let cut = scratch.cut("cross-entropy backward", scratch_bytes(kernels, t, v, c));
    cpu::forward_backward(kernels, x, head, targets, gradients, cut)
}

fn check_shapes(x: &[f32], head: &LinearWeights, targets: &[u32]) -> [usize; 3] {
    let (positions, vocabulary, width) = (targets.len(), head.outputs(), head.inputs());
    assert_eq!(x.len(), positions * width, "x is not [{positions}, {width}]");
    let outside = targets.iter().find(|t| **t != IGNORED && **t as usize >= vocabulary);
    assert_eq!(outside, None, "a target outside of the vocabulary of {vocabulary}");
    [positions, vocabulary, width]
}
