//! The output layer and its loss in one: mean -log p(target) without a matrix of all logits.
//!
//! **Shapes.** x `[T, C]`; the head's weights `[V, C]`; targets `[T]`, each below V or
//! [`IGNORED`]; log_probs `[T]`. T positions, C width, V vocabulary.
//!
//! **Forward.** logits = x Wᵀ; log p_t = l_{t,target} - log Σ_j e^{l_tj}; the loss is
//! -Σ_t log p_t over the targets that are not ignored.
//!
//! **Backward.** ∂(-log p_t)/∂l_tj = softmax(l_t)_j - [j = target]. Times the scale s, this is the
//! gradient dl of the logits: dx = dl W, dW += dlᵀ x.
//!
//! **Saved for backward.** Nothing: the backward pass contains the forward pass.
//!
//! **Cost.** 2 T V C FLOPs forward, 6 T V C with gradients, T V exponentials. Rows are taken in
//! blocks whose logits fill about 4 MB, a number of rows that depends on V alone.
//!
//! **Precision.** Logits and softmax in f32, the logarithm and the sum over positions in f64. In
//! bf16 x, W and dl are rounded as operands.

mod cpu;

use crate::buffer::Scratch;
use crate::isa::Kernels;
use crate::ops::linear::LinearWeights;

/// A target that takes no part in the loss.
pub const IGNORED: u32 = u32::MAX;

/// The gradients of the loss, and their scale.
pub struct Gradients<'a> {
    /// What every gradient is multiplied with: 1 / (number of targets in the step), for a mean.
    pub scale: f32,
    /// `[T, C]`, overwritten.
    pub dx: &'a mut [f32],
    /// `[V, C]`, added to.
    pub dhead: &'a mut [f32],
}

/// Bytes of scratch for both functions, with T = `positions`, V = `vocabulary`, C = `width`.
pub fn scratch_bytes(kernels: Kernels, positions: usize, vocabulary: usize, width: usize) -> usize {
    cpu::scratch_bytes(kernels, [positions, vocabulary, width])
}

/// Returns Σ -log p(target) in nats, and overwrites `log_probs` with log p(target), 0 where the
/// target is ignored.
pub fn forward(
    kernels: Kernels,
    x: &[f32],
    head: &LinearWeights,
    targets: &[u32],
    log_probs: &mut [f32],
    scratch: &mut Scratch,
) -> f64 {
    let shape = check_shapes(x, head, targets);
    assert_eq!(log_probs.len(), targets.len(), "log_probs and targets differ in size");
    let [t, v, c] = shape;
    let cut = scratch.cut("cross-entropy forward", scratch_bytes(kernels, t, v, c));
    cpu::forward(kernels, x, head, targets, log_probs, cut)
}

/// Returns Σ -log p(target) in nats, not scaled, and writes the scaled gradients.
pub fn forward_backward(
    kernels: Kernels,
    x: &[f32],
    head: &LinearWeights,
    targets: &[u32],
    gradients: Gradients<'_>,
    scratch: &mut Scratch,
) -> f64 {
    let shape = check_shapes(x, head, targets);
    let [t, v, c] = shape;
    assert_eq!(gradients.dx.len(), x.len(), "dx and x differ in size");
    assert_eq!(gradients.dhead.len(), v * c, "dhead is not [{v}, {c}]");
    let cut = scratch.cut("cross-entropy backward", scratch_bytes(kernels, t, v, c));
    cpu::forward_backward(kernels, x, head, targets, gradients, cut)
}

fn check_shapes(x: &[f32], head: &LinearWeights, targets: &[u32]) -> [usize; 3] {
    let (positions, vocabulary, width) = (targets.len(), head.outputs(), head.inputs());
    assert_eq!(x.len(), positions * width, "x is not [{positions}, {width}]");
    let outside = targets.iter().find(|t| **t != IGNORED && **t as usize >= vocabulary);
    assert_eq!(outside, None, "a target outside of the vocabulary of {vocabulary}");
    [positions, vocabulary, width]
}

/// The naive version in f64: the specification of the kernels.
pub mod reference {
    use super::IGNORED;
    use crate::ops::linear::reference as linear;

    /// log softmax of every row of logits.
    fn log_softmax(x: &[f64], w: &[f64], width: usize) -> Vec<Vec<f64>> {
        let vocabulary = w.len() / width;
        let logits = linear::forward(x, w, width);
        let row = |row: &[f64]| {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let lse = largest + row.iter().map(|l| (l - largest).exp()).sum::<f64>().ln();
            row.iter().map(|l| l - lse).collect()
        };
        logits.chunks_exact(vocabulary).map(row).collect()
    }

    /// log p of every target, 0 where it is ignored.
    pub fn log_probs(x: &[f64], w: &[f64], width: usize, targets: &[u32]) -> Vec<f64> {
        let rows = log_softmax(x, w, width);
        let log_prob = |(row, target): (&Vec<f64>, &u32)| match *target {
            IGNORED => 0.0,
            target => row[target as usize],
        };
        rows.iter().zip(targets).map(log_prob).collect()
    }

