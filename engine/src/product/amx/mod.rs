//! Products on the tiles of AMX: bf16 operands, 32 rows by 32 columns of f32 sums at a time.
//!
//! A tile has 16 rows of 64 bytes. Four tiles hold sums, two hold 32 rows of the left operand and
//! two hold 32 columns of the right one, each over 32 of the depth. The left operand is copied into
//! such tiles; panels of the right operand are read as they are.
//!
//! `tdpbf16ps` sums the products of first and of second halves of the pairs separately over its 32
//! of the depth, by fused multiply-adds from zero, and adds both and then their sum to what is in
//! the tile; subnormal numbers are taken and left as zero. So the bits depend on the depth only.

#[cfg(test)]
pub(crate) mod emulator;

use std::arch::asm;
use std::ops::Range;

use super::transpose::transposed;
use super::units::{BLOCK, Unit};
use super::{Matrix, Out, PANEL, Packed};
use crate::isa::{Kernels, multiversion};

/// Rows of the left operand in a strip: two tiles.
const STRIP_ROWS: usize = 32;

/// Rows of the left operand in a block; with the most depth, 256 KiB.
const BLOCK_ROWS: usize = 8 * STRIP_ROWS;

/// The most units of depth in a block: a panel of B then has 32 KiB, of the 48 of the first-level
/// cache.
const BLOCK_UNITS: usize = 256;

/// f32-sized units in a tile.
const TILE: usize = BLOCK * BLOCK;

/// Units of depth that the right operand's panels are padded to: one step of a tile product.
pub(super) const STEP_UNITS: usize = BLOCK;

/// The f32 that the strips of a left operand `[rows, depth]` take.
pub(super) fn left_len(rows: usize, depth: usize) -> usize {
    let units = depth.div_ceil(Unit::Pair.depth()).next_multiple_of(STEP_UNITS);
    rows.min(BLOCK_ROWS).next_multiple_of(STRIP_ROWS) * units.min(BLOCK_UNITS)
}

/// C = A B or C += A B, with shapes checked by the caller, in `strips` of `left_len`.
pub(super) fn multiply(
    kernels: Kernels,
    left: Matrix<'_>,
    right: Packed<'_>,
    out: Out<'_>,
    strips: &mut [f32],
) {
    let step = BLOCK_UNITS * Unit::Pair.depth();
    for first_row in (0..left.rows).step_by(BLOCK_ROWS) {
        let rows = first_row..left.rows.min(first_row + BLOCK_ROWS);
        for from in (0..right.depth()).step_by(step) {
            let columns = from..right.depth().min(from + step);
            let steps = columns.len().div_ceil(STEP_UNITS * Unit::Pair.depth());
            let strip_len = 2 * TILE * steps;
            let strips = &mut strips[..rows.len().div_ceil(STRIP_ROWS) * strip_len];
            if left.column_stride == 1 {
                copy_rows(kernels, &left, rows.clone(), columns, strip_len, strips);
            } else {
                copy_columns(kernels, kernels, &left, rows.clone(), columns, strip_len, strips);
            }
            let block = Block { rows: rows.len(), steps, strips, add: out.add || from > 0 };
            for index in 0..right.width().div_ceil(PANEL) {
                let width = PANEL.min(right.width() - index * PANEL);
                let panel = right.panel(index, from / Unit::Pair.depth());
                let c = &mut out.data[first_row * out.row_stride + index * PANEL..];
                block.multiply_panel(panel, width, c, out.row_stride);
            }
        }
    }
}

multiversion! {
    /// Copies a matrix whose rows are contiguous into tiles.
    fn copy_rows(
        matrix: &Matrix<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
        strip_len: usize,
        strips: &mut [f32],
    ) {
        let step = STEP_UNITS * Unit::Pair.depth();
        let strips = strips.chunks_exact_mut(strip_len);
        for (strip, first) in strips.zip(rows.clone().step_by(STRIP_ROWS)) {
            for i in 0..STRIP_ROWS {
                let start = (first + i) * matrix.row_stride;
                for (s, tiles) in strip.chunks_exact_mut(2 * TILE).enumerate() {
                    let from = columns.start + s * step;
                    let to = columns.end.min(from + step);
                    let units = if first + i < rows.end {
                        Unit::Pair.row(&matrix.data[start + from..start + to])
                    } else {
                        [0.0; BLOCK]
                    };
                    tiles[i * BLOCK..][..BLOCK].copy_from_slice(&units);
                }
            }
        }
    }
}

