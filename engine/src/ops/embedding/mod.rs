//! Rows of a table by token.
//!
//! **Shapes.** table `[V, C]`; tokens `[T]`, each below V; out `[T, C]`. V vocabulary, T
//! positions, C width.
//!
//! **Forward.** out_t = table_{token t}.
//!
//! **Backward.** dtable_{token t} += dout_t, in the order of positions.
//!
//! **Saved for backward.** The tokens, by the caller.
//!
//! **Cost.** No FLOPs forward, T C backward; 8 T C bytes forward, 12 T C backward.
//!
//! **Precision.** f32; a row's sum runs over positions in order.

use crate::isa::{Kernels, multiversion};

/// Overwrites `out` with the rows of the tokens.
///
/// # Panics
/// If a token lies outside of the table.
pub fn forward(kernels: Kernels, table: &[f32], tokens: &[u32], out: &mut [f32]) {
    let width = width(tokens, table, out);
    gather(kernels, width, table, tokens, out);
}

/// Adds the gradients of the rows to `dtable`.
///
/// # Panics
/// If a token lies outside of the table.
pub fn backward(kernels: Kernels, tokens: &[u32], dout: &[f32], dtable: &mut [f32]) {
    let width = width(tokens, dtable, dout);
    scatter(kernels, width, tokens, dout, dtable);
}

fn width(tokens: &[u32], table: &[f32], out: &[f32]) -> usize {
    if tokens.is_empty() {
        assert!(out.is_empty(), "no tokens, but {} elements of out", out.len());
        return 1;
    }
    assert!(out.len().is_multiple_of(tokens.len()), "{} is not [{}, C]", out.len(), tokens.len());
    let width = out.len() / tokens.len();
    assert!(table.len().is_multiple_of(width), "table of {} is not [V, {width}]", table.len());
    width
}

multiversion! {
    fn gather(width: usize, table: &[f32], tokens: &[u32], out: &mut [f32]) {
        for (out, token) in out.chunks_exact_mut(width).zip(tokens) {
            out.copy_from_slice(&table[*token as usize * width..][..width]);
        }
    }
}

multiversion! {
    fn scatter(width: usize, tokens: &[u32], dout: &[f32], dtable: &mut [f32]) {
        for (dout, token) in dout.chunks_exact(width).zip(tokens) {
            let row = &mut dtable[*token as usize * width..][..width];
            for (row, dout) in row.iter_mut().zip(dout) {
                *row += dout;
            }
        }
    }
}
