//! A lane takes a few sequences at a time through the model, forward and backward.
//!
//! Legend: T positions of all its sequences, C width, H heads, F inner width, V vocabulary.
//!
//! All memory of a lane is allocated when it is made. Activations of one pass are kept for the
//! backward pass, but for those that cost little to compute again, to the same bits: outputs of
//! norms, of silu(gate) * up, attention probabilities and logits. Gradients
//! of parameters are added to the given buffer; gradients of activations are overwritten, except
//! on the residual stream, where each half of a block adds its own.

use scarce_engine::buffer::Region;
use scarce_engine::buffer::{ALIGNMENT_BYTES, Floats, Scratch};
use scarce_engine::ops::linear::LinearWeights;
use scarce_engine::ops::{
    adamw, attention, cross_entropy, dropout, embedding, linear, rmsnorm, rope, swiglu,
};

use super::weights::{Block, Weights};
use super::{LayerRanges, Model};

/// The tokens of a lane's sequences, one sequence after the other, T of each.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<'a> {
    /// Input tokens.
    pub tokens: &'a [u32],
    /// Next tokens; [`super::NO_TARGET`] where nothing is predicted.
    pub targets: &'a [u32],
    /// First position of its sequence that each position may attend to; `None`: position 0.
    pub starts: Option<&'a [u32]>,
}

/// Where in a run a pass stands: what its dropout masks are a function of.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// Share of activations dropped.
    pub rate: f64,
    /// `seeds.init` of the run.
    pub seed: u64,
    /// Optimizer step.
    pub step: u64,
    /// Place of the first sequence in the batch; the others follow.
    pub row: u64,
}

/// Sites of dropout inside a block; the embedding has the block number past the last.
const AFTER_ATTENTION: usize = 0;
const AFTER_FEED_FORWARD: usize = 1;

/// Working memory for the sequences of one pass.
#[derive(Debug)]
pub struct Lane {
    /// Sequences in a pass.
    sequences: usize,
    /// The residual stream before each block, and after the last: each `[T, C]`.
    stream: Vec<Floats>,
    layers: Vec<LayerActivations>,
    final_rms: Floats,
    final_normed: Floats,
    transient: Transient,
    gradients: Gradients,
    scratch: Scratch,
}

/// What a block keeps for its backward pass.
#[derive(Debug)]
struct LayerActivations {
    /// 1 / rms before attention, `[T]`.
    rms1: Floats,
    /// Rotated q, k and v, `[T, (H + 2 KV) * head_dim]`.
    qkv: Floats,
    /// Attention output before its matrix, `[T, C]`.
    attended: Floats,
    /// Log-sum-exp of the attention scores, `[H, T]`.
    lse: Floats,
    /// Residual stream between the halves, `[T, C]`.
    middle: Floats,
    /// 1 / rms before the feed-forward half, `[T]`.
    rms2: Floats,
    /// Gate and up, `[T, 2 F]`.
    gate_up: Floats,
}

/// What blocks share, because the backward pass computes it again: of the block at work.
#[derive(Debug)]
struct Transient {
    /// Normalized input of a half, `[T, C]`.
    normed: Floats,
    /// silu(gate) * up, `[T, F]`.
    inner: Floats,
    /// Output of a half before it is added, `[T, C]`.
    branch: Floats,
}

/// Gradients of activations, shared by all blocks.
#[derive(Debug)]
struct Gradients {
    /// Of the residual stream, `[T, C]`.
    stream: Floats,
    /// Of a branch's output after dropout, or the branch's output itself, `[T, C]`.
    branch: Floats,
    /// Of a norm's output, `[T, C]`.
    normed: Floats,
    /// Of `qkv`.
    qkv: Floats,
    /// Of `attended`.
    attended: Floats,
    /// Of `gate_up`.
    gate_up: Floats,
    /// Of `inner`.
    inner: Floats,
}

