//! The weights of one member: the numbers, and their packed form for the matrix products.

use std::ops::Range;

use scarce_engine::buffer::Region;
use scarce_engine::buffer::{Floats, cut_bytes};
use scarce_engine::ops::linear::LinearWeights;
use scarce_engine::pool::Pool;

use super::{LayerRanges, Model};

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
        let mut region = Region::with_bytes(Self::planned_bytes(model));
        let values = region.floats(model.parameters());
        let kernels = model.kernels;
        let packed = matrices(model).map(|(range, outputs, inputs)| Packed {
            range,
            weights: LinearWeights::in_region(kernels, outputs, inputs, &mut region),
        });
        Self { packed: packed.collect(), values }
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
        let bytes = |(_, outputs, inputs)| LinearWeights::bytes(model.kernels, outputs, inputs);
        cut_bytes(model.parameters()) + matrices(model).map(bytes).sum::<usize>()
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

/// The matrices of the products, in the order in which they are packed: where each lies among the
/// parameters, its outputs and its inputs.
fn matrices(model: &Model) -> impl Iterator<Item = (Range<usize>, usize, usize)> {
    let width = model.spec.width as usize;
    let inner = model.spec.feed_forward_width() as usize;
    let of_layer = move |layer: &LayerRanges| {
        let LayerRanges { qkv, out, gate_up, down, .. } = layer.clone();
        [(qkv, width), (out, width), (gate_up, width), (down, inner)]
    };
    let head = (model.table.head.clone(), width);
    let all = model.table.layers.iter().flat_map(of_layer).chain([head]);
    all.map(|(range, inputs)| (range.clone(), range.len() / inputs, inputs))
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights({} parameters)", self.values.len())
    }
}
