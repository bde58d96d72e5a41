//! The Llama decoder: shapes, the parameter table, forward and backward over the engine, files.
//!
//! One sequence at a time goes through all blocks, so that its activations stay in the cache;
//! a batch is a sum over sequences, done by lanes that each own a gradient.

mod files;
mod lane;
mod table;
mod weights;

use scarce_engine::isa::Kernels;
use scarce_engine::ops::attention::AttentionShape;
use scarce_engine::ops::rope::{Llama3Scaling, RopeTable};

use crate::spec::{ModelSpec, RopeScaling};

pub use files::{from_safetensors, to_safetensors};
pub use lane::{Dropout, Lane, Sequence};
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
        let rope = RopeTable::new(positions, spec.head_dim() as usize, spec.rope.theta, scaling);
        Self { spec: spec.clone(), table: Table::new(spec), positions, kernels, rope }
    }

    /// The number of parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.table.parameters()
    }

    /// Gradient lanes of a training step: a function of shapes only, so that sums keep their
    /// order on any number of threads. It is also the largest useful thread count of one run.
    /// Large models get fewer lanes, because each lane owns a gradient.
    #[must_use]
    pub fn lanes(&self, batch_sequences: usize) -> usize {
        let most = match self.parameters() {
            0..1_500_000 => 8,
            1_500_000..12_000_000 => 4,
            _ => 2,
        };
        most.min(batch_sequences)
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
