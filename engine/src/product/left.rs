//! The left operand, copied into strips of at most 12 rows that the tile kernels read.
//!
//! The copy costs a few percent and makes the kernels independent of strides: rows that lie a
//! power of two apart would fall into the same set of the first-level cache.

use std::ops::Range;

use super::Matrix;
use super::units::Unit;
use crate::isa::{Kernels, multiversion};

/// The most rows in a strip: with two vectors a row, 24 sums, two of B and one of A fit into the
/// registers of AVX-512.
pub(super) const STRIP_ROWS: usize = 12;

/// The most units of depth in a strip: a panel of B then has 32 KiB and stays in the first-level cache.
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

/// The rows of strip `index` when `rows` rows are spread evenly over the strips.
pub(super) fn strip_rows(rows: usize, index: usize) -> Range<usize> {
    let strips = strips(rows);
    index * rows / strips..(index + 1) * rows / strips
}

/// Copies the columns `columns` of the rows `rows` of a matrix into strips.
pub(super) fn copy(
    kernels: Kernels,
    matrix: &Matrix<'_>,
    rows: Range<usize>,
    columns: Range<usize>,
    strips: &mut [f32],
) {
    let unit = Unit::of(kernels);
    for (index, strip) in strips.chunks_exact_mut(STRIP_LEN).enumerate() {
        let within = strip_rows(rows.len(), index);
        let rows = rows.start + within.start..rows.start + within.end;
        match Layout::of(matrix) {
            Layout::ByRows => copy_rows(kernels, matrix, unit, rows, columns.clone(), strip),
            Layout::ByColumns => copy_columns(kernels, matrix, unit, rows, columns.clone(), strip),
        }
    }
}

multiversion! {
    fn copy_rows(
        matrix: &Matrix<'_>,
        unit: Unit,
        rows: Range<usize>,
        columns: Range<usize>,
        strip: &mut [f32],
    ) {
        let units = columns.len().div_ceil(unit.depth());
        for (row, copy) in rows.zip(strip.chunks_exact_mut(ROW_STRIDE)) {
            let start = row * matrix.row_stride + columns.start;
            unit.along(&matrix.data[start..][..columns.len()], &mut copy[..units]);
        }
    }
}

multiversion! {
    fn copy_columns(
        matrix: &Matrix<'_>,
        unit: Unit,
        rows: Range<usize>,
        columns: Range<usize>,
        strip: &mut [f32],
    ) {
        let units = columns.len().div_ceil(unit.depth());
        let column = |k: usize| &matrix.data[k * matrix.column_stride + rows.start..][..rows.len()];
        for (u, copy) in strip.chunks_exact_mut(STRIP_ROWS).take(units).enumerate() {
            let k = columns.start + u * unit.depth();
            let next = (k + 1 < columns.end && unit == Unit::Pair).then(|| column(k + 1));
            if rows.len() == STRIP_ROWS {
                // A length known to the compiler, as most strips have it.
                let column: &[f32; STRIP_ROWS] = column(k).try_into().expect("the strip's rows");
                unit.across(column, next, copy);
            } else {
                unit.across(column(k), next, &mut copy[..rows.len()]);
            }
        }
    }
}
