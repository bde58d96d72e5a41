//! Attention by blocks of query rows over the product kernel.
//!
//! For each key-value head, keys and values are packed once. A block of query rows is multiplied
//! with all keys that it may see, so that softmax needs no rescaling. A block has 32 rows: enough
//! for the tiles of the product kernel, and few enough that little is computed beyond the diagonal
//! and that the scores stay in the second-level cache.

use std::ops::Range;

use super::{AttentionShape, Saved};
use crate::buffer::{Cutter, cut_bytes};
use crate::isa::{Kernels, multiversion};
use crate::math::{exp, ln};
use crate::product::{self, Matrix, Out, PANEL, Packed};
use crate::reduce::{dot, map_and_sum, max};

/// Query rows in a block: those of a tile of AMX.
const BLOCK_ROWS: usize = 32;

/// A block of query rows, and the keys that any of its rows may see.
struct Block<'a> {
    rows: Range<usize>,
    /// Starts at a multiple of the panel width.
    keys: Range<usize>,
    starts: Option<&'a [u32]>,
    /// From one row of scores to the next.
    stride: usize,
}

impl Block<'_> {
    /// The columns of the scores that row `i` of the block sees.
    #[inline(always)]
    fn seen(&self, i: usize) -> Range<usize> {
        let t = self.rows.start + i;
        let start = self.starts.map_or(0, |starts| starts[t] as usize);
        start - self.keys.start.min(start)..t + 1 - self.keys.start
    }

    /// Overwrites what row `i` of the block does not see, up to whole vectors, by `unseen`, and
    /// returns these; beyond them, the row becomes zero.
    #[inline(always)]
    fn mask<'a>(&self, i: usize, row: &'a mut [f32], unseen: f32) -> &'a mut [f32] {
        let seen = self.seen(i);
        let end = seen.end.next_multiple_of(PANEL);
        let keys = self.keys.len().next_multiple_of(PANEL);
        row[..seen.start].fill(unseen);
        row[seen.end..end].fill(unseen);
        row[end..keys].fill(0.0);
        &mut row[..end]
    }

    fn scores<'a>(&self, scores: &'a [f32]) -> Matrix<'a> {
        Matrix::new(scores, self.rows.len(), self.keys.len(), self.stride)
    }

    fn out<'a>(&self, data: &'a mut [f32]) -> Out<'a> {
        Out { data, row_stride: self.stride, add: false }
    }
}

fn block_rows(positions: usize) -> usize {
    BLOCK_ROWS.min(positions)
}

fn score_stride(positions: usize) -> usize {
    positions.next_multiple_of(PANEL)
}

fn blocks(positions: usize, starts: Option<&[u32]>) -> impl Iterator<Item = Block<'_>> {
    let rows = block_rows(positions).max(1);
    (0..positions).step_by(rows).map(move |first| {
        let rows = first..positions.min(first + rows);
        let earliest = starts.map_or(0, |starts| {
            starts[rows.clone()].iter().fold(u32::MAX, |least, start| least.min(*start)) as usize
        });
        let keys = earliest / PANEL * PANEL..rows.end;
        Block { rows, keys, starts, stride: score_stride(positions) }
    })
}

pub(super) fn scratch_bytes(kernels: Kernels, shape: AttentionShape) -> usize {
    let (t, d) = (shape.positions, shape.head_dim);
    let rows = block_rows(t);
    let across = cut_bytes(product::packed_len(kernels, d, t));
    let along = cut_bytes(product::packed_len(kernels, t, d));
    let block = cut_bytes(product::packed_len(kernels, rows, d));
    let scores = cut_bytes(rows * score_stride(t));
    let products = [(rows, d), (rows, t), (t, rows)];
    let product = products.map(|(rows, depth)| product::scratch_bytes(kernels, rows, depth));
    let sums = cut_bytes(t * d);
    let slices = 2 * (across + along + block + scores + sums) + cut_bytes(rows);
    slices + product.into_iter().fold(0, usize::max)
}

/// Where the heads lie in a matrix of the shape of qkv.
#[derive(Clone, Copy)]
struct Heads(AttentionShape);

impl Heads {
    fn key_column(self, group: usize) -> usize {
        (self.0.heads + group) * self.0.head_dim
    }

    fn value_column(self, group: usize) -> usize {
        (self.0.heads + self.0.kv_heads + group) * self.0.head_dim
    }

    fn of_group(self, group: usize) -> Range<usize> {
        let heads = self.0.heads / self.0.kv_heads;
        group * heads..(group + 1) * heads
    }

