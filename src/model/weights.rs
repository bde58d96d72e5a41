//! The weights of one member: the numbers, and their packed form for the matrix products.

use std::ops::Range;

use scarce_engine::buffer::Floats;
use scarce_engine::ops::linear::LinearWeights;
use scarce_engine::pool::Pool;

use super::Model;

/// All parameters in the order of the table, and the products' packed copies of the matrices.
pub struct Weights {
    /// The parameters. After a change [`Weights::pack`] must be called.
    pub values: Floats,
    /// Packed matrices: four per block in the order qkv, out, gate-up, down; then the head.
    packed: Vec<Packed>,
}

struct Packed {
    range: Range<usize>,
    weights: LinearWeights,
}

/// The packed matrices of one block.
pub(super) struct Block<'a> {
    pub(super) qkv: &'a LinearWeights,
    pub(super) out: &'a LinearWeights,
    pub(super) gate_up: &'a LinearWeights,
    pub(super) down: &'a LinearWeights,
}

impl Weights {
    /// Zero weights of a model; all memory is allocated here.
    #[must_use]
    pub fn zeroed(model: &Model) -> Self {
        let width = model.spec.width as usize;
        let inner = model.spec.feed_forward_width() as usize;
        let pack = |range: &Range<usize>, inputs: usize| Packed {
            range: range.clone(),
            weights: LinearWeights::new(model.kernels, range.len() / inputs, inputs),
        };
        let mut packed = Vec::new();
        for layer in &model.table.layers {
            packed.push(pack(&layer.qkv, width));
            packed.push(pack(&layer.out, width));
            packed.push(pack(&layer.gate_up, width));
            packed.push(pack(&layer.down, inner));
        }
        packed.push(pack(&model.table.head, width));
        Self { values: Floats::zeroed(model.parameters()), packed }
    }

    /// The first weights of a run.
    #[must_use]
    pub fn initial(model: &Model, seed: u64, pool: &Pool) -> Self {
        let mut weights = Self::zeroed(model);
        let draw = (&model.spec, seed);
        model.table.initialize((model.kernels, pool), draw, &mut weights.values);
        weights.pack(pool);
        weights
    }

    /// Packs all matrices anew, one task each.
    pub fn pack(&mut self, pool: &Pool) {
        let values = &self.values;
        pool.run(&mut self.packed, |_, packed| {
            packed.weights.pack(&values[packed.range.clone()]);
        });
    }

    /// The memory of values and packed copies of a model in bytes.
    #[must_use]
    pub fn planned_bytes(model: &Model) -> usize {
        // Zeroed buffers are not touched by the system before they are used: asking is cheap.
        let weights = Self::zeroed(model);
        let packed: usize = weights.packed.iter().map(|packed| packed.weights.bytes()).sum();
        4 * weights.values.len() + packed
    }

    pub(super) fn block(&self, layer: usize) -> Block<'_> {
        let [qkv, out, gate_up, down] = &self.packed[4 * layer..4 * layer + 4] else {
            unreachable!("four matrices per block")
        };
        Block {
            qkv: &qkv.weights,
            out: &out.weights,
            gate_up: &gate_up.weights,
            down: &down.weights,
        }
    }

    pub(super) fn head(&self) -> &LinearWeights {
        &self.packed.last().expect("the head is always there").weights
    }
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights({} parameters)", self.values.len())
    }
}
