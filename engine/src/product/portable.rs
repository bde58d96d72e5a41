//! The tile kernel in plain Rust: the fallback, and the yardstick of the others.

use super::PANEL;
use super::left::{Layout, ROW_STRIDE, STRIP_ROWS};
use super::tile::Tile;

/// Computes one tile.
///
/// # Safety
/// The pointers of the tile are valid as its documentation says.
pub(super) unsafe fn multiply(tile: &Tile) {
    let (row_stride, depth_stride) = match tile.layout {
        Layout::ByRows => (ROW_STRIDE, 1),
        Layout::ByColumns => (1, STRIP_ROWS),
    };
    for i in 0..tile.rows {
        // SAFETY: row i of c has PANEL elements, which nothing else refers to.
        let c = unsafe { &mut *tile.c.add(i * tile.c_stride).cast::<[f32; PANEL]>() };
        let mut sums = if tile.add { *c } else { [0.0; PANEL] };
        for k in 0..tile.units {
            // SAFETY: element (i, k) of the strip and row k of the panel exist.
            let (a, b) = unsafe {
                let a = *tile.a.add(i * row_stride + k * depth_stride);
                (a, &*tile.b.add(k * PANEL).cast::<[f32; PANEL]>())
            };
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = a.mul_add(*b, *sum);
            }
        }
        *c = sums;
    }
}
