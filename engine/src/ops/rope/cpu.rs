//! The vectorized kernel of the rotary position embedding.

use super::RopeTable;
use crate::isa::multiversion;

multiversion! {
    /// Rotates by the angles of the table times `sign`.
    pub(super) fn rotate(
        table: &RopeTable,
        sign: f32,
        matrix: &mut [f32],
        row_stride: usize,
        heads: usize,
    ) {
        let pairs = table.head_dim / 2;
        for (t, row) in matrix.chunks_exact_mut(row_stride).enumerate() {
            let cosines = &table.cosines[t * pairs..][..pairs];
            let sines = &table.sines[t * pairs..][..pairs];
            for head in row.chunks_exact_mut(2 * pairs).take(heads) {
                let (first, second) = head.split_at_mut(pairs);
                for i in 0..pairs {
                    let (a, b, sine) = (first[i], second[i], sign * sines[i]);
                    first[i] = a.mul_add(cosines[i], -b * sine);
                    second[i] = b.mul_add(cosines[i], a * sine);
                }
            }
        }
    }
}
