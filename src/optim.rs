//! The learning rate as a function of the step, and AdamW over the whole parameter buffer.
//!
//! A step goes over the buffer in pieces of a fixed size, so that its sums do not depend on the
//! number of threads.

use std::ops::Range;

use scarce_engine::buffer::Region;
use scarce_engine::buffer::{Floats, cut_bytes};
use scarce_engine::isa::Kernels;
use scarce_engine::ops::adamw;
use scarce_engine::pool::Pool;

use crate::spec::{Decay, OptimSpec, Schedule};

/// The learning rate at `step` (from 0) of `total` steps: linear warm-up from 0 over
/// `warmup_share * total` steps, rounded down, so that the very first update has rate 0; then the
/// decay to `min_lr_ratio` of the peak (mission T2, golden/lr_schedule.csv).
#[must_use]
pub fn learning_rate(peak: f64, schedule: &Schedule, step: u64, total: u64) -> f64 {
    let warmup = (schedule.warmup_share * total as f64) as u64;
    if step < warmup {
        return peak * step as f64 / warmup as f64;
    }
    let progress = (step - warmup) as f64 / (total - warmup).max(1) as f64;
    let falling = match schedule.decay {
        Decay::Cosine => 0.5 * (1.0 + libm::cos(std::f64::consts::PI * progress)),
        Decay::Linear => 1.0 - progress,
    };
    peak * (schedule.min_lr_ratio + (1.0 - schedule.min_lr_ratio) * falling)
}

/// Largest number of parameters in a piece.
const PIECE: usize = 1 << 16;

/// Optimizer state of one run.
#[derive(Debug)]
pub struct Optimizer {
    spec: OptimSpec,
    /// Mean gradient, one number per parameter.
    pub first: Floats,
    /// Mean squared gradient, one number per parameter.
    pub second: Floats,
    /// Places and decay of the pieces.
    pieces: Vec<(Range<usize>, bool)>,
}

/// What a step reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Global gradient norm before clipping.
    pub gradient_norm: f64,
    /// Learning rate used.
    pub lr: f64,
    /// Whether all weights are finite after the update.
    pub is_finite: bool,
}

struct Piece<'a> {
    decay: bool,
    gradient: &'a mut [f32],
    lanes: Vec<&'a [f32]>,
    sum_squares: f64,
    is_finite: bool,
    weights: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Optimizer {
    /// Fresh state; `decay_runs` are those of the parameter table.
    #[must_use]
    pub fn new(spec: &OptimSpec, decay_runs: &[(Range<usize>, bool)]) -> Self {
        let parameters = decay_runs.last().map_or(0, |(range, _)| range.end);
        let cut = |(range, decay): &(Range<usize>, bool)| {
            let (start, end, decay) = (range.start, range.end, *decay);
            (start..end).step_by(PIECE).map(move |at| (at..end.min(at + PIECE), decay))
        };
        let mut region = Region::with_bytes(2 * cut_bytes(parameters));
        Self {
            spec: spec.clone(),
            first: region.floats(parameters),
            second: region.floats(parameters),
            pieces: decay_runs.iter().flat_map(cut).collect(),
        }
    }

    /// Sums the lanes' gradients into the first of them, clips by the global norm and updates
    /// `weights`. `step` counts from 0. A norm that is not finite leaves the weights as they are.
    pub fn step(
        &mut self,
        (kernels, pool): (Kernels, &Pool),
        (step, total): (u64, u64),
        weights: &mut [f32],
        lanes: &mut [&mut [f32]],
    ) -> StepReport {
        let OptimSpec::Adamw { lr, weight_decay, beta1, beta2, epsilon, clip_norm, .. } = self.spec;
        let OptimSpec::Adamw { schedule, .. } = &self.spec;
        let lr = learning_rate(lr, schedule, step, total);
        let mut pieces = self.cut(weights, lanes);
        pool.run(&mut pieces, |_, piece| {
            for lane in &piece.lanes {
                adamw::add_assign(kernels, piece.gradient, lane);
            }
            piece.sum_squares = adamw::sum_squares(kernels, piece.gradient);
        });
        let gradient_norm = pieces.iter().map(|piece| piece.sum_squares).sum::<f64>().sqrt();
        if !gradient_norm.is_finite() {
            return StepReport { gradient_norm, lr, is_finite: false };
        }
        let updates = step + 1;
        let update = adamw::Update {
            lr: lr as f32,
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            epsilon: epsilon as f32,
            weight_decay: weight_decay as f32,
            bias_correction1: (1.0 - libm::pow(beta1, updates as f64)) as f32,
            bias_correction2: (1.0 - libm::pow(beta2, updates as f64)) as f32,
            gradient_scale: (clip_norm / gradient_norm).min(1.0) as f32,
        };
        pool.run(&mut pieces, |_, piece| {
            let weight_decay = if piece.decay { update.weight_decay } else { 0.0 };
            let update = adamw::Update { weight_decay, ..update };
            let Piece { weights, first, second, gradient, .. } = piece;
            adamw::step(kernels, weights, first, second, gradient, &update);
            // The piece lies in the cache now, so that this costs next to nothing.
            piece.is_finite = adamw::all_finite(kernels, weights);
        });
        let is_finite = pieces.iter().all(|piece| piece.is_finite);
        StepReport { gradient_norm, lr, is_finite }
    }

    fn cut<'a>(
        &'a mut self,
        mut weights: &'a mut [f32],
        lanes: &'a mut [&mut [f32]],
    ) -> Vec<Piece<'a>> {
        let (mut first, mut second) = (&mut self.first[..], &mut self.second[..]);
        let (head, others) = lanes.split_first_mut().expect("there is at least one lane");
        let mut gradient = &mut head[..];
        let others: Vec<&[f32]> = others.iter().map(|lane| &lane[..]).collect();
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for (range, decay) in &self.pieces {
            let length = range.len();
            pieces.push(Piece {
                decay: *decay,
                gradient: take(&mut gradient, length),
                lanes: others.iter().map(|lane| &lane[range.clone()]).collect(),
                sum_squares: 0.0,
                is_finite: true,
                weights: take(&mut weights, length),
                first: take(&mut first, length),
                second: take(&mut second, length),
            });
        }
        pieces
    }
}

/// Cuts the first `length` numbers off.
fn take<'a>(rest: &mut &'a mut [f32], length: usize) -> &'a mut [f32] {
    let (head, tail) = std::mem::take(rest).split_at_mut(length);
    *rest = tail;
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_the_references() {
        let table = include_str!("../tests/golden/lr_schedule.csv");
        let schedule = Schedule { decay: Decay::Cosine, warmup_share: 0.01, min_lr_ratio: 0.0 };
        for line in table.lines().skip(1) {
            let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
            let [total, peak, _, step, expected] = cells[..] else { panic!("{line}") };
            let lr = learning_rate(peak, &schedule, step as u64, total as u64);
            assert!((lr - expected).abs() <= 1e-12 * peak, "{line}: {lr}");
        }
    }

    #[test]
    fn linear_decay_ends_at_the_floor() {
        let schedule = Schedule { decay: Decay::Linear, warmup_share: 0.0, min_lr_ratio: 0.1 };
        assert_eq!(learning_rate(2.0, &schedule, 0, 10).to_bits(), 2.0_f64.to_bits());
        assert!((learning_rate(2.0, &schedule, 5, 10) - 1.1).abs() < 1e-12);
        assert!((learning_rate(2.0, &schedule, 10, 10) - 0.2).abs() < 1e-12);
    }
}
