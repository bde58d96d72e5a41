//! The parameter table: every tensor with its name, shape, place, initial distribution and whether
//! weight decay reaches it. A project about weight decay keeps a golden copy per preset.
//!
//! Tensors have their Hugging Face names and lie one after another in a single buffer, so that
//! q, k and v (and gate and up) of a block are one matrix for the products.

use std::fmt::Write as _;
use std::ops::Range;

use scarce_engine::isa::Kernels;
use scarce_engine::pool::Pool;
use scarce_engine::random::Stream;

use crate::spec::{Init, ModelSpec};

/// One tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Hugging Face name.
    pub name: String,
    /// Rows and columns of a matrix, row-major `[outputs, inputs]`; one number for a vector.
    pub shape: Vec<usize>,
    /// Where it lies in the buffer of all parameters.
    pub range: Range<usize>,
    /// How it starts.
    pub initial: Initial,
    /// Whether weight decay reaches it, `decay_norms` aside (mission T1: not embeddings and norms;
    /// the head and all other matrices are decayed).
    pub decay: bool,
}

/// The distribution of a tensor's first values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// All ones: norm gains.
    Ones,
    /// Normal truncated at 3 standard deviations, not rescaled, times this.
    Normal {
        /// Factor of the truncated standard normal.
        scale: f64,
    },
}

/// All tensors of a model in storage order.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The tensors.
    pub tensors: Vec<Tensor>,
    /// Places of each block's matrices.
    pub layers: Vec<LayerRanges>,
    /// Token embedding `[V, C]`.
    pub embedding: Range<usize>,
    /// Gain of the final norm `[C]`.
    pub final_norm: Range<usize>,
    /// Output head `[V, C]`; the embedding itself when tied.
    pub head: Range<usize>,
}

/// Places of one block's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerRanges {
    /// Gain of the norm before attention `[C]`.
    pub attention_norm: Range<usize>,
    /// q, k and v as one matrix `[(H + 2 KV) * head_dim, C]`.
    pub qkv: Range<usize>,
    /// Attention output `[C, C]`.
    pub out: Range<usize>,
    /// Gain of the norm before the feed-forward half `[C]`.
    pub feed_forward_norm: Range<usize>,
    /// gate and up as one matrix `[2 F, C]`.
    pub gate_up: Range<usize>,
    /// down `[C, F]`.
    pub down: Range<usize>,
}

impl Table {
    /// The table of a model.
    #[must_use]
    pub fn new(spec: &ModelSpec) -> Self {
        let mut builder = Builder { spec, tensors: Vec::new() };
        let [width, vocabulary] = [spec.width as usize, spec.vocabulary as usize];
        let embedding = builder.matrix("model.embed_tokens.weight", vocabulary, width);
        let layers = (0..spec.layers).map(|layer| builder.layer(layer)).collect();
        let final_norm = builder.gain("model.norm.weight");
        let head = match spec.tied {
            true => embedding.clone(),
            false => builder.matrix("lm_head.weight", vocabulary, width),
        };
        Self { tensors: builder.tensors, layers, embedding, final_norm, head }
    }

    /// The number of parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.tensors.last().map_or(0, |tensor| tensor.range.end)
    }

    /// Runs of the buffer with the same decay, in order.
    #[must_use]
    pub fn decay_runs(&self, decay_norms: bool) -> Vec<(Range<usize>, bool)> {
        let mut runs: Vec<(Range<usize>, bool)> = Vec::new();
        for tensor in &self.tensors {
            let decay = tensor.decay || (decay_norms && tensor.initial == Initial::Ones);
            match runs.last_mut() {
                Some((range, same)) if *same == decay => range.end = tensor.range.end,
                _ => runs.push((tensor.range.clone(), decay)),
            }
        }
        runs
    }

    /// Fills `values` with the first weights: a pure function of the seed and each tensor's name,
    /// so that a tensor's draw does not depend on the others, nor on the pool's threads.
    pub fn initialize(
        &self,
        (kernels, pool): (Kernels, &Pool),
        (spec, seed): (&ModelSpec, u64),
        values: &mut [f32],
    ) {
        /// Numbers drawn in one task.
        const PIECE: usize = 1 << 14;
        let mut pieces = Vec::new();
        let mut rest = values;
        for tensor in &self.tensors {
            let (own, others) = rest.split_at_mut(tensor.range.len());
            rest = others;
            let firsts = (0_u64..).step_by(PIECE);
            pieces
                .extend(firsts.zip(own.chunks_mut(PIECE)).map(|(first, own)| (tensor, first, own)));
        }
        pool.run(&mut pieces, |_, (tensor, first, values)| match tensor.initial {
            Initial::Ones => values.fill(1.0),
            Initial::Normal { scale } => {
                let stream = Stream::new(seed, name_key(draw_name(spec, &tensor.name)));
                let scale = scale as f32;
                stream.fill_truncated_normal(kernels, *first, values);
                values.iter_mut().for_each(|value| *value *= scale);
            }
        });
    }

    /// The table as text, one tensor a line: for golden files and for `scarce show`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for tensor in &self.tensors {
            let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
            let initial = match tensor.initial {
                Initial::Ones => "ones".to_owned(),
                Initial::Normal { scale } => format!("normal * {scale:.6}"),
            };
            let decay = if tensor.decay { "decay" } else { "no decay" };
            let (name, shape) = (&tensor.name, shape.join(" x "));
            writeln!(text, "{name} | {shape} | {initial} | {decay}").expect("text grows");
        }
        text
    }
}

