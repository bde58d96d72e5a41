//! Held-out losses: what a model, an ensemble or plain counting reaches, and how sure we are.

mod ledger;
pub mod ngram;
mod score;
mod side;
pub mod statistics;
mod windows;

pub use ledger::{Ledger, Tokens};
pub use score::{Scorer, ensemble_ledger, floor_ledger, ngram_ledger};
pub use side::side_means;
pub use windows::Windows;
