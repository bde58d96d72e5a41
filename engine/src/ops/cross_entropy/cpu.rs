//! Cross-entropy by blocks of rows over the product kernel.

use super::{Gradients, IGNORED};
use crate::buffer::{Cutter, cut_bytes};
use crate::isa::{Kernels, multiversion};
use crate::math::exp;
use crate::ops::linear::{self, LinearWeights};
use crate::product::{self, Matrix, Out};
use crate::reduce::{map_and_sum, max};

/// Logits in a block of rows: 4 MiB of f32.
const BLOCK_LOGITS: usize = 1 << 20;

/// Rows in a block, from the vocabulary only.
fn block_rows(vocabulary: usize) -> usize {
    (BLOCK_LOGITS / vocabulary).clamp(16, 1024)
}

pub(super) fn scratch_bytes(kernels: Kernels, [positions, vocabulary, width]: [usize; 3]) -> usize {
    let rows = block_rows(vocabulary).min(positions);
    let products = [
        product::scratch_bytes(kernels, rows, width),
        product::scratch_bytes(kernels, rows, vocabulary),
        linear::weight_scratch_bytes(kernels, rows, vocabulary, width),
    ];
    cut_bytes(rows * vocabulary) + products.into_iter().fold(0, usize::max)
}

pub(super) fn forward(
    kernels: Kernels,
    x: &[f32],
    head: &LinearWeights,
    targets: &[u32],
    log_probs: &mut [f32],
    mut cut: Cutter<'_>,
) -> f64 {
    let (vocabulary, width) = (head.outputs(), head.inputs());
    let rows = block_rows(vocabulary);
    let logits = cut.floats(rows.min(targets.len()) * vocabulary);
    let blocks = x.chunks(rows * width).zip(targets.chunks(rows)).zip(log_probs.chunks_mut(rows));
    for ((x, targets), log_probs) in blocks {
        let logits = &mut logits[..targets.len() * vocabulary];
        multiply_head(kernels, x, head, logits, cut.again());
        log_probabilities(kernels, logits, targets, log_probs);
    }
    log_probs.iter().fold(0.0, |sum, log_prob| sum - f64::from(*log_prob))
}

pub(super) fn forward_backward(
    kernels: Kernels,
    x: &[f32],
    head: &LinearWeights,
    targets: &[u32],
    gradients: Gradients<'_>,
    mut cut: Cutter<'_>,
) -> f64 {
    let Gradients { scale, dx, dhead } = gradients;
    let (vocabulary, width) = (head.outputs(), head.inputs());
    let rows = block_rows(vocabulary);
    let logits = cut.floats(rows.min(targets.len()) * vocabulary);
    let mut loss = 0.0;
    let blocks = x.chunks(rows * width).zip(dx.chunks_mut(rows * width)).zip(targets.chunks(rows));
    for ((x, dx), targets) in blocks {
        let logits = &mut logits[..targets.len() * vocabulary];
        multiply_head(kernels, x, head, logits, cut.again());
        loss = logit_gradients(kernels, logits, targets, scale, loss);
        let dlogits = Matrix::new(logits, targets.len(), vocabulary, vocabulary);
        let out = Out { data: dx, row_stride: width, add: false };
        product::multiply(kernels, dlogits, head.backward_panels(), out, cut.again());
        let shape = [targets.len(), vocabulary, width];
        linear::accumulate_weight(kernels, [x, logits], shape, dhead, cut.again());
    }
    loss
}

fn multiply_head(
    kernels: Kernels,
    x: &[f32],
    head: &LinearWeights,
    logits: &mut [f32],
    cut: Cutter<'_>,
) {
    let (vocabulary, width) = (head.outputs(), head.inputs());
    let x = Matrix::new(x, x.len() / width, width, width);
    let out = Out { data: logits, row_stride: vocabulary, add: false };
    product::multiply(kernels, x, head.forward_panels(), out, cut);
}

multiversion! {
    /// log p of each target from its row of logits; the logits are overwritten.
    fn log_probabilities(logits: &mut [f32], targets: &[u32], log_probs: &mut [f32]) {
        let rows = logits.chunks_exact_mut(logits.len() / targets.len());
        for ((row, target), log_prob) in rows.zip(targets).zip(log_probs) {
            *log_prob = if *target == IGNORED {
                0.0
            } else {
                let score = row[*target as usize];
                let largest = max(row);
                let sum = map_and_sum(row, |x| exp(x - largest));
                (f64::from(score - largest) - libm::log(f64::from(sum))) as f32
            };
        }
    }
}

multiversion! {
    /// Turns logits into their gradients, and returns `loss` with those of the rows added.
    fn logit_gradients(logits: &mut [f32], targets: &[u32], scale: f32, loss: f64) -> f64 {
        let mut loss = loss;
        let rows = logits.chunks_exact_mut(logits.len() / targets.len());
        for (row, target) in rows.zip(targets) {
            if *target == IGNORED {
                row.fill(0.0);
                continue;
            }
            let target = *target as usize;
            let score = row[target];
            let largest = max(row);
            let sum = map_and_sum(row, |x| exp(x - largest));
            // Rounded to f32 as in the forward pass, so that both return the same loss.
            let log_prob = (f64::from(score - largest) - libm::log(f64::from(sum))) as f32;
            loss -= f64::from(log_prob);
            let factor = scale / sum;
            for x in row.iter_mut() {
                *x *= factor;
            }
            row[target] -= scale;
        }
        loss
    }
}
