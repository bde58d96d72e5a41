//! A lane takes one sequence at a time through the model, forward and backward.
//!
//! Legend: T positions, C width, H heads, F inner width, V vocabulary.
//!
//! All memory of a lane is allocated when it is made. Activations of one sequence are kept for the
//! backward pass; nothing is recomputed but the attention probabilities and the logits. Gradients
//! of parameters are added to the given buffer; gradients of activations are overwritten, except
//! on the residual stream, where each half of a block adds its own.

use scarce_engine::buffer::{Floats, Scratch};
use scarce_engine::ops::{
    adamw, attention, cross_entropy, dropout, embedding, linear, rmsnorm, rope, swiglu,
};

use super::weights::{Block, Weights};
use super::{LayerRanges, Model};

/// The tokens of one sequence, T of each.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Input tokens.
    pub tokens: &'a [u32],
    /// Next tokens; [`super::NO_TARGET`] where nothing is predicted.
    pub targets: &'a [u32],
    /// First position that each position may attend to; `None`: position 0 for all.
    pub starts: Option<&'a [u32]>,
}

/// Where in a run a sequence stands: what its dropout masks are a function of.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// Share of activations dropped.
    pub rate: f64,
    /// `seeds.init` of the run.
    pub seed: u64,
    /// Optimizer step.
    pub step: u64,
    /// Place of the sequence in the batch.
    pub row: u64,
}

/// Sites of dropout inside a block; the embedding has the block number past the last.
const AFTER_ATTENTION: usize = 0;
const AFTER_FEED_FORWARD: usize = 1;

/// Working memory for one sequence.
#[derive(Debug)]
pub struct Lane {
    /// The residual stream before each block, and after the last: each `[T, C]`.
    stream: Vec<Floats>,
    layers: Vec<LayerActivations>,
    final_rms: Floats,
    final_normed: Floats,
    gradients: Gradients,
    scratch: Scratch,
}

/// What a block keeps for its backward pass.
#[derive(Debug)]
struct LayerActivations {
    /// 1 / rms before attention, `[T]`.
    rms1: Floats,
    /// Normalized input of attention, `[T, C]`.
    normed1: Floats,
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
    /// Normalized input of the feed-forward half, `[T, C]`.
    normed2: Floats,
    /// Gate and up, `[T, 2 F]`.
    gate_up: Floats,
    /// silu(gate) * up, `[T, F]`.
    inner: Floats,
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
    /// A lane for sequences of `model.positions` tokens.
    #[must_use]
    pub fn new(model: &Model) -> Self {
        let (t, c) = (model.positions, model.spec.width as usize);
        let shape = model.attention_shape();
        let (qkv, heads, f) =
            (shape.qkv_width(), shape.heads, model.spec.feed_forward_width() as usize);
        let zeroed = Floats::zeroed;
        let layer = || LayerActivations {
            rms1: zeroed(t),
            normed1: zeroed(t * c),
            qkv: zeroed(t * qkv),
            attended: zeroed(t * c),
            lse: zeroed(heads * t),
            middle: zeroed(t * c),
            rms2: zeroed(t),
            normed2: zeroed(t * c),
            gate_up: zeroed(t * 2 * f),
            inner: zeroed(t * f),
        };
        Self {
            stream: (0..=model.spec.layers).map(|_| zeroed(t * c)).collect(),
            layers: (0..model.spec.layers).map(|_| layer()).collect(),
            final_rms: zeroed(t),
            final_normed: zeroed(t * c),
            gradients: Gradients {
                stream: zeroed(t * c),
                branch: zeroed(t * c),
                normed: zeroed(t * c),
                qkv: zeroed(t * qkv),
                attended: zeroed(t * c),
                gate_up: zeroed(t * 2 * f),
                inner: zeroed(t * f),
            },
            scratch: Scratch::with_bytes(scratch_bytes(model)),
        }
    }

    /// The lane's memory in bytes.
    #[must_use]
    pub fn bytes(model: &Model) -> usize {
        let (t, c) = (model.positions, model.spec.width as usize);
        let shape = model.attention_shape();
        let (qkv, f) = (shape.qkv_width(), model.spec.feed_forward_width() as usize);
        let layer = 2 * t + 4 * t * c + t * qkv + shape.heads * t + 3 * t * f;
        let shared = t + 2 * t * c + 4 * t * c + t * qkv + 3 * t * f;
        let layers = model.spec.layers as usize;
        4 * (layers * (layer + t * c) + shared) + scratch_bytes(model)
    }