    /// The head that starts at `column` of qkv, at the positions `rows`.
    fn read(self, qkv: &[f32], column: usize, rows: Range<usize>) -> Matrix<'_> {
        let stride = self.0.qkv_width();
        Matrix::new(&qkv[rows.start * stride + column..], rows.len(), self.0.head_dim, stride)
    }

    fn write(self, dqkv: &mut [f32], column: usize, row: usize) -> Out<'_> {
        let row_stride = self.0.qkv_width();
        Out { data: &mut dqkv[row * row_stride + column..], row_stride, add: false }
    }

    /// Copies a gradient `[T, D]` to the head that starts at `column` of dqkv.
    fn copy_out(self, gradient: &[f32], dqkv: &mut [f32], column: usize) {
        let rows = dqkv.chunks_exact_mut(self.0.qkv_width());
        for (row, gradient) in rows.zip(gradient.chunks_exact(self.0.head_dim)) {
            row[column..][..self.0.head_dim].copy_from_slice(gradient);
        }
    }

    /// The head number `head` of o or its gradient, at the positions `rows`.
    fn read_output(self, o: &[f32], head: usize, rows: Range<usize>) -> Matrix<'_> {
        let (stride, d) = (self.0.output_width(), self.0.head_dim);
        Matrix::new(&o[rows.start * stride + head * d..], rows.len(), d, stride)
    }
}

pub(super) fn forward(
    kernels: Kernels,
    shape: AttentionShape,
    qkv: &[f32],
    starts: Option<&[u32]>,
    [o, lse]: [&mut [f32]; 2],
    mut cut: Cutter<'_>,
) {
    let (t, d, heads) = (shape.positions, shape.head_dim, Heads(shape));
    if t == 0 {
        return;
    }
    let scale = 1.0 / (d as f32).sqrt();
    let keys = cut.floats(product::packed_len(kernels, d, t));
    let values = cut.floats(product::packed_len(kernels, t, d));
    let scores = cut.floats(block_rows(t) * score_stride(t));
    let sums = cut.floats(block_rows(t));
    for group in 0..shape.kv_heads {
        let k = heads.read(qkv, heads.key_column(group), 0..t);
        let v = heads.read(qkv, heads.value_column(group), 0..t);
        product::pack(kernels, k.transposed(), keys);
        product::pack(kernels, v, values);
        let keys = Packed::new(kernels, keys, d, t);
        let values = Packed::new(kernels, values, t, d);
        for head in heads.of_group(group) {
            for block in blocks(t, starts) {
                let q = heads.read(qkv, head * d, block.rows.clone());
                let k = keys.columns(block.keys.clone());
                product::multiply(kernels, q, k, block.out(scores), cut.again());
                let lse = &mut lse[head * t..][block.rows.clone()];
                softmax(kernels, &block, scale, scores, lse, sums);
                let stride = shape.output_width();
                let o = &mut o[block.rows.start * stride + head * d..];
                let out = Out { data: &mut *o, row_stride: stride, add: false };
                let v = values.rows(block.keys.clone());
                product::multiply(kernels, block.scores(scores), v, out, cut.again());
                divide_rows(kernels, &sums[..block.rows.len()], o, stride, d);
            }
        }
    }
}

pub(super) fn backward(
    kernels: Kernels,
    shape: AttentionShape,
    saved: Saved<'_>,
    d_o: &[f32],
    dqkv: &mut [f32],
    mut cut: Cutter<'_>,
) {
    let (t, d, heads) = (shape.positions, shape.head_dim, Heads(shape));
    if t == 0 {
        return;
    }
    let keys_across = cut.floats(product::packed_len(kernels, d, t));
    let values_across = cut.floats(product::packed_len(kernels, d, t));
    let keys_along = cut.floats(product::packed_len(kernels, t, d));
    let mut space = Space::cut(kernels, shape, &mut cut);
    for group in 0..shape.kv_heads {
        let k = heads.read(saved.qkv, heads.key_column(group), 0..t);
        let v = heads.read(saved.qkv, heads.value_column(group), 0..t);
        product::pack(kernels, k.transposed(), keys_across);
        product::pack(kernels, v.transposed(), values_across);
        product::pack(kernels, k, keys_along);
        space.dk.fill(0.0);
        space.dv.fill(0.0);
        let backward = GroupBackward {
            kernels,
            heads,
            saved,
            d_o,
            keys_across: Packed::new(kernels, keys_across, d, t),
            values_across: Packed::new(kernels, values_across, d, t),
            keys_along: Packed::new(kernels, keys_along, t, d),
        };
        for head in heads.of_group(group) {
            for block in blocks(t, saved.starts) {
                backward.block(head, &block, &mut space, dqkv, &mut cut);
            }
        }
        heads.copy_out(space.dk, dqkv, heads.key_column(group));
        heads.copy_out(space.dv, dqkv, heads.value_column(group));
    }
}

/// The slices that one block of the backward pass works in.
struct Space<'a> {
    /// Scores, then probabilities.
    p: &'a mut [f32],
    /// Gradients of probabilities, then of scores.
    ds: &'a mut [f32],
    /// Packed query rows, then packed rows of the gradient of o.
    panels: &'a mut [f32],
    /// Σ_r p_tr dp_tr of each row.
    delta: &'a mut [f32],
    /// The sums of the group's key and value gradients, `[T, D]` each: contiguous, since every
    /// block adds to them, and rows of qkv lie in pages of their own.
    dk: &'a mut [f32],
    dv: &'a mut [f32],
}

