//! The Llama decoder: shapes, the parameter table, forward and backward over the engine, files.
//!
//! A few sequences at a time, 256 or 512 tokens, go through all blocks, so that their activations
//! stay in the cache; a batch is a sum over sequences, done by lanes that each own a gradient.

mod files;
mod lane;
mod table;
mod weights;

use scarce_engine::isa::Kernels;
use scarce_engine::ops::attention::AttentionShape;
use scarce_engine::ops::rope::{Llama3Scaling, RopeTable};

use crate::spec::{ModelSpec, RopeScaling};

pub use files::{from_safetensors, half_to_f32, to_safetensors};
pub use lane::{Dropout, Lane, Sequences};
pub use table::{Initial, LayerRanges, Table, Tensor};
pub use weights::Weights;

/// A target that is not predicted.
pub const NO_TARGET: u32 = u32::MAX;

/// What all lanes of a run share: shape, table, rotation and kernels, but no weights.
#[derive(Debug)]
pub struct Model {
    /// The shape.
    pub spec: ModelSpec,
    /// The parameter table.
    pub table: Table,
    /// Tokens T of a sequence.
    pub positions: usize,
    /// Kernels in use.
    pub kernels: Kernels,
    rope: RopeTable,
}

impl Model {
    /// A model for sequences of `positions` tokens.
    #[must_use]
    pub fn new(spec: &ModelSpec, positions: usize, kernels: Kernels) -> Self {
        Self::rotated(spec, (positions, positions), kernels)
    }

    /// A model without its rotation, which cannot compute: for plans of models that memory may not
    /// hold.
    #[must_use]
    pub fn outline(spec: &ModelSpec, positions: usize, kernels: Kernels) -> Self {
        Self::rotated(spec, (positions, 0), kernels)
    }

    fn rotated(spec: &ModelSpec, (positions, rotated): (usize, usize), kernels: Kernels) -> Self {
        let scaling = match spec.rope.scaling {
            RopeScaling::None {} => None,
            RopeScaling::Llama3 {
                factor,
                low_frequency_factor,
                high_frequency_factor,
                original_positions,
            } => Some(Llama3Scaling {
                factor,
                low_frequency_factor,
                high_frequency_factor,
                original_positions: f64::from(original_positions),
            }),
        };
        let rope = RopeTable::new(rotated, spec.head_dim() as usize, spec.rope.theta, scaling);
        Self { spec: spec.clone(), table: Table::new(spec), positions, kernels, rope }
    }

    /// Bytes of the rotation: a cosine and a sine for each pair of coordinates of a head.
    #[must_use]
    pub fn rotation_bytes(&self) -> usize {
        4 * self.positions * self.spec.head_dim() as usize
    }

    /// The number of parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.table.parameters()
    }

    /// Gradient lanes of a training step: a function of shapes only, so that sums keep their
    /// order on any number of threads. It is also the largest useful thread count of one run.
    /// Each lane owns a gradient, so that more of them cost memory and, by its traffic, speed: four
    /// instead of eight made a step of a small model 6 % faster on two threads.
    #[must_use]
    pub fn lanes(&self, batch_sequences: usize) -> usize {
        let most = if self.parameters() < 12_000_000 { 4 } else { 2 };
        most.min(batch_sequences)
    }

    /// Sequences that a lane takes in one pass, the same number in every pass. A pass reads and
    /// writes the gradient of every weight, so a large model takes 512 tokens at once; the gradient
    /// of a small one stays in the cache, and rather its activations should. (Measured on two
    /// threads: 256 instead of 512 tokens are 8 % faster with 1 M parameters, 4 % slower with 7 M.)
    #[must_use]
    pub fn pass_sequences(&self, batch_sequences: usize) -> usize {
        let pass_tokens = if self.parameters() < 2_000_000 { 256 } else { 512 };
        let lanes = self.lanes(batch_sequences);
        let of_lane =
            if batch_sequences.is_multiple_of(lanes) { batch_sequences / lanes } else { 1 };
        let fits = |n: &usize| of_lane.is_multiple_of(*n);
        let most = of_lane.min(pass_tokens / self.positions);
        (1..=most).rev().find(fits).unwrap_or(1)
    }

    /// The parts of a pass that belong to its sequences.
    fn split(&self, sequences: usize) -> impl Iterator<Item = Positions> {
        let positions = self.positions;
        (0..sequences).map(move |index| Positions(index * positions..(index + 1) * positions))
    }

    pub(crate) fn attention_shape(&self) -> AttentionShape {
        AttentionShape {
            positions: self.positions,
            heads: self.spec.heads as usize,
            kv_heads: self.spec.kv_heads as usize,
            head_dim: self.spec.head_dim() as usize,
        }
    }

    pub(crate) fn rope(&self) -> &RopeTable {
        &self.rope
    }
}

/// The positions of one sequence of a pass.
struct Positions(std::ops::Range<usize>);

impl Positions {
    /// The elements of these positions in a matrix `[T, width]`.
    fn of(&self, width: usize) -> std::ops::Range<usize> {
        self.0.start * width..self.0.end * width
    }
}