multiversion! {
    /// Copies a matrix whose columns are contiguous into tiles, by way of transposed blocks.
    fn copy_columns(
        kernels: Kernels,
        matrix: &Matrix<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
        strip_len: usize,
        strips: &mut [f32],
    ) {
        let strips = strips.chunks_exact_mut(strip_len);
        for (strip, first) in strips.zip(rows.clone().step_by(STRIP_ROWS)) {
            for (at, tile) in strip.chunks_exact_mut(TILE).enumerate() {
                let (s, half) = (at / 2, at % 2);
                let tile_rows = first + half * BLOCK..rows.end.min(first + (half + 1) * BLOCK);
                let mut block = [[0.0; BLOCK]; BLOCK];
                for (u, units) in block.iter_mut().enumerate() {
                    let k = columns.start + (s * STEP_UNITS + u) * Unit::Pair.depth();
                    if k >= columns.end || tile_rows.is_empty() {
                        continue;
                    }
                    let column = |k: usize| {
                        let start = k * matrix.column_stride + tile_rows.start;
                        &matrix.data[start..][..tile_rows.len()]
                    };
                    let next = (k + 1 < columns.end).then(|| column(k + 1));
                    Unit::Pair.across(column(k), next, &mut units[..tile_rows.len()]);
                }
                for (row, units) in tile.chunks_exact_mut(BLOCK).zip(&transposed(kernels, &block)) {
                    row.copy_from_slice(units);
                }
            }
        }
    }
}

/// A block of the left operand, in tiles.
struct Block<'a> {
    rows: usize,
    /// Tile products over the depth.
    steps: usize,
    strips: &'a [f32],
    add: bool,
}

impl Block<'_> {
    /// Multiplies all strips with one panel of `width` columns, into the columns at the start of c.
    fn multiply_panel(&self, panel: &[f32], width: usize, c: &mut [f32], c_stride: usize) {
        let strip_len = self.steps * 2 * TILE;
        let whole = if width == PANEL { self.rows / STRIP_ROWS } else { 0 };
        assert!(panel.len() >= self.steps * STEP_UNITS * PANEL);
        if whole > 0 {
            let (strips, c_len) = (&self.strips[..whole * strip_len], whole * STRIP_ROWS);
            assert!(c.len() >= (c_len - 1) * c_stride + PANEL);
            let session = Session {
                strips: whole,
                steps: self.steps,
                a: strips.as_ptr(),
                b: panel.as_ptr(),
                c: c.as_mut_ptr(),
                c_stride,
                add: self.add,
            };
            // SAFETY: the sizes are as just asserted, and only AMX kernels come here.
            unsafe { session.run() };
        }
        for index in whole..self.rows.div_ceil(STRIP_ROWS) {
            let rows = STRIP_ROWS.min(self.rows - index * STRIP_ROWS);
            let strip = &self.strips[index * strip_len..][..strip_len];
            let c = &mut c[index * STRIP_ROWS * c_stride..];
            self.multiply_edge(strip, panel, [rows, width], c, c_stride);
        }
    }

    /// Multiplies one strip at an edge of C: by way of a whole tile.
    fn multiply_edge(
        &self,
        strip: &[f32],
        panel: &[f32],
        [rows, width]: [usize; 2],
        c: &mut [f32],
        c_stride: usize,
    ) {
        let mut whole = [0.0; STRIP_ROWS * PANEL];
        let ranges = || (0..rows).map(|i| i * c_stride..i * c_stride + width);
        if self.add {
            for (range, whole) in ranges().zip(whole.chunks_exact_mut(PANEL)) {
                whole[..width].copy_from_slice(&c[range]);
            }
        }
        assert!(strip.len() >= self.steps * 2 * TILE && panel.len() >= self.steps * 2 * TILE);
        let session = Session {
            strips: 1,
            steps: self.steps,
            a: strip.as_ptr(),
            b: panel.as_ptr(),
            c: whole.as_mut_ptr(),
            c_stride: PANEL,
            add: self.add,
        };
        // SAFETY: the sizes are as just asserted, and only AMX kernels come here.
        unsafe { session.run() };
        for (range, whole) in ranges().zip(whole.chunks_exact(PANEL)) {
            c[range].copy_from_slice(&whole[..width]);
        }
    }
}