impl<'a> Space<'a> {
    fn cut(kernels: Kernels, shape: AttentionShape, cut: &mut Cutter<'a>) -> Space<'a> {
        let rows = block_rows(shape.positions);
        let scores = rows * score_stride(shape.positions);
        Space {
            p: cut.floats(scores),
            ds: cut.floats(scores),
            panels: cut.floats(product::packed_len(kernels, rows, shape.head_dim)),
            delta: cut.floats(rows),
            dk: cut.floats(shape.positions * shape.head_dim),
            dv: cut.floats(shape.positions * shape.head_dim),
        }
    }
}

/// The backward pass of the query heads that share one key-value head.
struct GroupBackward<'a> {
    kernels: Kernels,
    heads: Heads,
    saved: Saved<'a>,
    d_o: &'a [f32],
    keys_across: Packed<'a>,
    values_across: Packed<'a>,
    keys_along: Packed<'a>,
}

impl GroupBackward<'_> {
    fn block(
        &self,
        head: usize,
        block: &Block<'_>,
        space: &mut Space<'_>,
        dqkv: &mut [f32],
        cut: &mut Cutter<'_>,
    ) {
        let (kernels, heads, saved) = (self.kernels, self.heads, self.saved);
        let (rows, seen) = (block.rows.clone(), block.keys.clone());
        let shape = heads.0;
        let d = shape.head_dim;
        let q = heads.read(saved.qkv, head * d, rows.clone());
        let d_o = heads.read_output(self.d_o, head, rows.clone());
        let keys = self.keys_across.columns(seen.clone());
        product::multiply(kernels, q, keys, block.out(space.p), cut.again());
        let values = self.values_across.columns(seen.clone());
        product::multiply(kernels, d_o, values, block.out(space.ds), cut.again());

        let o = heads.read_output(saved.o, head, rows.clone());
        row_dots(kernels, &o, &d_o, space.delta);
        let lse = &saved.lse[head * shape.positions..][rows.clone()];
        let scale = 1.0 / (d as f32).sqrt();
        score_gradients(kernels, block, scale, lse, space);

        let p = block.scores(space.p);
        let ds = block.scores(space.ds);
        let dq = heads.write(dqkv, head * d, rows.start);
        product::multiply(kernels, ds, self.keys_along.rows(seen.clone()), dq, cut.again());
        let panels = &mut space.panels[..product::packed_len(kernels, rows.len(), d)];
        product::pack(kernels, q, panels);
        let right = Packed::new(kernels, panels, rows.len(), d);
        let dk = Out { data: &mut space.dk[seen.start * d..], row_stride: d, add: true };
        product::multiply(kernels, ds.transposed(), right, dk, cut.again());
        product::pack(kernels, d_o, panels);
        let right = Packed::new(kernels, panels, rows.len(), d);
        let dv = Out { data: &mut space.dv[seen.start * d..], row_stride: d, add: true };
        product::multiply(kernels, p.transposed(), right, dv, cut.again());
    }
}

multiversion! {
    /// Turns scores into e^(τ (score - row maximum)), and writes their sums and log-sum-exps.
    fn softmax(
        block: &Block<'_>,
        scale: f32,
        scores: &mut [f32],
        lse: &mut [f32],
        sums: &mut [f32],
    ) {
        for (i, row) in scores.chunks_mut(block.stride).take(block.rows.len()).enumerate() {
            let row = block.mask(i, row, f32::NEG_INFINITY);
            let largest = max(row);
            let sum = map_and_sum(row, |score| exp((score - largest) * scale));
            lse[i] = largest.mul_add(scale, ln(sum));
            sums[i] = sum;
        }
    }
}

multiversion! {
    /// Divides row i of a matrix with rows `stride` apart and `width` columns by `divisors[i]`.
    fn divide_rows(divisors: &[f32], matrix: &mut [f32], stride: usize, width: usize) {
        for (row, divisor) in matrix.chunks_mut(stride).zip(divisors) {
            let factor = 1.0 / divisor;
            for x in &mut row[..width] {
                *x *= factor;
            }
        }
    }
}

multiversion! {
    /// The products of the rows of two matrices.
    fn row_dots(a: &Matrix<'_>, b: &Matrix<'_>, dots: &mut [f32]) {
        for (i, product) in dots.iter_mut().take(a.rows()).enumerate() {
            *product = dot(a.row(i), b.row(i));
        }
    }
}

multiversion! {
    /// Turns scores into probabilities p, and gradients of p into those of the scores.
    fn score_gradients(block: &Block<'_>, scale: f32, lse: &[f32], space: &mut Space<'_>) {
        let rows = space.p.chunks_mut(block.stride).zip(space.ds.chunks_mut(block.stride));
        for (i, (p, ds)) in rows.take(block.rows.len()).enumerate() {
            // Masked probabilities become zero, and zero times a finite number the gradients.
            let p = block.mask(i, p, f32::NEG_INFINITY);
            let ds = block.mask(i, ds, 0.0);
            let (lse, delta) = (lse[i], space.delta[i]);
            for (p, ds) in p.iter_mut().zip(ds) {
                *p = exp(p.mul_add(scale, -lse));
                *ds = *p * (*ds - delta) * scale;
            }
        }
    }
}