impl Lane {
    /// A lane for passes of `sequences` sequences of `model.positions` tokens each.
    #[must_use]
    pub fn new(model: &Model, sequences: usize) -> Self {
        let (t, c) = (model.positions * sequences, model.spec.width as usize);
        let shape = model.attention_shape();
        let (qkv, heads, f) =
            (shape.qkv_width(), shape.heads, model.spec.feed_forward_width() as usize);
        let mut region = Region::with_bytes(Self::bytes(model, sequences));
        let mut zeroed = |len| region.floats(len);
        let layer = |_| LayerActivations {
            rms1: zeroed(t),
            qkv: zeroed(t * qkv),
            attended: zeroed(t * c),
            lse: zeroed(heads * t),
            middle: zeroed(t * c),
            rms2: zeroed(t),
            gate_up: zeroed(t * 2 * f),
        };
        let layers = (0..model.spec.layers).map(layer).collect();
        Self {
            sequences,
            stream: (0..=model.spec.layers).map(|_| zeroed(t * c)).collect(),
            layers,
            final_rms: zeroed(t),
            final_normed: zeroed(t * c),
            transient: Transient {
                normed: zeroed(t * c),
                inner: zeroed(t * f),
                branch: zeroed(t * c),
            },
            gradients: Gradients {
                stream: zeroed(t * c),
                branch: zeroed(t * c),
                normed: zeroed(t * c),
                qkv: zeroed(t * qkv),
                attended: zeroed(t * c),
                gate_up: zeroed(t * 2 * f),
                inner: zeroed(t * f),
            },
            scratch: region.scratch(scratch_bytes(model, sequences)),
        }
    }

    /// The lane's memory in bytes.
    #[must_use]
    pub fn bytes(model: &Model, sequences: usize) -> usize {
        let (t, c) = (model.positions * sequences, model.spec.width as usize);
        let shape = model.attention_shape();
        let (qkv, f) = (shape.qkv_width(), model.spec.feed_forward_width() as usize);
        let layer = 2 * t + 2 * t * c + t * qkv + shape.heads * t + 2 * t * f;
        let shared = t + 2 * t * c + 6 * t * c + t * qkv + 4 * t * f;
        let layers = model.spec.layers as usize;
        // Each buffer starts on a cache line: 8 of a layer, 13 others and the scratch.
        let borders = ALIGNMENT_BYTES * (8 * layers + 14);
        4 * (layers * (layer + t * c) + shared) + scratch_bytes(model, sequences) + borders
    }

    /// Log-probabilities (nats) of the targets into `log_probs` `[T]`, 0 where there is none.
    /// Returns their negative sum.
    pub fn score(
        &mut self,
        model: &Model,
        weights: &Weights,
        sequences: Sequences<'_>,
        log_probs: &mut [f32],
    ) -> f64 {
        self.forward(model, weights, sequences, None);
        let (x, head) = (&self.final_normed, weights.head());
        let scratch = &mut self.scratch;
        cross_entropy::forward(model.kernels, x, head, sequences.targets, log_probs, scratch)
    }

    /// Takes sequences through all blocks, for [`Lane::project`] to make logits of.
    pub fn hidden(&mut self, model: &Model, weights: &Weights, sequences: Sequences<'_>) {
        self.forward(model, weights, sequences, None);
    }

    /// Logits of some positions of the last pass into `logits` `[rows, V]`.
    pub fn project(
        &mut self,
        model: &Model,
        weights: &Weights,
        rows: std::ops::Range<usize>,
        logits: &mut [f32],
    ) {
        let width = model.spec.width as usize;
        let x = &self.final_normed[rows.start * width..rows.end * width];
        linear::forward(model.kernels, x, weights.head(), logits, &mut self.scratch);
    }

    /// Adds the gradient of `scale` times the summed loss of the sequences to `gradient` (all
    /// parameters, in the table's order). Returns the summed loss in nats, unscaled.
    pub fn forward_backward(
        &mut self,
        (model, weights): (&Model, &Weights),
        sequences: Sequences<'_>,
        dropout: Option<Dropout>,
        scale: f32,
        gradient: &mut [f32],
    ) -> f64 {
        let dropout = dropout.filter(|dropout| dropout.rate > 0.0);
        self.forward(model, weights, sequences, dropout);
        let Self { final_normed, gradients, scratch, final_rms, stream, .. } = self;
        let dhead = &mut gradient[model.table.head.clone()];
        let of_loss = cross_entropy::Gradients { scale, dx: &mut gradients.normed, dhead };
        let (head, targets) = (weights.head(), sequences.targets);
        let kernels = model.kernels;
        let loss =
            cross_entropy::forward_backward(kernels, final_normed, head, targets, of_loss, scratch);
        bytemuck::fill_zeroes(&mut gradients.stream);
        rmsnorm::backward(
            kernels,
            stream.last().expect("the stream has layers + 1 parts"),
            &weights.values[model.table.final_norm.clone()],
            final_rms,
            &gradients.normed,
            &mut gradients.stream,
            &mut gradient[model.table.final_norm.clone()],
        );
        for layer in (0..model.table.layers.len()).rev() {
            self.block_backward(model, weights, layer, sequences.starts, dropout, gradient);
        }
        let layers = model.table.layers.len();
        let site = Site { model, dropout, layer: layers, after: AFTER_ATTENTION };
        site.drop_some(&mut self.gradients.stream);
        let table = &mut gradient[model.table.embedding.clone()];
        embedding::backward(kernels, sequences.tokens, &self.gradients.stream, table);
        loss
    }