/// In paper mode the head takes the embedding's draw, as the authors' code does.
fn draw_name<'a>(spec: &ModelSpec, name: &'a str) -> &'a str {
    match spec.init {
        Init::FanIn { shared_head: true } if name == "lm_head.weight" => {
            "model.embed_tokens.weight"
        }
        _ => name,
    }
}

/// The stream of a tensor: the first 8 bytes of its name's hash.
fn name_key(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
    u64::from_le_bytes(*first)
}

struct Builder<'a> {
    spec: &'a ModelSpec,
    tensors: Vec<Tensor>,
}

impl Builder<'_> {
    fn push(&mut self, name: &str, shape: &[usize], initial: Initial, decay: bool) -> Range<usize> {
        let start = self.tensors.last().map_or(0, |tensor| tensor.range.end);
        let range = start..start + shape.iter().product::<usize>();
        let (name, shape) = (name.to_owned(), shape.to_vec());
        self.tensors.push(Tensor { name, shape, range: range.clone(), initial, decay });
        range
    }

    fn gain(&mut self, name: &str) -> Range<usize> {
        self.push(name, &[self.spec.width as usize], Initial::Ones, false)
    }

    fn matrix(&mut self, name: &str, outputs: usize, inputs: usize) -> Range<usize> {
        let embedding = name == "model.embed_tokens.weight";
        let scale = match self.spec.init {
            Init::FanIn { .. } if embedding => 1.0 / f64::from(self.spec.width),
            Init::FanIn { .. } => 1.0 / (inputs as f64).sqrt(),
            Init::Width { scale } => scale / f64::from(self.spec.width).sqrt(),
        };
        self.push(name, &[outputs, inputs], Initial::Normal { scale }, !embedding)
    }

    fn layer(&mut self, layer: u32) -> LayerRanges {
        let spec = self.spec;
        let [width, inner] = [spec.width, spec.feed_forward_width()].map(|n| n as usize);
        let key_width = (spec.kv_heads * spec.head_dim()) as usize;
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let join = |first: Range<usize>, last: Range<usize>| first.start..last.end;

        let attention_norm = self.gain(&name("input_layernorm"));
        let q = self.matrix(&name("self_attn.q_proj"), width, width);
        let _k = self.matrix(&name("self_attn.k_proj"), key_width, width);
        let v = self.matrix(&name("self_attn.v_proj"), key_width, width);
        let out = self.matrix(&name("self_attn.o_proj"), width, width);
        let feed_forward_norm = self.gain(&name("post_attention_layernorm"));
        let gate = self.matrix(&name("mlp.gate_proj"), inner, width);
        let up = self.matrix(&name("mlp.up_proj"), inner, width);
        let down = self.matrix(&name("mlp.down_proj"), width, inner);
        let (qkv, gate_up) = (join(q, v), join(gate, up));
        LayerRanges { attention_norm, qkv, out, feed_forward_norm, gate_up, down }
    }
}

#[cfg(test)]
mod tests {
    use scarce_engine::isa::{Isa, Precision};

    use super::*;
    use crate::golden;
    use crate::spec::preset::{self, PRESETS};

    #[test]
    fn every_preset_has_a_golden_table() {
        for preset in PRESETS {
            let spec = preset.model(512);
            let table = Table::new(&spec);
            assert_eq!(table.parameters() as u64, spec.parameters(), "{}", preset.name);
            golden::check(&format!("tensors-{}.txt", preset.name), &table.text());
        }
    }

    #[test]
    fn decay_runs_cover_everything_once() {
        let table = Table::new(&preset::find("pocket-150k").unwrap().model(256));
        for decay_norms in [false, true] {
            let runs = table.decay_runs(decay_norms);
            assert_eq!(runs[0].0.start, 0);
            assert!(runs.windows(2).all(|pair| pair[0].0.end == pair[1].0.start));
            assert_eq!(runs.last().unwrap().0.end, table.parameters());
            // The embedding is never decayed; with decayed norms everything else is.
            assert_eq!(runs[0], (table.embedding.clone().start..runs[0].0.end, false));
            assert_eq!(runs.len() == 2, decay_norms);
        }
    }

    #[test]
    fn draws_depend_on_seed_and_name_alone() {
        let mut spec = preset::find("pocket-150k").unwrap().model(64);
        let draw = |spec: &ModelSpec, seed| {
            let table = Table::new(spec);
            let mut values = vec![0.0; table.parameters()];
            let kernels = Kernels::new(Isa::Portable, Precision::F32);
            table.initialize((kernels, &Pool::new(3)), (spec, seed), &mut values);
            (table, values)
        };
        let (table, values) = draw(&spec, 1);
        assert_ne!(values, draw(&spec, 2).1);
        assert_eq!(values, draw(&spec, 1).1);
        assert_ne!(values[table.embedding.clone()], values[table.head.clone()]);
        let spread = values[table.head.clone()].iter().map(|x| f64::from(x * x)).sum::<f64>();
        let scale = (spread / table.head.len() as f64).sqrt();
        assert!((scale / (0.6 / 8.0 * 0.98658) - 1.0).abs() < 0.02, "{scale}");

        // Paper mode: the head equals sqrt(C) times the embedding at step 0.
        spec.init = Init::FanIn { shared_head: true };
        let (table, values) = draw(&spec, 1);
        for (head, embedding) in values[table.head].iter().zip(&values[table.embedding]) {
            assert!((head - 8.0 * embedding).abs() <= 1e-6 * head.abs());
        }
    }
}
