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

/// The naive version in f64: the specification of the kernels.
pub mod reference {
    /// Returns out.
    pub fn forward(table: &[f64], width: usize, tokens: &[u32]) -> Vec<f64> {
        let row = |token: &u32| &table[*token as usize * width..][..width];
        tokens.iter().flat_map(row).copied().collect()
    }

    /// Adds to `dtable`.
    pub fn backward(tokens: &[u32], dout: &[f64], dtable: &mut [f64]) {
        let width = dout.len() / tokens.len().max(1);
        for (i, dout) in dout.iter().enumerate() {
            dtable[tokens[i / width] as usize * width + i % width] += dout;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Precision;
    use crate::testing::{check, check_gradient, kernels, sum_bound, values, wide};

    #[test]
    fn the_reference_has_the_right_gradient() {
        let (table, tokens, dout) = (wide(&values(1, 12)), [2, 0, 2], wide(&values(2, 9)));
        let mut dtable = vec![0.0; 12];
        reference::backward(&tokens, &dout, &mut dtable);
        check_gradient("embedding", &table, &dtable, |table| {
            let out = reference::forward(table, 3, &tokens);
            out.iter().zip(&dout).map(|(out, dout)| out * dout).sum()
        });
    }

    #[test]
    fn kernels_follow_the_reference() {
        for (positions, width) in [(0, 1), (1, 7), (65, 33), (7, 127)] {
            let tokens: Vec<u32> = (0..positions as u32).map(|t| t * t % 5).collect();
            let (table, dout) = (values(1, 5 * width), values(2, positions * width));
            for kernels in kernels(Precision::F32) {
                let mut out = vec![f32::NAN; positions * width];
                forward(kernels, &table, &tokens, &mut out);
                check(
                    "embedding",
                    &out,
                    &reference::forward(&wide(&table), width, &tokens),
                    |_| 0.0,
                );
                let (mut dtable, mut expected) = (table.clone(), wide(&table));
                backward(kernels, &tokens, &dout, &mut dtable);
                reference::backward(&tokens, &wide(&dout), &mut expected);
                check("embedding d", &dtable, &expected, |_| sum_bound(positions, 3.0 * 14.0));
            }
        }
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn a_token_outside_of_the_table_panics() {
        let kernels = Kernels::new(crate::isa::Isa::Portable, crate::isa::Precision::F32);
        forward(kernels, &[0.0; 4], &[2], &mut [0.0; 2]);
    }
}
