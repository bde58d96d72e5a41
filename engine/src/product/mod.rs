//! Matrix products: the one kernel under linear layers, attention and the loss.
//!
//! C = A B or C += A B, with A [M, K] read at any strides, B [K, N] packed into panels of 32
//! columns, and C row-major. M rows, K depth, N columns.
//!
//! In f32 each element of C is summed over the depth in order, one fused multiply-add at a time,
//! starting from zero or from C. The depth is never split among sums; between blocks of the depth
//! the sum rests in C, which loses nothing. So all kernels, and the naive loop, give the same bits.
//!
//! - `left`, `right`: the operands' packed forms, made of `units` of the depth, such as `pairs`.
//! - `blocks`: the loops over blocks and tiles.
//! - `portable`, `avx2`, `avx512`: the kernels of one tile of C.
//! - `amx`: the same on another layout, for the tile unit.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocks;
mod left;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod portable;
mod right;
#[cfg(test)]
mod tests;
mod tile;
mod transpose;
mod units;

pub(crate) use right::{Packed, pack, packed_len};

use crate::buffer::{Cutter, cut_bytes};
use crate::isa::{Arithmetic, Kernels};

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

/// Where a product goes: a row-major matrix whose rows start `row_stride` apart.
pub(crate) struct Out<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) row_stride: usize,
    /// Whether the product is added to what is there.
    pub(crate) add: bool,
}

/// Bytes of scratch that `multiply` takes for a left operand `[rows, depth]`.
pub(crate) fn scratch_bytes(kernels: Kernels, rows: usize, depth: usize) -> usize {
    cut_bytes(left_len(kernels, rows, depth))
}

fn left_len(kernels: Kernels, rows: usize, depth: usize) -> usize {
    match kernels.arithmetic() {
        #[cfg(target_arch = "x86_64")]
        Arithmetic::Bf16Amx => amx::left_len(rows, depth),
        _ => blocks::left_len(rows),
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
    assert_eq!(left.columns, right.depth(), "the depths of a product differ");
    let (rows, columns) = (left.rows, right.width());
    if rows == 0 || columns == 0 {
        return;
    }
    let needed = (rows - 1) * out.row_stride + columns;
    assert!(needed <= out.data.len(), "a product of {needed} elements in {}", out.data.len());
    assert!(rows == 1 || columns <= out.row_stride, "rows of a product overlap");
    if left.columns == 0 {
        if !out.add {
            (0..rows).for_each(|i| out.data[i * out.row_stride..][..columns].fill(0.0));
        }
        return;
    }
    let strips = scratch.floats(left_len(kernels, rows, left.columns));
    match kernels.arithmetic() {
        #[cfg(target_arch = "x86_64")]
        Arithmetic::Bf16Amx => amx::multiply(kernels, left, right, out, strips),
        _ => blocks::multiply(kernels, left, right, out, strips),
    }
}
