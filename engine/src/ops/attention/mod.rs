//! Causal attention with grouped key and value heads, forward and backward, one sequence at a time.
//!
//! **Shapes.** qkv `[T, (H + 2 G) D]`: in each row H query heads, then G key heads, then G value
//! heads, queries and keys already rotated; o `[T, H D]`; lse `[H, T]`. T positions, H heads,
//! G key-value heads (H is a multiple of G; query heads h with equal h / (H / G) share one),
//! D head width.
//!
//! **Forward.** Position t attends to the positions s in starts_t ..= t (starts is 0 without
//! documents): p_ts = exp(τ q_t·k_s - lse_t) with τ = D^(-1/2) and lse_t = log Σ_s exp(τ q_t·k_s);
//! o_t = Σ_s p_ts v_s.
//!
//! **Backward.** dp_ts = do_t·v_s; softmax gives dlogit_ts = p_ts (dp_ts - Σ_r p_tr dp_tr), and the
//! sum is Σ_r p_tr do_t·v_r = do_t·o_t =: δ_t, so that no row has to be kept. With
//! ds_ts = τ p_ts (dp_ts - δ_t): dq_t = Σ_s ds_ts k_s, dk_s = Σ_t ds_ts q_t, dv_s = Σ_t p_ts do_t;
//! dk and dv are sums over the query heads of the group, in order.
//!
//! **Saved for backward.** qkv, o and lse, by the caller. Probabilities are computed again.
//!
//! **Cost.** 2 T² H D FLOPs forward and 5 T² H D backward (half of the square is masked), and
//! T² H / 2 exponentials in each.
//!
//! **Precision.** Scores, softmax and sums in f32; in bf16 the operands q, k, v, do, p and ds of
//! the products are rounded. Forward, p is rounded before it is divided by its row's sum.

mod cpu;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::buffer::Scratch;
use crate::isa::Kernels;

/// The sizes of one sequence's attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// T.
    pub positions: usize,
    /// H, the query heads.
    pub heads: usize,
    /// G, the key and value heads.
    pub kv_heads: usize,
    /// D.
    pub head_dim: usize,
}

impl AttentionShape {
    /// The columns of qkv: (H + 2 G) D.
    pub fn qkv_width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// The columns of o: H D.
    pub fn output_width(&self) -> usize {
        self.heads * self.head_dim
    }

    fn check(&self, qkv: &[f32], starts: Option<&[u32]>, o: &[f32], lse: &[f32]) {
        let t = self.positions;
        assert!(self.heads.is_multiple_of(self.kv_heads), "heads do not divide: {self:?}");
        assert_eq!(qkv.len(), t * self.qkv_width(), "qkv for {self:?}");
        assert_eq!(o.len(), t * self.output_width(), "o for {self:?}");
        assert_eq!(lse.len(), t * self.heads, "lse for {self:?}");
        if let Some(starts) = starts {
            assert_eq!(starts.len(), t, "starts for {self:?}");
            let after = starts.iter().enumerate().find(|(t, start)| **start as usize > *t);
            assert_eq!(after, None, "a position starts after itself");
        }
    }
}

/// What the forward pass read and wrote, for the backward pass.
#[derive(Clone, Copy)]
pub struct Saved<'a> {
    /// The input of the forward pass.
    pub qkv: &'a [f32],
    /// Its document starts.
    pub starts: Option<&'a [u32]>,
    /// Its output.
    pub o: &'a [f32],
    /// Its logarithms of the sums of exponentials.
    pub lse: &'a [f32],
}

/// Bytes of scratch for both directions.
pub fn scratch_bytes(kernels: Kernels, shape: AttentionShape) -> usize {
    cpu::scratch_bytes(kernels, shape)
}

/// Overwrites `o` and `lse`. With `starts`, position t attends only to starts[t] ..= t, so that
/// documents packed into one sequence do not see each other.
pub fn forward(
    kernels: Kernels,
    shape: AttentionShape,
    qkv: &[f32],
    starts: Option<&[u32]>,
    o: &mut [f32],
    lse: &mut [f32],
    scratch: &mut Scratch,
) {
    shape.check(qkv, starts, o, lse);
    let cut = scratch.cut("attention forward", scratch_bytes(kernels, shape));
    cpu::forward(kernels, shape, qkv, starts, [o, lse], cut);
}

/// Overwrites `dqkv` with the gradient of qkv, from the gradient `d_o` of the output.
pub fn backward(
    kernels: Kernels,
    shape: AttentionShape,
    saved: Saved<'_>,
    d_o: &[f32],
    dqkv: &mut [f32],
    scratch: &mut Scratch,
) {
    shape.check(saved.qkv, saved.starts, saved.o, saved.lse);
    assert_eq!(d_o.len(), saved.o.len(), "d_o for {shape:?}");
    assert_eq!(dqkv.len(), saved.qkv.len(), "dqkv for {shape:?}");
    let cut = scratch.cut("attention backward", scratch_bytes(kernels, shape));
    cpu::backward(kernels, shape, saved, d_o, dqkv, cut);
}