    fn forward(
        &mut self,
        model: &Model,
        weights: &Weights,
        sequences: Sequences<'_>,
        dropout: Option<Dropout>,
    ) {
        let kernels = model.kernels;
        let layers = model.table.layers.len();
        let table = &weights.values[model.table.embedding.clone()];
        embedding::forward(kernels, table, sequences.tokens, &mut self.stream[0]);
        let site = Site { model, dropout, layer: layers, after: AFTER_ATTENTION };
        site.drop_some(&mut self.stream[0]);
        for layer in 0..layers {
            self.block_forward(model, weights, layer, sequences.starts, dropout);
        }
        rmsnorm::forward(
            kernels,
            &self.stream[layers],
            &weights.values[model.table.final_norm.clone()],
            model.spec.norm_epsilon as f32,
            &mut self.final_normed,
            &mut self.final_rms,
        );
    }

    fn block_forward(
        &mut self,
        model: &Model,
        weights: &Weights,
        layer: usize,
        starts: Option<&[u32]>,
        dropout: Option<Dropout>,
    ) {
        let (kernels, epsilon) = (model.kernels, model.spec.norm_epsilon as f32);
        let (shape, f) = (model.attention_shape(), model.spec.feed_forward_width() as usize);
        let c = model.spec.width as usize;
        let ranges = &model.table.layers[layer];
        let Block { qkv, out, gate_up, down } = weights.block(layer);
        let gain = |range: &std::ops::Range<usize>| &weights.values[range.clone()];
        let (before, after) = self.stream.split_at_mut(layer + 1);
        let (input, output) = (&before[layer], &mut after[0]);
        let (a, scratch) = (&mut self.layers[layer], &mut self.scratch);
        let Transient { normed, inner, branch } = &mut self.transient;

        rmsnorm::forward(
            kernels,
            input,
            gain(&ranges.attention_norm),
            epsilon,
            normed,
            &mut a.rms1,
        );
        linear::forward(kernels, normed, qkv, &mut a.qkv, scratch);
        let (stride, rotated) = (shape.qkv_width(), shape.heads + shape.kv_heads);
        for own in model.split(self.sequences) {
            let qkv = &mut a.qkv[own.of(stride)];
            rope::forward(kernels, model.rope(), qkv, stride, rotated);
            let (o, lse) = (&mut a.attended[own.of(c)], &mut a.lse[own.of(shape.heads)]);
            let starts = starts.map(|starts| &starts[own.of(1)]);
            attention::forward(kernels, shape, qkv, starts, o, lse, scratch);
        }
        a.middle.copy_from_slice(input);
        let site = Site { model, dropout, layer, after: AFTER_ATTENTION };
        site.add_branch(&a.attended, out, &mut a.middle, branch, scratch);

        rmsnorm::forward(
            kernels,
            &a.middle,
            gain(&ranges.feed_forward_norm),
            epsilon,
            normed,
            &mut a.rms2,
        );
        linear::forward(kernels, normed, gate_up, &mut a.gate_up, scratch);
        swiglu::forward(kernels, f, &a.gate_up, inner);
        output.copy_from_slice(&a.middle);
        let site = Site { model, dropout, layer, after: AFTER_FEED_FORWARD };
        site.add_branch(inner, down, output, branch, scratch);
    }

    fn block_backward(
        &mut self,
        model: &Model,
        weights: &Weights,
        layer: usize,
        starts: Option<&[u32]>,
        dropout: Option<Dropout>,
        gradient: &mut [f32],
    ) {
        let block = weights.block(layer);
        let ranges = &model.table.layers[layer];
        let Self { sequences, layers, transient, gradients, scratch, stream, .. } = self;
        let (sequences, values) = (*sequences, &weights.values[..]);
        let place = Place { model, sequences, layer, dropout, ranges, values };
        let a = &mut layers[layer];
        let memory = (&mut *transient, &mut *gradients, &mut *scratch);
        feed_forward_backward(&place, &block, a, memory, gradient);
        let memory = (transient, gradients, scratch);
        attention_backward(&place, &block, (a, &stream[layer], starts), memory, gradient);
    }
}

/// What the two halves of a block's backward pass need to know of where they are.
struct Place<'a> {
    model: &'a Model,
    sequences: usize,
    layer: usize,
    dropout: Option<Dropout>,
    ranges: &'a LayerRanges,
    values: &'a [f32],
}

