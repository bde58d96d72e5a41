//! Held-out losses: what a model, an ensemble or plain counting reaches, and how sure we are.

mod ensemble;
mod ledger;
pub mod ngram;
mod score;
mod side;
pub mod statistics;
mod subsets;
mod windows;

#[cfg(test)]
mod testing;

pub use ensemble::{EnsembleMeasures, ensemble_thread_bytes, measure_ensemble};
pub use ledger::{Ledger, Tokens};
pub use score::{Scorer, ensemble_ledger, floor_ledger, ngram_ledger};
pub use side::side_means;
pub use subsets::{MEMBERS_MAX, Subsets};
pub use windows::Windows;
