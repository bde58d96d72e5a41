//! How long runs take: floating-point operations per second of a worker, measured by size.

use std::collections::BTreeMap;

use crate::spec::{JobId, TrainSpec};
use crate::store::Record;

/// The measured speeds by size.
#[derive(Debug, Default)]
pub(super) struct Speeds {
    /// (operations per token, operations per second of one worker), the latest measurement of each.
    measured: Vec<(f64, f64)>,
}

/// Operations of a run, held-out text included: a forward pass is a third of a training step.
pub(super) fn operations(spec: &TrainSpec, val_tokens: u64) -> f64 {
    let trained = spec.data.epochs * spec.data.budget_tokens as f64;
    let sampled = u64::from(spec.evaluation.points) * spec.evaluation.sample_tokens.min(val_tokens);
    let scored = (val_tokens + sampled) as f64;
    flops_per_token(spec) * (trained + scored / 3.0)
}

/// Operations of training on one token.
pub(super) fn flops_per_token(spec: &TrainSpec) -> f64 {
    spec.model.flops_per_token(spec.data.sequence_tokens) as f64
}

impl Speeds {
    /// Takes in the runs of a wave; of runs of one size the slowest counts.
    pub(super) fn learn(&mut self, wave: &[(&TrainSpec, &Record)], val_tokens: u64) {
        let mut seen: Vec<(f64, f64)> = Vec::new();
        for (spec, record) in wave.iter().filter(|(_, record)| record.cost.wall_seconds > 0.0) {
            let size = flops_per_token(spec);
            let rate = operations(spec, val_tokens) / record.cost.wall_seconds;
            match seen.iter_mut().find(|(other, _)| same(*other, size)) {
                Some((_, slowest)) => *slowest = slowest.min(rate),
                None => seen.push((size, rate)),
            }
        }
        self.measured.retain(|(size, _)| !seen.iter().any(|(other, _)| same(*other, *size)));
        self.measured.extend(seen);
    }

    /// Operations per second of one worker at a size: those of the nearest size that was measured.
    pub(super) fn at(&self, flops_per_token: f64) -> f64 {
        let distance = |(size, _): &&(f64, f64)| libm::log(size / flops_per_token).abs();
        let nearest = self.measured.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.map_or(f64::NAN, |&(_, rate)| rate)
    }

    /// Seconds that a run should take.
    pub(super) fn seconds(&self, spec: &TrainSpec, val_tokens: u64) -> f64 {
        operations(spec, val_tokens) / self.at(flops_per_token(spec))
    }
}

/// Seconds that jobs take on some workers, started in their order as workers become free.
pub(super) fn makespan(seconds: &[f64], workers: usize) -> f64 {
    let mut free = vec![0.0_f64; workers.max(1)];
    for &job in seconds {
        let next = (0..free.len()).min_by(|&a, &b| free[a].total_cmp(&free[b])).unwrap_or(0);
        free[next] += job;
    }
    free.into_iter().fold(0.0, f64::max)
}

/// Wall-clock seconds of distinct records on some workers, in the order in which the lab starts
/// them: those with the most operations first, and equal ones by their ids.
pub(super) fn makespan_of(records: &[Record], workers: usize) -> f64 {
    let distinct: BTreeMap<JobId, &Record> = records.iter().map(|r| (r.id, r)).collect();
    let mut ordered: Vec<&Record> = distinct.into_values().collect();
    ordered.sort_by(|a, b| b.cost.flops.total_cmp(&a.cost.flops));
    let seconds: Vec<f64> = ordered.iter().map(|record| record.cost.wall_seconds).collect();
    makespan(&seconds, workers)
}

fn same(left: f64, right: f64) -> bool {
    left.total_cmp(&right).is_eq()
}
