//! Which tokens a training step sees: pure functions of seeds and numbers, without state.

mod decimal;
mod mixture;
mod permutation;
mod sampler;
mod steps;

pub use mixture::{Assignment, Mixture};
pub use permutation::Permutation;
pub use sampler::{Sampler, SamplerPlan};
pub use steps::total_steps;