fn feed_forward_backward(
    place: &Place<'_>,
    block: &Block<'_>,
    a: &mut LayerActivations,
    (again, d, scratch): (&mut Transient, &mut Gradients, &mut Scratch),
    gradient: &mut [f32],
) {
    let Place { model, layer, dropout, ranges, values, .. } = *place;
    let (kernels, c) = (model.kernels, model.spec.width as usize);
    let f = model.spec.feed_forward_width() as usize;
    let site = Site { model, dropout, layer, after: AFTER_FEED_FORWARD };
    let dbranch = site.branch_gradient(&d.stream, &mut d.branch);
    linear::backward_input(kernels, dbranch, block.down, &mut d.inner, scratch);
    swiglu::backward(kernels, f, &a.gate_up, &d.inner, &mut d.gate_up, &mut again.inner);
    let dw = &mut gradient[ranges.down.clone()];
    linear::backward_weight(kernels, &again.inner, dbranch, c, dw, scratch);
    linear::backward_input(kernels, &d.gate_up, block.gate_up, &mut d.normed, scratch);
    let norm = ranges.feed_forward_norm.clone();
    let (gain, epsilon) = (&values[norm.clone()], model.spec.norm_epsilon as f32);
    rmsnorm::forward(kernels, &a.middle, gain, epsilon, &mut again.normed, &mut a.rms2);
    let dw = &mut gradient[ranges.gate_up.clone()];
    linear::backward_weight(kernels, &again.normed, &d.gate_up, 2 * f, dw, scratch);
    let dgain = &mut gradient[norm];
    rmsnorm::backward(kernels, &a.middle, gain, &a.rms2, &d.normed, &mut d.stream, dgain);
}

fn attention_backward(
    place: &Place<'_>,
    block: &Block<'_>,
    (a, input, starts): (&mut LayerActivations, &[f32], Option<&[u32]>),
    (again, d, scratch): (&mut Transient, &mut Gradients, &mut Scratch),
    gradient: &mut [f32],
) {
    let Place { model, sequences, layer, dropout, ranges, values } = *place;
    let (kernels, c) = (model.kernels, model.spec.width as usize);
    let shape = model.attention_shape();
    let site = Site { model, dropout, layer, after: AFTER_ATTENTION };
    let dbranch = site.branch_gradient(&d.stream, &mut d.branch);
    linear::backward_input(kernels, dbranch, block.out, &mut d.attended, scratch);
    let dw = &mut gradient[ranges.out.clone()];
    linear::backward_weight(kernels, &a.attended, dbranch, c, dw, scratch);
    let (stride, rotated) = (shape.qkv_width(), shape.heads + shape.kv_heads);
    for own in model.split(sequences) {
        let (qkv, o) = (&a.qkv[own.of(stride)], &a.attended[own.of(c)]);
        let starts = starts.map(|starts| &starts[own.of(1)]);
        let saved = attention::Saved { qkv, starts, o, lse: &a.lse[own.of(shape.heads)] };
        let dqkv = &mut d.qkv[own.of(stride)];
        attention::backward(kernels, shape, saved, &d.attended[own.of(c)], dqkv, scratch);
        rope::backward(kernels, model.rope(), dqkv, stride, rotated);
    }
    linear::backward_input(kernels, &d.qkv, block.qkv, &mut d.normed, scratch);
    let norm = ranges.attention_norm.clone();
    let (gain, epsilon) = (&values[norm.clone()], model.spec.norm_epsilon as f32);
    rmsnorm::forward(kernels, input, gain, epsilon, &mut again.normed, &mut a.rms1);
    let dw = &mut gradient[ranges.qkv.clone()];
    linear::backward_weight(kernels, &again.normed, &d.qkv, stride, dw, scratch);
    let dgain = &mut gradient[norm];
    rmsnorm::backward(kernels, input, gain, &a.rms1, &d.normed, &mut d.stream, dgain);
}

/// A place of the model where dropout happens.
#[derive(Clone, Copy)]
struct Site<'a> {
    model: &'a Model,
    /// None: all activations stay.
    dropout: Option<Dropout>,
    /// The block, or the number of blocks for the embedding.
    layer: usize,
    /// [`AFTER_ATTENTION`] or [`AFTER_FEED_FORWARD`].
    after: usize,
}