/// Strips times one panel, in one session of the tile unit.
///
/// `a` holds `strips` strips of `steps` times two tiles, `b` holds `steps` times 16 rows of a
/// panel, and `c` points to 32 rows for each strip of `PANEL` writable f32, `c_stride` f32 apart.
struct Session {
    strips: usize,
    steps: usize,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    c_stride: usize,
    add: bool,
}

/// What `ldtilecfg` loads: eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct TileConfiguration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIGURATION: TileConfiguration = TileConfiguration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

impl Session {
    /// C = A B or C += A B.
    ///
    /// All tile state lies within one `asm!` block, so that no call, thread or compiler sees it.
    ///
    /// # Safety
    /// `strips` and `steps` are above zero, the pointers are valid as the documentation of the
    /// type says, and this process may use AMX.
    unsafe fn run(&self) {
        // SAFETY: reads a, b and the configuration, and reads and writes c, within the bounds for
        // which the caller vouches.
        unsafe {
            asm!(
                "ldtilecfg [{configuration}]",
                // For each strip: the sums start from zero or from C.
                "2:",
                "lea {c_below}, [{c} + {c_half}]",
                "test {add:e}, {add:e}",
                "jnz 3f",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "jmp 4f",
                "3:",
                "tileloadd tmm0, [{c} + {c_row}]",
                "tileloadd tmm1, [{c} + {c_row} + 64]",
                "tileloadd tmm2, [{c_below} + {c_row}]",
                "tileloadd tmm3, [{c_below} + {c_row} + 64]",
                "4:",
                "mov {b_step}, {b}",
                "mov {step}, {steps}",
                // For each 32 of the depth: two tiles of A by two of B.
                "5:",
                "tileloadd tmm4, [{a} + {a_row}]",
                "tileloadd tmm6, [{b_step} + {a_row} * 2]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b_step} + {a_row} * 2 + 64]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{a} + {a_row} + 1024]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a}, 2048",
                "add {b_step}, 2048",
                "dec {step}",
                "jnz 5b",
                "tilestored [{c} + {c_row}], tmm0",
                "tilestored [{c} + {c_row} + 64], tmm1",
                "tilestored [{c_below} + {c_row}], tmm2",
                "tilestored [{c_below} + {c_row} + 64], tmm3",
                "lea {c}, [{c_below} + {c_half}]",
                "dec {strips}",
                "jnz 2b",
                "tilerelease",
                configuration = in(reg) &raw const CONFIGURATION,
                strips = inout(reg) self.strips => _,
                steps = in(reg) self.steps,
                step = out(reg) _,
                a = inout(reg) self.a => _,
                a_row = in(reg) 64_usize,
                b = in(reg) self.b,
                b_step = out(reg) _,
                c = inout(reg) self.c => _,
                c_below = out(reg) _,
                c_row = in(reg) self.c_stride * size_of::<f32>(),
                c_half = in(reg) self.c_stride * size_of::<f32>() * BLOCK,
                add = in(reg) u32::from(self.add),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

/// Four products of tiles in each of `rounds` rounds, on registers only: for measuring the peak.
///
/// # Safety
/// This process may use AMX.
pub(crate) unsafe fn multiply_registers(rounds: usize) {
    if rounds == 0 {
        return;
    }
    // SAFETY: reads the configuration only, which zeroes the tiles; the caller vouches for AMX.
    unsafe {
        asm!(
            "ldtilecfg [{configuration}]",
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {rounds}",
            "jnz 2b",
            "tilerelease",
            configuration = in(reg) &raw const CONFIGURATION,
            rounds = inout(reg) rounds => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