    /// dx and dW of the sum of -log p.
    pub fn backward(x: &[f64], w: &[f64], width: usize, targets: &[u32]) -> (Vec<f64>, Vec<f64>) {
        let vocabulary = w.len() / width;
        let mut dlogits = Vec::new();
        for (row, target) in log_softmax(x, w, width).iter().zip(targets) {
            for (j, log_p) in row.iter().enumerate() {
                let hit = if j == *target as usize { 1.0 } else { 0.0 };
                dlogits.push(if *target == IGNORED { 0.0 } else { log_p.exp() - hit });
            }
        }
        let dx = linear::backward_input(&dlogits, w, width);
        (dx, linear::backward_weight(x, &dlogits, width, vocabulary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Precision;
    use crate::testing::{
        check, check_gradient, check_same_bits, kernels, operand_rounding, sum_bound, values, wide,
    };

    #[test]
    fn the_reference_has_the_right_gradient() {
        let (x, w, targets) = (wide(&values(1, 12)), wide(&values(2, 15)), [4, 0, IGNORED, 2]);
        let loss =
            |x: &[f64], w: &[f64]| -reference::log_probs(x, w, 3, &targets).iter().sum::<f64>();
        let (dx, dw) = reference::backward(&x, &w, 3, &targets);
        check_gradient("cross-entropy dx", &x, &dx, |x| loss(x, &w));
        check_gradient("cross-entropy dw", &w, &dw, |w| loss(&x, w));
    }

    /// log_probs, dx, and dW added to ones, with a scale of 0.5.
    fn run(kernels: Kernels, x: &[f32], w: &[f32], targets: &[u32]) -> [Vec<f32>; 3] {
        let (t, c) = (targets.len(), x.len() / targets.len().max(1));
        let v = w.len() / c;
        let mut head = LinearWeights::new(kernels, v, c);
        head.pack(w);
        let mut scratch = Scratch::with_bytes(scratch_bytes(kernels, t, v, c));
        let mut log_probs = vec![f32::NAN; t];
        let (mut dx, mut dhead) = (vec![f32::NAN; x.len()], vec![1.0; w.len()]);
        let loss = forward(kernels, x, &head, targets, &mut log_probs, &mut scratch);
        let gradients = Gradients { scale: 0.5, dx: &mut dx, dhead: &mut dhead };
        let same = forward_backward(kernels, x, &head, targets, gradients, &mut scratch);
        assert_eq!(loss.to_bits(), same.to_bits(), "both directions have one loss");
        let sum = log_probs.iter().fold(0.0, |sum, log_prob| sum - f64::from(*log_prob));
        assert_eq!(loss.to_bits(), sum.to_bits(), "the loss is the sum");
        [log_probs, dx, dhead]
    }

    #[test]
    fn kernels_follow_the_reference() {
        for [t, v, c] in [[1, 1, 1], [7, 33, 5], [33, 127, 65], [65, 300, 32], [1100, 5, 3]] {
            let (x, w) = (values(1, t * c), values(2, v * c));
            let targets: Vec<u32> =
                (0..t).map(|t| if t % 5 == 3 { IGNORED } else { (t * 31 % v) as u32 }).collect();
            let (x64, w64) = (wide(&x), wide(&w));
            let log_probs = reference::log_probs(&x64, &w64, c, &targets);
            let (mut dx, mut dw) = reference::backward(&x64, &w64, c, &targets);
            dx.iter_mut().for_each(|dx| *dx *= 0.5);
            dw.iter_mut().for_each(|dw| *dw = 1.0 + 0.5 * *dw);
            for precision in [Precision::F32, Precision::Bf16] {
                let mut first: Option<(_, [Vec<f32>; 3])> = None;
                for kernels in kernels(precision) {
                    let arithmetic = kernels.arithmetic();
                    let what = format!("cross-entropy {:?} {}", [t, v, c], arithmetic.name());
                    let results = run(kernels, &x, &w, &targets);
                    let bound = |terms: usize, size: f64| {
                        sum_bound(c + terms, size) + operand_rounding(precision, size)
                    };
                    // A logit is a sum of c products of about 1; its error is that of log p, and
                    // relative to p that of gradients. dx sums over the vocabulary.
                    let logit = 3.0 * (c as f64).sqrt();
                    check(&format!("{what} log p"), &results[0], &log_probs, |_| bound(0, logit));
                    check(&format!("{what} dx"), &results[1], &dx, |_| bound(v, logit));
                    let size = 1.0 + logit * (t as f64).sqrt();
                    check(&format!("{what} dw"), &results[2], &dw, |_| bound(t, size));
                    let (known, first) = first.get_or_insert((arithmetic, results.clone()));
                    if *known == arithmetic {
                        for (result, first) in results.iter().zip(first) {
                            check_same_bits(&what, result, first);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_nan_reaches_the_loss() {
        for kernels in kernels(Precision::F32) {
            let mut x = values(1, 12);
            x[5] = f32::NAN;
            let [log_probs, dx, _] = run(kernels, &x, &values(2, 30), &[1, 2, 3, 4]);
            assert!(log_probs[1].is_nan() && dx[3..6].iter().all(|x| x.is_nan()));
            assert!(log_probs[0].is_finite() && dx[0].is_finite());
        }
    }

    #[test]
    #[should_panic(expected = "outside of the vocabulary of 2")]
    fn a_target_outside_of_the_vocabulary_panics() {
        run(kernels(Precision::F32)[0], &[0.0; 2], &[0.0; 4], &[2]);
    }
}
