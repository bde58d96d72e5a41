//! The product kernel in plain Rust.

use super::{Matrix, Out, PANEL, Packed};
use crate::isa::multiversion;

multiversion! {
    /// C = A B or C += A B.
    pub(super) fn run(left: &Matrix<'_>, right: &Packed<'_>, out: Out<'_>) {
        for panel in 0..right.columns.div_ceil(PANEL) {
            let columns = PANEL.min(right.columns - panel * PANEL);
            let b = &right.panels[panel * right.panel_stride..];
            for i in 0..left.rows {
                let c = &mut out.data[i * out.row_stride + panel * PANEL..][..columns];
                let mut sums = [0.0; PANEL];
                if out.add {
                    sums[..columns].copy_from_slice(c);
                }
                for (k, b) in b.chunks_exact(PANEL).take(right.depth).enumerate() {
                    let a = left.data[i * left.row_stride + k * left.column_stride];
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = a.mul_add(*b, *sum);
                    }
                }
                c.copy_from_slice(&sums[..columns]);
            }
        }
    }
}