impl Site<'_> {
    /// Multiplies activations `[T, C]`, or their gradients, with the mask of this site.
    fn drop_some(self, values: &mut [f32]) {
        let Self { model, dropout, layer, after } = self;
        if let Some(Dropout { rate, seed, step, row }) = dropout {
            let mask = dropout::Mask::new(rate, seed, step, layer, after);
            let elements = model.positions * model.spec.width as usize;
            dropout::apply(model.kernels, &mask, row * elements as u64, values);
        }
    }

    /// Adds a branch's output, `x` times its last matrix, to the residual stream.
    fn add_branch(
        self,
        x: &[f32],
        weights: &LinearWeights,
        stream: &mut [f32],
        branch: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let kernels = self.model.kernels;
        if self.dropout.is_none() {
            linear::forward_add(kernels, x, weights, stream, scratch);
            return;
        }
        linear::forward(kernels, x, weights, branch, scratch);
        self.drop_some(branch);
        adamw::add_assign(kernels, stream, branch);
    }

    /// The gradient of a branch's output: that of the residual stream, with dropout in `branch`.
    fn branch_gradient<'a>(self, stream: &'a [f32], branch: &'a mut [f32]) -> &'a [f32] {
        if self.dropout.is_none() {
            return stream;
        }
        branch.copy_from_slice(stream);
        self.drop_some(branch);
        branch
    }
}

fn scratch_bytes(model: &Model, sequences: usize) -> usize {
    let (kernels, c) = (model.kernels, model.spec.width as usize);
    let t = model.positions * sequences;
    let shape = model.attention_shape();
    let (f, v) = (model.spec.feed_forward_width() as usize, model.spec.vocabulary as usize);
    let products = [(shape.qkv_width(), c), (c, c), (2 * f, c), (c, f), (v, c)];
    let of_products =
        products.map(|(outputs, inputs)| linear::scratch_bytes(kernels, t, outputs, inputs));
    let of_loss = cross_entropy::scratch_bytes(kernels, t, v, c);
    let of_attention = attention::scratch_bytes(kernels, shape);
    of_products.into_iter().chain([of_loss, of_attention]).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use scarce_engine::isa::{Isa, Kernels, Precision};
    use scarce_engine::pool::Pool;

    use super::*;
    use crate::spec::preset;

    const T: usize = 24;

    /// Loss and gradient of rows 0 to 3, in passes of `sequences` rows.
    fn pass(model: &Model, sequences: usize, rate: f64) -> (f64, Vec<f32>) {
        let weights = Weights::initial(model, 5, &Pool::new(1));
        let tokens: Vec<u32> = (0..4 * T as u32).map(|i| i * i % 251).collect();
        let targets: Vec<u32> = tokens.iter().map(|token| (token + 1) % 251).collect();
        let starts: Vec<u32> = (0..4 * T as u32).map(|i| i % T as u32 / 7 * 7).collect();
        let mut lane = Lane::new(model, sequences);
        let (mut loss, mut gradient) = (0.0, vec![0.0; model.parameters()]);
        for row in (0..4).step_by(sequences) {
            let own = row * T..(row + sequences) * T;
            let sequences = Sequences {
                tokens: &tokens[own.clone()],
                targets: &targets[own.clone()],
                starts: Some(&starts[own]),
            };
            let dropout = Dropout { rate, seed: 1, step: 2, row: row as u64 };
            let of_model = (model, &weights);
            loss += lane.forward_backward(of_model, sequences, Some(dropout), 0.1, &mut gradient);
        }
        (loss, gradient)
    }

    #[test]
    fn a_pass_of_several_sequences_is_as_many_passes_of_one() {
        let kernels = Kernels::new(Isa::detect(), Precision::F32);
        let model = Model::new(&preset::find("pocket-150k").unwrap().model(256), T, kernels);
        for rate in [0.0, 0.2] {
            let (loss, gradient) = pass(&model, 1, rate);
            for sequences in [2, 4] {
                let (together, same) = pass(&model, sequences, rate);
                assert!((loss - together).abs() < 1e-9 * loss, "{loss} {together}");
                let differs = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-6 * a.abs() + 1e-7;
                let differing = gradient.iter().zip(&same).filter(|pair| differs(*pair)).count();
                assert_eq!(differing, 0, "of {} with {sequences} at {rate}", same.len());
            }
        }
    }

    #[test]
    fn a_pass_has_few_tokens_and_divides_a_lanes_rows() {
        let sequences = |vocabulary, positions, batch| {
            let kernels = Kernels::new(Isa::Portable, Precision::F32);
            Model::new(&preset::find("pocket-150k").unwrap().model(vocabulary), positions, kernels)
                .pass_sequences(batch)
        };
        assert_eq!([sequences(256, 128, 4), sequences(256, 128, 16)], [1, 2]);
        let large = |positions, batch| sequences(1 << 15, positions, batch);
        assert_eq!([large(128, 4), large(128, 16), large(256, 16)], [1, 4, 2]);
        assert_eq!([large(1024, 16), large(128, 24), large(128, 18)], [1, 3, 1]);
    }
}
