//! The loops of a product over blocks, panels and strips.
//!
//! A block of the left operand, 264 rows by 256 units of depth, is copied into strips, which stay
//! in the second-level cache. Each panel of the right operand is then read once from wherever it
//! lies, and multiplied with all strips while it stays in the first-level cache.

use std::ops::Range;

use super::left::{self, BLOCK_ROWS, Layout, STRIP_LEN, STRIP_ROWS, STRIP_UNITS};
use super::tile::Tile;
use super::units::Unit;
use super::{Matrix, Out, PANEL, Packed, portable};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::isa::{Arithmetic, Isa, Kernels};

/// From this many f32 on, C is fetched ahead: it hardly stays in the second-level cache.
const FAR: usize = 1 << 16;

/// The f32 that the strips of a left operand of `rows` rows take.
pub(super) fn left_len(rows: usize) -> usize {
    left::strips(rows.min(BLOCK_ROWS)) * STRIP_LEN
}

/// C = A B or C += A B, with shapes checked by the caller, in `strips` of `left_len`.
pub(super) fn multiply(
    kernels: Kernels,
    left: Matrix<'_>,
    right: Packed<'_>,
    out: Out<'_>,
    strips: &mut [f32],
) {
    let unit = Unit::of(kernels).depth();
    let depth = right.depth();
    for first_row in (0..left.rows).step_by(BLOCK_ROWS) {
        let rows = first_row..left.rows.min(first_row + BLOCK_ROWS);
        for from in (0..depth).step_by(STRIP_UNITS * unit) {
            let columns = from..depth.min(from + STRIP_UNITS * unit);
            let strips = &mut strips[..left::strips(rows.len()) * STRIP_LEN];
            left::copy(kernels, &left, rows.clone(), columns.clone(), strips);
            let block = Block {
                layout: Layout::of(&left),
                rows: rows.len(),
                units: columns.len().div_ceil(unit),
                strips,
                add: out.add || from > 0,
                far: out.data.len() > FAR,
            };
            for index in 0..right.width().div_ceil(PANEL) {
                let width = PANEL.min(right.width() - index * PANEL);
                let c = &mut out.data[first_row * out.row_stride + index * PANEL..];
                let panel = right.panel(index, from / unit);
                block.multiply_panel(kernels, panel, width, c, out.row_stride);
            }
        }
    }
}

/// A block of the left operand.
struct Block<'a> {
    layout: Layout,
    rows: usize,
    units: usize,
    strips: &'a [f32],
    add: bool,
    /// Whether C is too large for the second-level cache.
    far: bool,
}

impl Block<'_> {
    /// Multiplies all strips with one panel of `width` columns, into the columns at the start of c.
    fn multiply_panel(
        &self,
        kernels: Kernels,
        panel: &[f32],
        width: usize,
        c: &mut [f32],
        c_stride: usize,
    ) {
        assert!(panel.len() >= self.units * PANEL && self.units <= STRIP_UNITS);
        let strips = self.strips.chunks_exact(STRIP_LEN);
        for (rows, strip) in left::strip_rows(self.rows).zip(strips) {
            let c = &mut c[rows.start * c_stride..];
            assert!(c.len() >= (rows.len() - 1) * c_stride + width && rows.len() <= STRIP_ROWS);
            let tile = Tile {
                layout: self.layout,
                rows: rows.len(),
                units: self.units,
                a: strip.as_ptr(),
                b: panel.as_ptr(),
                c: c.as_mut_ptr(),
                c_stride,
                add: self.add,
            };
            if self.far {
                // The next tile starts from the rows below.
                prefetch(&tile, tile.rows..tile.rows + STRIP_ROWS);
            }
            if width == PANEL {
                // SAFETY: the strip and the panel hold `units` units of depth as just asserted,
                // and c has `rows` rows of PANEL elements.
                unsafe { multiply_tile(kernels, &tile) };
            } else {
                edge(kernels, &tile, width, c);
            }
        }
    }
}

/// Asks for the cache lines of some rows of C, which need not exist: measured, 10 % where C is
/// large, as the gradients of weights are.
fn prefetch(tile: &Tile, rows: Range<usize>) {
    #[cfg(target_arch = "x86_64")]
    for i in rows {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let row = tile.c.wrapping_add(i * tile.c_stride);
        // SAFETY: a prefetch has no effect on memory, and none at all at an invalid address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(row.cast());
            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(PANEL / 2).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (tile, rows);
}

/// A tile at the right edge of C: by way of a whole tile.
fn edge(kernels: Kernels, tile: &Tile, width: usize, c: &mut [f32]) {
    let mut whole = [0.0; STRIP_ROWS * PANEL];
    let rows = || c_rows(tile.rows, tile.c_stride, width);
    if tile.add {
        for (range, whole) in rows().zip(whole.chunks_exact_mut(PANEL)) {
            whole[..width].copy_from_slice(&c[range]);
        }
    }
    let tile = Tile { c: whole.as_mut_ptr(), c_stride: PANEL, ..*tile };
    // SAFETY: as for the tile that was given, and `whole` has STRIP_ROWS rows of PANEL elements.
    unsafe { multiply_tile(kernels, &tile) };
    for (range, whole) in rows().zip(whole.chunks_exact(PANEL)) {
        c[range].copy_from_slice(&whole[..width]);
    }
}

fn c_rows(rows: usize, stride: usize, width: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).map(move |i| i * stride..i * stride + width)
}

/// Computes one tile.
///
/// # Safety
/// The pointers of the tile are valid as its documentation says.
unsafe fn multiply_tile(kernels: Kernels, tile: &Tile) {
    // SAFETY: the caller vouches for the tile, and `Kernels` for the instruction set.
    unsafe {
        match (kernels.arithmetic(), kernels.isa()) {
            #[cfg(target_arch = "x86_64")]
            (Arithmetic::Bf16Dot, _) => avx512::multiply_pairs(tile),
            (_, Isa::Portable) => portable::multiply(tile),
            #[cfg(target_arch = "x86_64")]
            (_, Isa::Avx2) => avx2::multiply(tile),
            #[cfg(target_arch = "x86_64")]
            (_, Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx) => avx512::multiply(tile),
            #[cfg(not(target_arch = "x86_64"))]
            _ => unreachable!("kernels of another architecture"),
        }
    }
}
