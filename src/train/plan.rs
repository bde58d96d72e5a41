//! What a run will need, known before its first step: `--dry-run` prints it.

use scarce_engine::isa::Kernels;

use crate::model::{Lane, Model, Weights};
use crate::spec::TrainSpec;

/// Memory, work and the useful number of threads of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Parameters, embeddings included.
    pub parameters: u64,
    /// Optimizer steps.
    pub steps: u64,
    /// Training tokens, repetitions counted.
    pub tokens: u64,
    /// Floating-point operations by formula.
    pub flops: f64,
    /// Gradient lanes; also the largest useful number of threads.
    pub lanes: usize,
    /// Weights, their packed copies and both moments, in bytes.
    pub state_bytes: u64,
    /// Gradients of all lanes, in bytes.
    pub gradient_bytes: u64,
    /// Activations and scratch of all threads, in bytes.
    pub activation_bytes: u64,
    /// What measuring held-out text takes beside that, in bytes: a sequence of activations for each
    /// thread, and the rotation, which both need.
    pub evaluation_bytes: u64,
    /// The finished weights on disk, in bytes.
    pub disk_bytes: u64,
}

impl Plan {
    /// The plan of a run of `steps` steps on `threads` threads. Computing it takes no memory of the
    /// run's size.
    #[must_use]
    pub fn new(spec: &TrainSpec, steps: u64, kernels: Kernels, threads: usize) -> Self {
        let sequence = spec.data.sequence_tokens;
        let model = Model::outline(&spec.model, sequence as usize, kernels);
        let batch = spec.optim.batch_sequences();
        let lanes = model.lanes(batch as usize);
        let sequences = model.pass_sequences(batch as usize);
        let parameters = model.parameters() as u64;
        let tokens = steps * u64::from(batch) * u64::from(sequence);
        let workers = threads.min(lanes).max(1) as u64;
        Self {
            parameters,
            steps,
            tokens,
            flops: tokens as f64 * spec.model.flops_per_token(sequence) as f64,
            lanes,
            state_bytes: Weights::planned_bytes(&model) as u64 + 8 * parameters,
            gradient_bytes: 4 * parameters * lanes as u64,
            activation_bytes: workers * Lane::bytes(&model, sequences) as u64,
            evaluation_bytes: (threads.saturating_mul(Lane::bytes(&model, 1)))
                .saturating_add(model.rotation_bytes()) as u64,
            disk_bytes: 4 * parameters,
        }
    }

    /// All memory in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let parts = [self.gradient_bytes, self.activation_bytes, self.evaluation_bytes];
        parts.into_iter().fold(self.state_bytes, u64::saturating_add)
    }
}
