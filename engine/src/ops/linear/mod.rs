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

use crate::buffer::Region;
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
        let mut region = Region::with_bytes(LinearWeights::bytes(kernels, outputs, inputs));
        LinearWeights::in_region(kernels, outputs, inputs, &mut region)
    }

    /// Zero weights in a region.
    pub fn in_region(
        kernels: Kernels,
        outputs: usize,
        inputs: usize,
        region: &mut Region,
    ) -> LinearWeights {
        LinearWeights {
            kernels,
            outputs,
            inputs,
            forward: region.floats(product::packed_len(kernels, inputs, outputs)),
            backward: region.floats(product::packed_len(kernels, outputs, inputs)),
        }
    }

    /// Bytes of a region that weights take.
    pub fn bytes(kernels: Kernels, outputs: usize, inputs: usize) -> usize {
        cut_bytes(product::packed_len(kernels, inputs, outputs))
            + cut_bytes(product::packed_len(kernels, outputs, inputs))
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

/// The naive version in f64: the specification of the kernels.
pub mod reference {
    /// y = x Wᵀ for x `[T, inputs]` and W `[outputs, inputs]`.
    pub fn forward(x: &[f64], w: &[f64], inputs: usize) -> Vec<f64> {
        let dot = |x: &[f64], w: &[f64]| x.iter().zip(w).map(|(x, w)| x * w).sum();
        let row = |x| w.chunks_exact(inputs).map(move |w| dot(x, w));
        x.chunks_exact(inputs).flat_map(row).collect()
    }

    /// dx = dy W.
    pub fn backward_input(dy: &[f64], w: &[f64], inputs: usize) -> Vec<f64> {
        let outputs = w.len() / inputs;
        let sum = |dy: &[f64], i| dy.iter().enumerate().map(|(o, dy)| dy * w[o * inputs + i]).sum();
        let row = |dy| (0..inputs).map(move |i| sum(dy, i));
        dy.chunks_exact(outputs).flat_map(row).collect()
    }

    /// dW = dyᵀ x.
    pub fn backward_weight(x: &[f64], dy: &[f64], inputs: usize, outputs: usize) -> Vec<f64> {
        let rows = || x.chunks_exact(inputs).zip(dy.chunks_exact(outputs));
        let element = |o: usize, i: usize| rows().map(|(x, dy)| dy[o] * x[i]).sum();
        (0..outputs * inputs).map(|at| element(at / inputs, at % inputs)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Isa, Precision};
    use crate::testing::{
        check, check_gradient, check_same_bits, kernels, operand_rounding, sum_bound, values, wide,
    };

    #[test]
    fn the_reference_has_the_right_gradient() {
        let (x, w, dy) = (wide(&values(1, 6)), wide(&values(2, 12)), wide(&values(3, 8)));
        let loss = |x: &[f64], w: &[f64]| -> f64 {
            reference::forward(x, w, 3).iter().zip(&dy).map(|(y, dy)| y * dy).sum()
        };
        let dx = reference::backward_input(&dy, &w, 3);
        check_gradient("linear dx", &x, &dx, |x| loss(x, &w));
        let dw = reference::backward_weight(&x, &dy, 3, 4);
        check_gradient("linear dw", &w, &dw, |w| loss(&x, w));
    }

    /// y, y added to ones, dx, and dW added to ones.
    fn run(kernels: Kernels, [t, o, i]: [usize; 3]) -> [Vec<f32>; 4] {
        let (x, w, dy) = operands([t, o, i]);
        let mut weights = LinearWeights::new(kernels, o, i);
        weights.pack(&w);
        let mut scratch = Scratch::with_bytes(scratch_bytes(kernels, t, o, i));
        let [mut y, mut y_added] = [f32::NAN, 1.0].map(|x| vec![x; t * o]);
        let (mut dx, mut dw) = (vec![f32::NAN; t * i], vec![1.0; o * i]);
        forward(kernels, &x, &weights, &mut y, &mut scratch);
        forward_add(kernels, &x, &weights, &mut y_added, &mut scratch);
        backward_input(kernels, &dy, &weights, &mut dx, &mut scratch);
        backward_weight(kernels, &x, &dy, o, &mut dw, &mut scratch);
        [y, y_added, dx, dw]
    }

    fn operands([t, o, i]: [usize; 3]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        (values(1, t * i), values(2, o * i), values(3, t * o))
    }

    /// The same from the reference, for operands changed by `f`.
    fn expected([t, o, i]: [usize; 3], f: fn(f64) -> f64) -> [Vec<f64>; 4] {
        let (x, w, dy) = operands([t, o, i]);
        let [x, w, dy] = [x, w, dy].map(|m| wide(&m).into_iter().map(f).collect::<Vec<_>>());
        let y = reference::forward(&x, &w, i);
        let dx = reference::backward_input(&dy, &w, i);
        let dw = reference::backward_weight(&x, &dy, i, o);
        [y.clone(), y.iter().map(|y| y + 1.0).collect(), dx, dw.iter().map(|w| w + 1.0).collect()]
    }

    #[test]
    fn kernels_follow_the_reference() {
        for shape in [[0, 3, 2], [1, 1, 1], [7, 33, 65], [33, 7, 127], [65, 127, 33], [13, 64, 96]]
        {
            let [t, o, i] = shape;
            let (expected, magnitudes) = (expected(shape, |x| x), expected(shape, f64::abs));
            for precision in [Precision::F32, Precision::Bf16] {
                let mut first: Option<(_, [Vec<f32>; 4])> = None;
                for kernels in kernels(precision) {
                    let arithmetic = kernels.arithmetic();
                    let results = run(kernels, shape);
                    let names = ["y", "y +=", "dx", "dw"].into_iter().zip([i, i, o, t]);
                    for (at, (name, depth)) in names.enumerate() {
                        let name = format!("linear {shape:?} {} {name}", arithmetic.name());
                        check(&name, &results[at], &expected[at], |element| {
                            let magnitude = magnitudes[at][element];
                            sum_bound(depth, magnitude) + operand_rounding(precision, magnitude)
                        });
                    }
                    let (known, first) = first.get_or_insert((arithmetic, results.clone()));
                    if *known == arithmetic {
                        for (result, first) in results.iter().zip(first) {
                            check_same_bits(&format!("linear {shape:?}"), result, first);
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "are not [T, 2] and [T, 3]")]
    fn a_wrong_shape_panics_with_both_shapes() {
        let kernels = Kernels::new(Isa::Portable, Precision::F32);
        let weights = LinearWeights::new(kernels, 3, 2);
        forward(kernels, &[0.0; 4], &weights, &mut [0.0; 5], &mut Scratch::with_bytes(0));
    }
}
