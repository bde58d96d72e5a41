//! Finds discounts and strengths on held-out tokens by a deterministic coordinate search.
//!
//! What training saw of a held-out token does not depend on the constants, so it is looked up once;
//! after that a trial is a pass over small arrays. A coarse grid over (discount, strength) per
//! order, shortest context first, finds the valley; a compass search with shrinking steps finds its
//! floor. Contexts of j tokens start from the constants found for j - 1.

use super::Order;
use super::counts::{Counts, Seen};

/// The coarse grid.
const DISCOUNTS: [f64; 10] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const STRENGTHS: [f64; 7] = [0.01, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];
const COARSE_ROUNDS: usize = 2;

/// Limits and steps of the compass search: additive in the discount, a factor in the strength.
const DISCOUNT_MAX: f64 = 0.999;
const STRENGTH_MIN: f64 = 1e-3;
const STRENGTH_MAX: f64 = 1e4;
const DISCOUNT_STEP: f64 = 0.05;
const LOG_STRENGTH_STEP: f64 = 0.7;
const HALVINGS: usize = 4;
const SWEEPS_PER_STEP_MAX: usize = 8;

/// Where the search of a new order starts.
const START: Order = Order { discount: 0.5, strength: 1.0 };

/// Probabilities that are multiplied before one logarithm is taken. The product of eight underflows
/// only in trials far from any optimum; their loss is then infinite, and they lose.
const FACTORS_PER_LOGARITHM: usize = 8;

/// The constants of the context length with the lowest loss on `tuning`, and that loss (nats).
pub(super) fn best_orders(counts: &Counts, tuning: &[&[u32]]) -> (Vec<Order>, f64) {
    let mut orders = vec![START];
    let mut best: Option<(Vec<Order>, f64)> = None;
    for _ in 1..=counts.context_tokens_max() {
        orders.push(START);
        let mut search = Search::new(counts, tuning, orders);
        let loss = search.tune();
        orders = search.orders;
        if best.as_ref().is_none_or(|(_, lowest)| loss < *lowest) {
            best = Some((orders.clone(), loss));
        }
    }
    best.expect("at least one context length was tuned")
}

/// Constants under search, with what training saw of every held-out token.
struct Search {
    /// Element j: for each position what was seen after its last j tokens.
    seen: Vec<Vec<Seen>>,
    uniform: f64,
    orders: Vec<Order>,
}

impl Search {
    fn new(counts: &Counts, tuning: &[&[u32]], orders: Vec<Order>) -> Self {
        let mut seen = vec![Vec::new(); orders.len()];
        for window in tuning {
            let mut state = counts.start(orders.len() - 1);
            for (position, &token) in window.iter().enumerate() {
                if position > 0 {
                    for (context_tokens, seen) in seen.iter_mut().enumerate() {
                        seen.push(counts.seen(&state, context_tokens, token));
                    }
                }
                counts.advance(&mut state, token);
            }
        }
        assert!(!seen[0].is_empty(), "tuning an n-gram needs a window of two tokens");
        Self { seen, uniform: 1.0 / counts.vocabulary() as f64, orders }
    }

    /// Tunes all orders from where they stand; returns the loss in nats per token.
    fn tune(&mut self) -> f64 {
        let mut loss = self.loss(0, &self.shorter(0));
        for _ in 0..COARSE_ROUNDS {
            for context_tokens in 0..self.orders.len() {
                loss = self.coarse(context_tokens, loss);
            }
        }
        let (mut discount_step, mut strength_step) = (DISCOUNT_STEP, LOG_STRENGTH_STEP);
        for _ in 0..=HALVINGS {
            for _ in 0..SWEEPS_PER_STEP_MAX {
                let before = loss;
                for context_tokens in 0..self.orders.len() {
                    loss = self.compass(context_tokens, discount_step, strength_step, loss);
                }
                if loss >= before {
                    break;
                }
            }
            discount_step /= 2.0;
            strength_step /= 2.0;
        }
        loss
    }

    /// Tries the whole grid for one order; keeps what lowers `loss`, and returns the lowest.
    fn coarse(&mut self, context_tokens: usize, loss: f64) -> f64 {
        let trials = DISCOUNTS.iter().flat_map(|&discount| {
            STRENGTHS.iter().map(move |&strength| Order { discount, strength })
        });
        self.keep_best(context_tokens, loss, trials)
    }

    /// Tries one step in each of the four directions of one order.
    fn compass(
        &mut self,
        context_tokens: usize,
        discount_step: f64,
        log_strength_step: f64,
        loss: f64,
    ) -> f64 {
        let from = self.orders[context_tokens];
        let factor = log_strength_step.exp();
        let step = |discount_by: f64, strength_by: f64| Order {
            discount: (from.discount + discount_by).clamp(0.0, DISCOUNT_MAX),
            strength: (from.strength * strength_by).clamp(STRENGTH_MIN, STRENGTH_MAX),
        };
        let trials = [
            step(discount_step, 1.0),
            step(-discount_step, 1.0),
            step(0.0, factor),
            step(0.0, 1.0 / factor),
        ];
        self.keep_best(context_tokens, loss, trials.into_iter())
    }

    fn keep_best(
        &mut self,
        context_tokens: usize,
        mut loss: f64,
        trials: impl Iterator<Item = Order>,
    ) -> f64 {
        let shorter = self.shorter(context_tokens);
        let mut best = self.orders[context_tokens];
        for trial in trials {
            self.orders[context_tokens] = trial;
            let trial_loss = self.loss(context_tokens, &shorter);
            if trial_loss < loss {
                (loss, best) = (trial_loss, trial);
            }
        }
        self.orders[context_tokens] = best;
        loss
    }

    /// Probability of every held-out token by contexts shorter than `context_tokens`.
    fn shorter(&self, context_tokens: usize) -> Vec<f64> {
        let mut probabilities = vec![self.uniform; self.seen[0].len()];
        for (order, seen) in self.orders[..context_tokens].iter().zip(&self.seen) {
            for (probability, seen) in probabilities.iter_mut().zip(seen) {
                *probability = order.interpolate(*seen, *probability);
            }
        }
        probabilities
    }

    /// Mean loss given the probabilities by contexts shorter than `context_tokens`.
    fn loss(&self, context_tokens: usize, shorter: &[f64]) -> f64 {
        let mut sum = 0.0;
        let mut block = [0.0; FACTORS_PER_LOGARITHM];
        for (index, shorter) in shorter.chunks(FACTORS_PER_LOGARITHM).enumerate() {
            let start = index * FACTORS_PER_LOGARITHM;
            let block = &mut block[..shorter.len()];
            block.copy_from_slice(shorter);
            for (order, seen) in self.orders.iter().zip(&self.seen).skip(context_tokens) {
                let seen = &seen[start..start + block.len()];
                for (probability, seen) in block.iter_mut().zip(seen) {
                    *probability = order.interpolate(*seen, *probability);
                }
            }
            sum -= block.iter().product::<f64>().ln();
        }
        sum / shorter.len() as f64
    }
}