    /// Log-probabilities (nats) of the targets into `log_probs` `[T]`, 0 where there is none.
    /// Returns their negative sum.
    pub fn score(
        &mut self,
        model: &Model,
        weights: &Weights,
        sequence: Sequence<'_>,
        log_probs: &mut [f32],
    ) -> f64 {
        self.forward(model, weights, sequence, None);
        let (x, head) = (&self.final_normed, weights.head());
        let scratch = &mut self.scratch;
        cross_entropy::forward(model.kernels, x, head, sequence.targets, log_probs, scratch)
    }

    /// Takes a sequence through all blocks, for [`Lane::project`] to make logits of.
    pub fn hidden(&mut self, model: &Model, weights: &Weights, sequence: Sequence<'_>) {
        self.forward(model, weights, sequence, None);
    }

    /// Logits of some positions of the last sequence into `logits` `[rows, V]`.
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

    /// Adds the gradient of `scale` times the summed loss of the sequence to `gradient` (all
    /// parameters, in the table's order). Returns the summed loss in nats, unscaled.
    pub fn forward_backward(
        &mut self,
        (model, weights): (&Model, &Weights),
        sequence: Sequence<'_>,
        dropout: Option<Dropout>,
        scale: f32,
        gradient: &mut [f32],
    ) -> f64 {
        let dropout = dropout.filter(|dropout| dropout.rate > 0.0);
        self.forward(model, weights, sequence, dropout);
        let Self { final_normed, gradients, scratch, final_rms, stream, .. } = self;
        let dhead = &mut gradient[model.table.head.clone()];
        let of_loss = cross_entropy::Gradients { scale, dx: &mut gradients.normed, dhead };
        let (head, targets) = (weights.head(), sequence.targets);
        let kernels = model.kernels;
        let loss =
            cross_entropy::forward_backward(kernels, final_normed, head, targets, of_loss, scratch);
        gradients.stream.fill(0.0);
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
            self.block_backward(model, weights, layer, sequence.starts, dropout, gradient);
        }
        let layers = model.table.layers.len();
        drop_some(model, dropout, layers, AFTER_ATTENTION, &mut self.gradients.stream);
        let table = &mut gradient[model.table.embedding.clone()];
        embedding::backward(kernels, sequence.tokens, &self.gradients.stream, table);
        loss
    }

    fn forward(
        &mut self,
        model: &Model,
        weights: &Weights,
        sequence: Sequence<'_>,
        dropout: Option<Dropout>,
    ) {
        let kernels = model.kernels;
        let layers = model.table.layers.len();
        let table = &weights.values[model.table.embedding.clone()];
        embedding::forward(kernels, table, sequence.tokens, &mut self.stream[0]);
        drop_some(model, dropout, layers, AFTER_ATTENTION, &mut self.stream[0]);
        for layer in 0..layers {
            self.block_forward(model, weights, layer, sequence.starts, dropout);
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
        let ranges = &model.table.layers[layer];
        let Block { qkv, out, gate_up, down } = weights.block(layer);
        let gain = |range: &std::ops::Range<usize>| &weights.values[range.clone()];
        let (before, after) = self.stream.split_at_mut(layer + 1);
        let (input, output) = (&before[layer], &mut after[0]);
        let (a, scratch, branch) =
            (&mut self.layers[layer], &mut self.scratch, &mut self.gradients.branch);

        rmsnorm::forward(
            kernels,
            input,
            gain(&ranges.attention_norm),
            epsilon,
            &mut a.normed1,
            &mut a.rms1,
        );
        linear::forward(kernels, &a.normed1, qkv, &mut a.qkv, scratch);
        let (stride, rotated) = (shape.qkv_width(), shape.heads + shape.kv_heads);
        rope::forward(kernels, model.rope(), &mut a.qkv, stride, rotated);
        attention::forward(kernels, shape, &a.qkv, starts, &mut a.attended, &mut a.lse, scratch);
        linear::forward(kernels, &a.attended, out, branch, scratch);
        drop_some(model, dropout, layer, AFTER_ATTENTION, branch);
        a.middle.copy_from_slice(input);
        adamw::add_assign(kernels, &mut a.middle, branch);

        rmsnorm::forward(
            kernels,
            &a.middle,
            gain(&ranges.feed_forward_norm),
            epsilon,
            &mut a.normed2,
            &mut a.rms2,
        );
        linear::forward(kernels, &a.normed2, gate_up, &mut a.gate_up, scratch);
        swiglu::forward(kernels, f, &a.gate_up, &mut a.inner);
        linear::forward(kernels, &a.inner, down, branch, scratch);
        drop_some(model, dropout, layer, AFTER_FEED_FORWARD, branch);
        output.copy_from_slice(&a.middle);
        adamw::add_assign(kernels, output, branch);
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
        let place = Place { model, layer, dropout, ranges, values: &weights.values };
        let Self { layers, gradients, scratch, stream, .. } = self;
        let a = &layers[layer];
        feed_forward_backward(&place, &block, a, gradients, gradient, scratch);
        attention_backward(
            &place,
            &block,
            (a, &stream[layer], starts),
            gradients,
            gradient,
            scratch,
        );
    }
}

