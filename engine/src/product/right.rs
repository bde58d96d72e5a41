//! The packed right operand: panels of 32 columns, read by the tile kernels from front to back.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::transpose::transposed;
use super::units::{BLOCK, Unit};
use super::{Matrix, PANEL};
use crate::isa::{Arithmetic, Kernels, multiversion};

/// The right operand, packed: a sequence of panels, each `[units of the depth, PANEL]` row-major.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    panels: &'a [f32],
    /// Elements from one panel to the next.
    panel_stride: usize,
    unit: Unit,
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
        let panel_stride = panel_len(kernels, depth);
        Packed { panels, panel_stride, unit: Unit::of(kernels), depth, columns }
    }

    /// Only these columns; they start at a multiple of 32.
    pub(crate) fn columns(self, range: Range<usize>) -> Packed<'a> {
        assert!(range.start.is_multiple_of(PANEL) && range.end <= self.columns, "{range:?}");
        let panels = &self.panels[range.start / PANEL * self.panel_stride..];
        Packed { panels, columns: range.len(), ..self }
    }

    /// Only this part of the depth; it starts at a multiple of 32.
    pub(crate) fn rows(self, range: Range<usize>) -> Packed<'a> {
        assert!(range.start.is_multiple_of(PANEL) && range.end <= self.depth, "{range:?}");
        let panels = &self.panels[range.start / self.unit.depth() * PANEL..];
        Packed { panels, depth: range.len(), ..self }
    }

    /// The depth K.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The number of columns N.
    pub(super) fn width(&self) -> usize {
        self.columns
    }

    /// The part of panel `index` from unit `from` of the depth on.
    pub(super) fn panel(&self, index: usize, from: usize) -> &'a [f32] {
        &self.panels[index * self.panel_stride + from * PANEL..]
    }
}

/// How many f32 the panels of a matrix `[depth, columns]` take.
pub(crate) fn packed_len(kernels: Kernels, depth: usize, columns: usize) -> usize {
    columns.div_ceil(PANEL) * panel_len(kernels, depth)
}

fn panel_len(kernels: Kernels, depth: usize) -> usize {
    let units = depth.div_ceil(Unit::of(kernels).depth());
    match kernels.arithmetic() {
        #[cfg(target_arch = "x86_64")]
        Arithmetic::Bf16Amx => units.next_multiple_of(amx::STEP_UNITS) * PANEL,
        _ => units * PANEL,
    }
}

/// Packs a matrix `[depth, columns]` into panels, rounding as the arithmetic asks.
pub(crate) fn pack(kernels: Kernels, matrix: Matrix<'_>, panels: &mut [f32]) {
    assert_eq!(panels.len(), packed_len(kernels, matrix.rows, matrix.columns), "panels");
    if panels.is_empty() {
        return;
    }
    let unit = Unit::of(kernels);
    if matrix.column_stride == 1 {
        pack_rows(kernels, &matrix, unit, panel_len(kernels, matrix.rows), panels);
    } else {
        assert_eq!(matrix.row_stride, 1, "a matrix is row-major or transposed");
        pack_columns(kernels, kernels, &matrix, panel_len(kernels, matrix.rows), panels);
    }
}

multiversion! {
    /// Packs a matrix whose rows are contiguous.
    fn pack_rows(matrix: &Matrix<'_>, unit: Unit, panel_len: usize, panels: &mut [f32]) {
        for (index, panel) in panels.chunks_exact_mut(panel_len).enumerate() {
            let first = index * PANEL;
            let width = PANEL.min(matrix.columns - first);
            let row = |k: usize| &matrix.data[k * matrix.row_stride + first..][..width];
            for (u, units) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
                let k = u * unit.depth();
                if k >= matrix.rows {
                    units.fill(0.0);
                    continue;
                }
                let next = (k + 1 < matrix.rows && unit == Unit::Pair).then(|| row(k + 1));
                // A whole row has a length that the compiler knows.
                if let Some(row) = row(k).first_chunk::<PANEL>() {
                    unit.across(row, next, units);
                } else {
                    units[width..].fill(0.0);
                    unit.across(row(k), next, &mut units[..width]);
                }
            }
        }
    }
}

multiversion! {
    /// Packs a matrix whose columns are contiguous, by way of transposed blocks.
    fn pack_columns(
        kernels: Kernels,
        matrix: &Matrix<'_>,
        panel_len: usize,
        panels: &mut [f32],
    ) {
        let unit = Unit::of(kernels);
        let depth = BLOCK * unit.depth();
        for (index, panel) in panels.chunks_exact_mut(panel_len).enumerate() {
            for (b, rows) in panel.chunks_mut(BLOCK * PANEL).enumerate() {
                let depth = b * depth..matrix.rows.min((b + 1) * depth);
                for half in 0..PANEL / BLOCK {
                    let mut block = [[0.0; BLOCK]; BLOCK];
                    let first = index * PANEL + half * BLOCK;
                    for (j, units) in block.iter_mut().enumerate() {
                        if first + j < matrix.columns && !depth.is_empty() {
                            let start = (first + j) * matrix.column_stride;
                            *units = unit.row(&matrix.data[start + depth.start..start + depth.end]);
                        }
                    }
                    let block = transposed(kernels, &block);
                    for (row, units) in rows.chunks_exact_mut(PANEL).zip(&block) {
                        row[half * BLOCK..][..BLOCK].copy_from_slice(units);
                    }
                }
            }
        }
    }
}
