//! The linear layer without bias: y = x Wᵀ.
//!
//! **Shapes.** x `[T, I]`, W `[O, I]` row-major, y `[T, O]`. T positions, I inputs, O outputs.
//!
//! **Forward.** y = x Wᵀ, or y += x Wᵀ for a residual branch.
//!
//! **Backward.** dx = dy W; dW += dyᵀ x.
//!
//! **Saved for backward.** x, by the caller. W is packed once per optimizer step for both
//! directions, as every sequence of the step multiplies with it.
//!
//! **Cost.** 2 T O I FLOPs for each of the three products.
//!
//! **Precision.** f32: each element is summed in order, one fused multiply-add at a time. bf16:
//! x, W and dy are rounded to bf16 as operands; sums are f32 (see `product`).

use crate::buffer::{Cutter, Floats, Scratch, cut_bytes};
use crate::isa::Kernels;
use crate::product::{self, Matrix, Out, Packed};

/// A weight matrix `[outputs, inputs]`, packed for products in both directions.
#[derive(Clone, Debug)]
pub struct LinearWeights {
    kernels: Kernels,
    outputs: usize,
    inputs: usize,
    /// Wᵀ, `[inputs, outputs]`, in panels.
    forward: Floats,
    /// W, `[outputs, inputs]`, in panels.
    backward: Floats,
}

impl LinearWeights {
    /// Zero weights; all memory is allocated here.
    pub fn new(kernels: Kernels, outputs: usize, inputs: usize) -> LinearWeights {
        LinearWeights {
            kernels,
            outputs,
            inputs,
            forward: Floats::zeroed(product::packed_len(kernels, inputs, outputs)),
            backward: Floats::zeroed(product::packed_len(kernels, outputs, inputs)),
        }
    }

    /// Packs the weights `w`, row-major `[outputs, inputs]`.
    pub fn pack(&mut self, w: &[f32]) {
        let (outputs, inputs) = (self.outputs, self.inputs);
        assert_eq!(w.len(), outputs * inputs, "not weights of [{outputs}, {inputs}]");
        let w = Matrix::new(w, outputs, inputs, inputs);
        product::pack(self.kernels, w.transposed(), &mut self.forward);
        product::pack(self.kernels, w, &mut self.backward);
    }

    /// The number of outputs O.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The number of inputs I.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The memory of the packed weights in bytes.
    pub fn bytes(&self) -> usize {
        4 * (self.forward.len() + self.backward.len())
    }

    pub(crate) fn forward_panels(&self) -> Packed<'_> {
        Packed::new(self.kernels, &self.forward, self.inputs, self.outputs)
    }

    pub(crate) fn backward_panels(&self) -> Packed<'_> {
        Packed::new(self.kernels, &self.backward, self.outputs, self.inputs)
    }

    fn check(&self, kernels: Kernels) {
        assert_eq!(kernels, self.kernels, "weights packed for other kernels");
    }
}

/// Bytes of scratch for any of the functions below, with T = `positions`.
pub fn scratch_bytes(kernels: Kernels, positions: usize, outputs: usize, inputs: usize) -> usize {
    let forward = product::scratch_bytes(kernels, positions, inputs);
    let backward_input = product::scratch_bytes(kernels, positions, outputs);
    let backward_weight = weight_scratch_bytes(kernels, positions, outputs, inputs);
    forward.max(backward_input).max(backward_weight)
}

/// Bytes of scratch that `accumulate_weight` takes.
pub(crate) fn weight_scratch_bytes(
    kernels: Kernels,
    positions: usize,
    outputs: usize,
    inputs: usize,
) -> usize {
    cut_bytes(product::packed_len(kernels, positions, inputs))
        + product::scratch_bytes(kernels, outputs, positions)
}

/// y = x Wᵀ.
pub fn forward(
    kernels: Kernels,
    x: &[f32],
    weights: &LinearWeights,
    y: &mut [f32],
    scratch: &mut Scratch,
) {
    forward_into(kernels, x, weights, y, false, scratch);
}

/// y += x Wᵀ: the end of a residual branch.
pub fn forward_add(
    kernels: Kernels,
    x: &[f32],
    weights: &LinearWeights,
    y: &mut [f32],
    scratch: &mut Scratch,
) {
    forward_into(kernels, x, weights, y, true, scratch);
}

fn forward_into(
    kernels: Kernels,
    x: &[f32],
    weights: &LinearWeights,
    y: &mut [f32],
    add: bool,
    scratch: &mut Scratch,
) {
    weights.check(kernels);
    let (outputs, inputs) = (weights.outputs, weights.inputs);
    let positions = positions(x, inputs, y, outputs);
    let bytes = product::scratch_bytes(kernels, positions, inputs);
    let cut = scratch.cut("a linear layer forward", bytes);
    let x = Matrix::new(x, positions, inputs, inputs);
    let out = Out { data: y, row_stride: outputs, add };
    product::multiply(kernels, x, weights.forward_panels(), out, cut);
}

/// dx = dy W.
pub fn backward_input(
    kernels: Kernels,
    dy: &[f32],
    weights: &LinearWeights,
    dx: &mut [f32],
    scratch: &mut Scratch,
) {
    weights.check(kernels);
    let (outputs, inputs) = (weights.outputs, weights.inputs);
    let positions = positions(dx, inputs, dy, outputs);
    let bytes = product::scratch_bytes(kernels, positions, outputs);
    let cut = scratch.cut("a linear layer backward to its input", bytes);
    let dy = Matrix::new(dy, positions, outputs, outputs);
    let out = Out { data: dx, row_stride: inputs, add: false };
    product::multiply(kernels, dy, weights.backward_panels(), out, cut);
}

/// dW += dyᵀ x, for dW `[outputs, inputs]`.
pub fn backward_weight(
    kernels: Kernels,
    x: &[f32],
    dy: &[f32],
    outputs: usize,
    dw: &mut [f32],
    scratch: &mut Scratch,
) {
    assert!(dw.len().is_multiple_of(outputs), "dw of {} is not [{outputs}, I]", dw.len());
    let inputs = dw.len() / outputs;
    let positions = positions(x, inputs, dy, outputs);
    let bytes = weight_scratch_bytes(kernels, positions, outputs, inputs);
    let cut = scratch.cut("a linear layer backward to its weights", bytes);
    accumulate_weight(kernels, [x, dy], [positions, outputs, inputs], dw, cut);
}

/// dW += dyᵀ x for operands [x, dy] and the shape [T, O, I].
pub(crate) fn accumulate_weight(
    kernels: Kernels,
    [x, dy]: [&[f32]; 2],
    [positions, outputs, inputs]: [usize; 3],
    dw: &mut [f32],
    mut cut: Cutter<'_>,
) {
    let panels = cut.floats(product::packed_len(kernels, positions, inputs));
    product::pack(kernels, Matrix::new(x, positions, inputs, inputs), panels);
    let x = Packed::new(kernels, panels, positions, inputs);
    let dy = Matrix::new(dy, positions, outputs, outputs).transposed();
    product::multiply(kernels, dy, x, Out { data: dw, row_stride: inputs, add: true }, cut);
}

/// T, from x `[T, I]` and y `[T, O]`.
fn positions(x: &[f32], inputs: usize, y: &[f32], outputs: usize) -> usize {
    let positions = x.len() / inputs;
    assert!(
        x.len() == positions * inputs && y.len() == positions * outputs,
        "{} and {} elements are not [T, {inputs}] and [T, {outputs}]",
        x.len(),
        y.len()
    );
    positions
}