/// What the two halves of a block's backward pass need to know of where they are.
struct Place<'a> {
    model: &'a Model,
    layer: usize,
    dropout: Option<Dropout>,
    ranges: &'a LayerRanges,
    values: &'a [f32],
}

fn feed_forward_backward(
    place: &Place<'_>,
    block: &Block<'_>,
    a: &LayerActivations,
    d: &mut Gradients,
    gradient: &mut [f32],
    scratch: &mut Scratch,
) {
    let Place { model, layer, dropout, ranges, values } = *place;
    let (kernels, c) = (model.kernels, model.spec.width as usize);
    let f = model.spec.feed_forward_width() as usize;
    d.branch.copy_from_slice(&d.stream);
    drop_some(model, dropout, layer, AFTER_FEED_FORWARD, &mut d.branch);
    linear::backward_input(kernels, &d.branch, block.down, &mut d.inner, scratch);
    let dw = &mut gradient[ranges.down.clone()];
    linear::backward_weight(kernels, &a.inner, &d.branch, c, dw, scratch);
    swiglu::backward(kernels, f, &a.gate_up, &d.inner, &mut d.gate_up);
    linear::backward_input(kernels, &d.gate_up, block.gate_up, &mut d.normed, scratch);
    let dw = &mut gradient[ranges.gate_up.clone()];
    linear::backward_weight(kernels, &a.normed2, &d.gate_up, 2 * f, dw, scratch);
    let norm = ranges.feed_forward_norm.clone();
    let gain = &values[norm.clone()];
    let dgain = &mut gradient[norm];
    rmsnorm::backward(kernels, &a.middle, gain, &a.rms2, &d.normed, &mut d.stream, dgain);
}

fn attention_backward(
    place: &Place<'_>,
    block: &Block<'_>,
    (a, input, starts): (&LayerActivations, &[f32], Option<&[u32]>),
    d: &mut Gradients,
    gradient: &mut [f32],
    scratch: &mut Scratch,
) {
    let Place { model, layer, dropout, ranges, values } = *place;
    let (kernels, c) = (model.kernels, model.spec.width as usize);
    let shape = model.attention_shape();
    d.branch.copy_from_slice(&d.stream);
    drop_some(model, dropout, layer, AFTER_ATTENTION, &mut d.branch);
    linear::backward_input(kernels, &d.branch, block.out, &mut d.attended, scratch);
    let dw = &mut gradient[ranges.out.clone()];
    linear::backward_weight(kernels, &a.attended, &d.branch, c, dw, scratch);
    let saved = attention::Saved { qkv: &a.qkv, starts, o: &a.attended, lse: &a.lse };
    attention::backward(kernels, shape, saved, &d.attended, &mut d.qkv, scratch);
    let (stride, rotated) = (shape.qkv_width(), shape.heads + shape.kv_heads);
    rope::backward(kernels, model.rope(), &mut d.qkv, stride, rotated);
    linear::backward_input(kernels, &d.qkv, block.qkv, &mut d.normed, scratch);
    let dw = &mut gradient[ranges.qkv.clone()];
    linear::backward_weight(kernels, &a.normed1, &d.qkv, stride, dw, scratch);
    let norm = ranges.attention_norm.clone();
    let gain = &values[norm.clone()];
    let dgain = &mut gradient[norm];
    rmsnorm::backward(kernels, input, gain, &a.rms1, &d.normed, &mut d.stream, dgain);
}

/// Multiplies activations `[T, C]`, or their gradients, with the mask of this place.
fn drop_some(
    model: &Model,
    dropout: Option<Dropout>,
    layer: usize,
    site: usize,
    values: &mut [f32],
) {
    if let Some(Dropout { rate, seed, step, row }) = dropout {
        let mask = dropout::Mask::new(rate, seed, step, layer, site);
        dropout::apply(model.kernels, &mask, row * values.len() as u64, values);
    }
}

fn scratch_bytes(model: &Model) -> usize {
    let (kernels, t, c) = (model.kernels, model.positions, model.spec.width as usize);
    let shape = model.attention_shape();
    let (f, v) = (model.spec.feed_forward_width() as usize, model.spec.vocabulary as usize);
    let products = [(shape.qkv_width(), c), (c, c), (2 * f, c), (c, f), (v, c)];
    let of_products =
        products.map(|(outputs, inputs)| linear::scratch_bytes(kernels, t, outputs, inputs));
    let of_loss = cross_entropy::scratch_bytes(kernels, t, v, c);
    let of_attention = attention::scratch_bytes(kernels, shape);
    of_products.into_iter().chain([of_loss, of_attention]).max().unwrap_or(0)
}
