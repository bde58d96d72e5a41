//! The n-gram estimate: what plain counting reaches, so that a reader sees what a model adds.
//!
//! An interpolated back-off model in the form of Pitman and Yor (Teh 2006; interpolated Kneser-Ney
//! is the case of strength 0). With c(u, w) how often token w followed the context u of j tokens in
//! training, c(u) the sum over w and t(u) the number of different w,
//!
//! p_j(w | u) = (max(c(u, w) - d_j, 0) + (s_j + d_j t(u)) p_{j-1}(w | u')) / (c(u) + s_j),
//!
//! where u' is u without its oldest token, d_j the *discount*, s_j the *strength* and p_{-1} is
//! uniform over the vocabulary. A context that training has not seen passes p_{j-1} on as it is.
//! Discounts and strengths are tuned on a held-out split, never on the one that is reported.
//!
//! It predicts the positions that a transformer predicts: all but the first of each window, given
//! the earlier tokens of the same window and nothing before it.

mod counts;
mod tune;

use counts::{Counts, State};

/// The constants of one order of the back-off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    /// What is taken from every count above zero, in [0, 1), and given to the shorter context.
    pub discount: f64,
    /// Weight of the shorter context, in tokens.
    pub strength: f64,
}

/// A trained and tuned n-gram model.
#[derive(Clone, Debug)]
pub struct Ngram {
    counts: Counts,
    /// Element j belongs to contexts of j tokens.
    orders: Vec<Order>,
    tuning_loss_nats: f64,
}

impl Ngram {
    /// Counts `train`, then tunes each context length from 1 to `context_tokens_max` on `tuning` and
    /// keeps the length with the lowest loss there.
    ///
    /// Every element of `train` is one document or window: contexts never cross from one to the
    /// next, and its first token is context only. The same data give the same model, bit for bit.
    /// Memory is bounded by the number of different n-grams of `train` and positions of `tuning`.
    ///
    /// # Panics
    /// If a token is not below `vocabulary`, `context_tokens_max` is zero, or `tuning` has no
    /// window of two tokens.
    #[must_use]
    pub fn fit(
        train: &[&[u32]],
        tuning: &[&[u32]],
        vocabulary: usize,
        context_tokens_max: usize,
    ) -> Self {
        assert!(context_tokens_max >= 1, "an n-gram needs a context of at least one token");
        let counts = Counts::collect(train, vocabulary, context_tokens_max);
        let (orders, tuning_loss_nats) = tune::best_orders(&counts, tuning);
        Self { counts, orders, tuning_loss_nats }
    }

    /// How many tokens of context were worth using.
    #[must_use]
    pub fn context_tokens(&self) -> usize {
        self.orders.len() - 1
    }

    /// The tuned constants; element j belongs to contexts of j tokens.
    #[must_use]
    pub fn orders(&self) -> &[Order] {
        &self.orders
    }

    /// Mean loss on the tuning split, in nats per token: flattered, as the constants were fitted
    /// to it.
    #[must_use]
    pub fn tuning_loss_nats(&self) -> f64 {
        self.tuning_loss_nats
    }

    /// How many different n-grams, of all lengths in use, are stored: the size of the model.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.counts.entries(self.context_tokens())
    }

    /// Log probability (nats, negative) of each token of `window` but the first, given the tokens
    /// before it: `window.len() - 1` numbers.
    #[must_use]
    pub fn log_probabilities(&self, window: &[u32]) -> Vec<f64> {
        let mut state = self.counts.start(self.context_tokens());
        let mut result = Vec::with_capacity(window.len().saturating_sub(1));
        for (position, &token) in window.iter().enumerate() {
            if position > 0 {
                result.push(self.probability(&state, token).ln());
            }
            self.counts.advance(&mut state, token);
        }
        result
    }

    /// The probability of every token of the vocabulary after `context`, oldest token first; they
    /// sum to one.
    #[must_use]
    pub fn distribution(&self, context: &[u32]) -> Vec<f64> {
        let mut state = self.counts.start(self.context_tokens());
        for &token in context {
            self.counts.advance(&mut state, token);
        }
        (0..self.counts.vocabulary() as u32).map(|token| self.probability(&state, token)).collect()
    }

    fn probability(&self, state: &State, token: u32) -> f64 {
        let uniform = 1.0 / self.counts.vocabulary() as f64;
        self.orders.iter().enumerate().fold(uniform, |shorter, (context_tokens, order)| {
            order.interpolate(self.counts.seen(state, context_tokens, token), shorter)
        })
    }
}

/// What training saw of one token after one context.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    /// c(u, w): times the token followed the context.
    token: u32,
    /// c(u): times any token followed the context; zero for an unseen context.
    context: u32,
    /// t(u): number of different tokens that followed it.
    types: u32,
}

impl Order {
    /// Mixes a count with the probability under the shorter context.
    #[inline]
    fn interpolate(self, seen: Seen, shorter: f64) -> f64 {
        if seen.context == 0 {
            return shorter;
        }
        let kept = (f64::from(seen.token) - self.discount).max(0.0);
        let freed = self.strength + self.discount * f64::from(seen.types);
        (kept + freed * shorter) / (f64::from(seen.context) + self.strength)
    }
}
