//! Matrix products: the one kernel under linear layers, attention and the loss.
//!
//! C = A B or C += A B, with A [M, K] read at any strides, B [K, N] packed into panels of 32
//! columns, and C row-major. M rows, K depth, N columns.
//!
//! In f32 each element of C is summed over the depth in order, one fused multiply-add at a time,
//! starting from zero or from C. The depth is never split among sums. So all kernels, and the
//! naive loop, give the same bits.

mod kernel;

use std::ops::Range;

use crate::buffer::{Cutter, cut_bytes};
use crate::isa::{Arithmetic, Kernels, multiversion};

/// Columns of a panel of the packed right operand.
pub(crate) const PANEL: usize = 32;

/// A matrix of f32 at any strides: element (i, j) lies at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix whose rows start `row_stride` apart.
    pub(crate) fn new(
        data: &'a [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Matrix<'a> {
        if rows > 0 && columns > 0 {
            let needed = (rows - 1) * row_stride + columns;
            let fits = needed <= data.len() && (rows == 1 || columns <= row_stride);
            assert!(fits, "{needed} elements of [{rows}, {columns}], not {}", data.len());
        }
        Matrix { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The number of rows.
    #[inline(always)]
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Row `i` of a matrix that is not transposed.
    #[inline(always)]
    pub(crate) fn row(&self, i: usize) -> &'a [f32] {
        debug_assert_eq!(self.column_stride, 1, "a transposed matrix has no slices of rows");
        &self.data[i * self.row_stride..][..self.columns]
    }

    /// The same elements with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Matrix<'a> {
        Matrix {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// The right operand, packed: a sequence of panels, each `[depth, PANEL]` row-major.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    panels: &'a [f32],
    /// Elements from one panel to the next.
    panel_stride: usize,
    depth: usize,
    columns: usize,
}

impl<'a> Packed<'a> {
    /// Panels that `pack` filled from a matrix `[depth, columns]`.
    pub(crate) fn new(
        kernels: Kernels,
        panels: &'a [f32],
        depth: usize,
        columns: usize,
    ) -> Packed<'a> {
        let needed = packed_len(kernels, depth, columns);
        assert_eq!(panels.len(), needed, "not the panels of a matrix [{depth}, {columns}]");
        Packed { panels, panel_stride: depth * PANEL, depth, columns }
    }

    /// Only these columns; they start at a multiple of 32.
    pub(crate) fn columns(self, range: Range<usize>) -> Packed<'a> {
        assert!(range.start.is_multiple_of(PANEL) && range.end <= self.columns, "{range:?}");
        let panels = &self.panels[range.start / PANEL * self.panel_stride..];
        Packed { panels, columns: range.len(), ..self }
    }

    /// Only this part of the depth; it starts at a multiple of 32.
    pub(crate) fn depth(self, range: Range<usize>) -> Packed<'a> {
        assert!(range.start.is_multiple_of(PANEL) && range.end <= self.depth, "{range:?}");
        let panels = &self.panels[range.start * PANEL..];
        Packed { panels, depth: range.len(), ..self }
    }
}

/// Where a product goes: a row-major matrix whose rows start `row_stride` apart.
pub(crate) struct Out<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) row_stride: usize,
    /// Whether the product is added to what is there.
    pub(crate) add: bool,
}

/// How many f32 the panels of a matrix `[depth, columns]` take.
pub(crate) fn packed_len(kernels: Kernels, depth: usize, columns: usize) -> usize {
    let _ = kernels;
    columns.next_multiple_of(PANEL) * depth
}

/// Packs a matrix `[depth, columns]` into panels, rounding as the arithmetic asks.
pub(crate) fn pack(kernels: Kernels, matrix: Matrix<'_>, panels: &mut [f32]) {
    assert_eq!(panels.len(), packed_len(kernels, matrix.rows, matrix.columns), "panels");
    pack_panels(kernels, &matrix, kernels.arithmetic() != Arithmetic::F32, panels);
}

/// Bytes of scratch that `multiply` takes for a left operand `[rows, depth]`.
pub(crate) fn scratch_bytes(kernels: Kernels, rows: usize, depth: usize) -> usize {
    match kernels.arithmetic() {
        Arithmetic::F32 => 0,
        _ => cut_bytes(rows * depth),
    }
}

/// C = A B or C += A B.
pub(crate) fn multiply(
    kernels: Kernels,
    left: Matrix<'_>,
    right: Packed<'_>,
    out: Out<'_>,
    mut scratch: Cutter<'_>,
) {
    assert_eq!(left.columns, right.depth, "the depths of a product differ");
    let (rows, depth) = (left.rows, left.columns);
    if rows == 0 || right.columns == 0 {
        return;
    }
    let needed = (rows - 1) * out.row_stride + right.columns;
    assert!(needed <= out.data.len(), "a product of {needed} elements in {}", out.data.len());
    if kernels.arithmetic() == Arithmetic::F32 {
        kernel::run(kernels, &left, &right, out);
    } else {
        let rounded = scratch.floats(rows * depth);
        round_rows(kernels, &left, rounded);
        kernel::run(kernels, &Matrix::new(rounded, rows, depth, depth), &right, out);
    }
}

/// Rounds to bf16, to nearest, ties to even; NaN stays NaN.
#[inline(always)]
pub(crate) fn round_to_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    f32::from_bits(if x.is_nan() { bits | 0x0040_0000 } else { rounded })
}

multiversion! {
    fn pack_panels(matrix: &Matrix<'_>, round: bool, panels: &mut [f32]) {
        let depth = matrix.rows;
        for (index, panel) in panels.chunks_exact_mut((depth * PANEL).max(1)).enumerate() {
            let columns = PANEL.min(matrix.columns - index * PANEL);
            for (k, row) in panel.chunks_exact_mut(PANEL).enumerate() {
                let start = k * matrix.row_stride + index * PANEL * matrix.column_stride;
                for (j, x) in row.iter_mut().enumerate() {
                    *x = if j < columns {
                        let x = matrix.data[start + j * matrix.column_stride];
                        if round { round_to_bf16(x) } else { x }
                    } else {
                        0.0
                    };
                }
            }
        }
    }
}

multiversion! {
    fn round_rows(matrix: &Matrix<'_>, rounded: &mut [f32]) {
        for (i, row) in rounded.chunks_exact_mut(matrix.columns.max(1)).enumerate() {
            for (j, x) in row.iter_mut().enumerate() {
                let at = i * matrix.row_stride + j * matrix.column_stride;
                *x = round_to_bf16(matrix.data[at]);
            }
        }
    }
}
