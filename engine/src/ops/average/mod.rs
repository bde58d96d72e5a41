//! Helpers for the losses of ensembles: averages of logits and of probabilities.
//!
//! **Shapes.** A row of logits `[V]` of one member at one position; log-probabilities of the
//! members `[K]`. V vocabulary, K members.
//!
//! **Forward.** The logit average after k members is the running mean
//! l̄ ← l̄ + (l_k - l̄) / k. log p(target) = l_target - log Σ_j e^{l_j}. The probability average is
//! log (1/K Σ_k p_k), from log-probabilities, with their maximum taken out.
//!
//! **Backward.** None: averages are evaluated, and taught from, but not trained through.
//!
//! **Saved for backward.** Nothing.
//!
//! **Cost.** About 15 FLOPs and 4 bytes for each logit, 12 bytes for the running mean.
//!
//! **Precision.** f32; the sum of exponentials in lanes (see `reduce`), its logarithm in f64.

use crate::isa::{Kernels, multiversion};
use crate::math::exp;
use crate::reduce::{max, sum_of};

/// Moves the mean over the members before to the mean that includes `logits`, the member number
/// `count`, counted from 1. With `count` 1, `mean` may hold anything but NaN or infinity.
pub fn running_mean(kernels: Kernels, mean: &mut [f32], logits: &[f32], count: usize) {
    assert_eq!(mean.len(), logits.len(), "mean and logits differ in size");
    assert!(count > 0, "members are counted from 1");
    if count == 1 {
        mean.copy_from_slice(logits);
    } else {
        move_mean(kernels, mean, logits, count as f32);
    }
}

/// log Σ e^{logits}: natural logarithm.
pub fn log_sum_exp(kernels: Kernels, logits: &[f32]) -> f32 {
    let (largest, sum) = max_and_sum(kernels, logits);
    (f64::from(largest) + libm::log(f64::from(sum))) as f32
}

/// The natural logarithm of the probability that a row of logits gives to `target`.
pub fn log_probability(kernels: Kernels, logits: &[f32], target: usize) -> f32 {
    let (largest, sum) = max_and_sum(kernels, logits);
    (f64::from(logits[target] - largest) - libm::log(f64::from(sum))) as f32
}

/// The logarithm of the mean of the probabilities whose logarithms are given, at least one.
pub fn log_mean_exp(log_probabilities: &[f32]) -> f32 {
    assert!(!log_probabilities.is_empty(), "the mean of no members");
    let largest = log_probabilities.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 =
        log_probabilities.iter().map(|l| libm::exp(f64::from(*l) - f64::from(largest))).sum();
    (f64::from(largest) + libm::log(sum / log_probabilities.len() as f64)) as f32
}

multiversion! {
    fn move_mean(mean: &mut [f32], logits: &[f32], count: f32) {
        for (mean, logit) in mean.iter_mut().zip(logits) {
            *mean += (logit - *mean) / count;
        }
    }
}

multiversion! {
    fn max_and_sum(logits: &[f32]) -> (f32, f32) {
        let largest = max(logits);
        (largest, sum_of(logits, |x| exp(x - largest)))
    }
}
