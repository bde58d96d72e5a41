//! The left operand, copied into strips of at most 12 rows that the tile kernels read.
//!
//! The copy costs a few percent and makes the kernels independent of strides: rows that lie a
//! power of two apart would fall into the same set of the first-level cache.

use std::ops::Range;

use super::Matrix;
use super::units::{BLOCK, Unit};
use crate::isa::{Kernels, multiversion};

/// The most rows in a strip: with two vectors a row, 24 sums, two of B and one of A fit into the
/// registers of AVX-512.
pub(super) const STRIP_ROWS: usize = 12;

/// The most rows in a block of strips: with the most depth, 280 KiB of the second-level cache.
pub(super) const BLOCK_ROWS: usize = 22 * STRIP_ROWS;

/// The most units of depth in a strip: a panel of B then has 32 KiB, and stays in the first-level
/// cache.
pub(super) const STRIP_UNITS: usize = 256;

/// From one row to the next in a strip by rows: not a power of two, and whole cache lines.
pub(super) const ROW_STRIDE: usize = STRIP_UNITS + 16;

/// The units of a strip.
pub(super) const STRIP_LEN: usize = STRIP_ROWS * ROW_STRIDE;

/// How elements lie in a strip: as they lie in the source, so that the copy is of whole vectors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Element (i, k) at `i * ROW_STRIDE + k`.
    ByRows,
    /// Element (i, k) at `k * STRIP_ROWS + i`.
    ByColumns,
}

impl Layout {
    /// The layout for a source.
    pub(super) fn of(matrix: &Matrix<'_>) -> Layout {
        if matrix.column_stride == 1 { Layout::ByRows } else { Layout::ByColumns }
    }
}

/// How many strips `rows` rows make.
pub(super) fn strips(rows: usize) -> usize {
    rows.div_ceil(STRIP_ROWS)
}

/// Which rows the strips of `rows` rows have: spread evenly, so that no tile is much smaller.
#[inline(always)]
pub(super) fn strip_rows(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let strips = strips(rows).max(1);
    let (least, larger) = (rows / strips, rows % strips);
    let start = move |index: usize| index * least + index.min(larger);
    (0..strips).map(move |index| start(index)..start(index + 1))
}

/// Copies the columns `columns` of the rows `rows`, at most `BLOCK_ROWS`, of a matrix into strips.
pub(super) fn copy(
    kernels: Kernels,
    matrix: &Matrix<'_>,
    rows: Range<usize>,
    columns: Range<usize>,
    strips: &mut [f32],
) {
    let unit = Unit::of(kernels);
    match Layout::of(matrix) {
        Layout::ByRows => copy_rows(kernels, matrix, unit, rows, columns, strips),
        Layout::ByColumns => copy_columns(kernels, matrix, unit, rows, columns, strips),
    }
}

multiversion! {
    fn copy_rows(
        matrix: &Matrix<'_>,
        unit: Unit,
        rows: Range<usize>,
        columns: Range<usize>,
        strips: &mut [f32],
    ) {
        let units = columns.len().div_ceil(unit.depth());
        let strips = strips.chunks_exact_mut(STRIP_LEN);
        for (within, strip) in strip_rows(rows.len()).zip(strips) {
            for (row, copy) in within.zip(strip.chunks_exact_mut(ROW_STRIDE)) {
                let start = (rows.start + row) * matrix.row_stride + columns.start;
                unit.along(&matrix.data[start..][..columns.len()], &mut copy[..units]);
            }
        }
    }
}

multiversion! {
    /// Column by column over all strips, so that the source is read from front to back.
    fn copy_columns(
        matrix: &Matrix<'_>,
        unit: Unit,
        rows: Range<usize>,
        columns: Range<usize>,
        strips: &mut [f32],
    ) {
        let column = |k: usize| &matrix.data[k * matrix.column_stride + rows.start..][..rows.len()];
        for (u, k) in columns.clone().step_by(unit.depth()).enumerate() {
            let values = column(k);
            let next = (k + 1 < columns.end && unit == Unit::Pair).then(|| column(k + 1));
            let strips = strips.chunks_exact_mut(STRIP_LEN);
            for (within, strip) in strip_rows(rows.len()).zip(strips) {
                // A whole vector is written where a column of 12 units belongs: what is too much
                // lies where the next column will be written, or past the last one.
                let units = strip[u * STRIP_ROWS..].first_chunk_mut::<BLOCK>();
                let units = units.expect("a strip has room past its last column");
                unit.vector(&values[within.start..], next.map(|next| &next[within.start..]), units);
            }
        }
    }
}

// A column of a strip may be written as a whole vector.
const _: () = assert!((STRIP_UNITS - 1) * STRIP_ROWS + BLOCK <= STRIP_LEN);
