//! Helpers for the losses of ensembles: averages of logits and of probabilities.
//!
//! **Shapes.** A row of logits `[V]` of one member at one position; log-probabilities of the
//! members `[K]`. V vocabulary, K members.
//!
//! **Forward.** The logit average after k members is the running mean
//! l̄ ← l̄ + (l_k - l̄) / k. log p(target) = l_target - log Σ_j e^{l_j}. The probability average is
//! log (1/K Σ_k p_k), from log-probabilities, with their maximum taken out. How far two members
//! p and q disagree is their divergence 1/2 Σ_j (p_j - q_j)(log p_j - log q_j), the mean of
//! KL(p | q) and KL(q | p).
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
use crate::reduce::{dot_of_differences, max, sum_of};

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

/// Writes the mean over `count` members into `mean`: that over the members before, `before`, moved
/// towards `logits`, the last one. The bits are those of [`running_mean`].
pub fn extended_mean(
    kernels: Kernels,
    mean: &mut [f32],
    before: &[f32],
    logits: &[f32],
    count: usize,
) {
    assert!(mean.len() == logits.len() && before.len() == logits.len(), "rows differ in size");
    assert!(count > 1, "the mean of one member is its row");
    extend_mean(kernels, mean, before, logits, count as f32);
}

/// The whole distribution of a row of logits: its logarithms and its probabilities.
pub fn distribution(kernels: Kernels, logits: &[f32], logs: &mut [f32], probabilities: &mut [f32]) {
    assert!(logs.len() == logits.len() && probabilities.len() == logits.len(), "rows differ");
    let normalizer = log_sum_exp(kernels, logits);
    normalize(kernels, logits, normalizer, logs, probabilities);
}

/// The divergence of two distributions in nats, the mean over both directions; exactly zero
/// for equal ones. Each is given by its probabilities and their logarithms.
pub fn divergence(kernels: Kernels, probabilities: [&[f32]; 2], logs: [&[f32]; 2]) -> f32 {
    let [[p, q], [log_p, log_q]] = [probabilities, logs];
    assert!([q, log_p, log_q].iter().all(|row| row.len() == p.len()), "rows differ in size");
    0.5 * product_of_differences(kernels, p, q, log_p, log_q)
}

/// The place of the largest logit, the first of equal ones; 0 if there is only NaN.
pub fn likeliest(kernels: Kernels, logits: &[f32]) -> usize {
    let largest = largest(kernels, logits);
    logits.iter().position(|x| *x >= largest).unwrap_or(0)
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
    if largest == f32::NEG_INFINITY && !log_probabilities.iter().any(|l| l.is_nan()) {
        return largest;
    }
    let relative = |l: &f32| libm::exp(f64::from(*l) - f64::from(largest));
    let sum: f64 = log_probabilities.iter().map(relative).sum();
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
    fn extend_mean(mean: &mut [f32], before: &[f32], logits: &[f32], count: f32) {
        for ((mean, before), logit) in mean.iter_mut().zip(before).zip(logits) {
            *mean = before + (logit - before) / count;
        }
    }
}

multiversion! {
    fn normalize(logits: &[f32], normalizer: f32, logs: &mut [f32], probabilities: &mut [f32]) {
        for ((logit, log), probability) in logits.iter().zip(logs).zip(probabilities) {
            *log = logit - normalizer;
            *probability = exp(*log);
        }
    }
}

multiversion! {
    fn product_of_differences(p: &[f32], q: &[f32], log_p: &[f32], log_q: &[f32]) -> f32 {
        dot_of_differences([p, q], [log_p, log_q])
    }
}

multiversion! {
    fn largest(logits: &[f32]) -> f32 {
        max(logits)
    }
}

multiversion! {
    fn max_and_sum(logits: &[f32]) -> (f32, f32) {
        let largest = max(logits);
        (largest, sum_of(logits, |x| exp(x - largest)))
    }
}

/// The naive version in f64: the specification of the kernels.
pub mod reference {
    /// 1/2 Σ (p - q)(log p - log q) of the distributions of two rows of logits.
    pub fn divergence(logits: [&[f64]; 2]) -> f64 {
        let logs = logits.map(|row| {
            let normalizer = log_sum_exp(row);
            row.iter().map(|x| x - normalizer).collect::<Vec<f64>>()
        });
        let terms = logs[0].iter().zip(&logs[1]).map(|(p, q)| (p.exp() - q.exp()) * (p - q));
        0.5 * terms.sum::<f64>()
    }

    /// log Σ e^x.
    pub fn log_sum_exp(values: &[f64]) -> f64 {
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + values.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Precision;
    use crate::testing::{check, check_same_bits, kernels, sum_bound, values, wide};

    #[test]
    fn log_probabilities_follow_the_reference() {
        for width in [1, 7, 33, 127, 1025] {
            let logits: Vec<f32> = values(1, width).iter().map(|x| 10.0 * x).collect();
            let expected = reference::log_sum_exp(&wide(&logits));
            let target = width / 2;
            let expected_log = f64::from(logits[target]) - expected;
            let mut first = None;
            for kernels in kernels(Precision::F32) {
                let sum = log_sum_exp(kernels, &logits);
                let log = log_probability(kernels, &logits, target);
                let what = format!("log-sum-exp of {width}");
                check(&what, &[sum, log], &[expected, expected_log], |_| sum_bound(4, 30.0));
                check_same_bits(&what, &[sum, log], first.get_or_insert([sum, log]));
            }
        }
    }

    #[test]
    fn the_running_mean_is_the_mean() {
        let members = [values(1, 33), values(2, 33), values(3, 33)];
        let expected: Vec<f64> = (0..33)
            .map(|i| members.iter().map(|member| f64::from(member[i])).sum::<f64>() / 3.0)
            .collect();
        for kernels in kernels(Precision::F32) {
            let mut mean = vec![7.0; 33];
            for (k, member) in members.iter().enumerate() {
                running_mean(kernels, &mut mean, member, k + 1);
            }
            check("running mean", &mean, &expected, |_| sum_bound(3, 3.0));
        }
    }

    #[test]
    fn a_mean_is_extended_with_the_bits_of_the_running_mean() {
        let members = [values(1, 33), values(2, 33), values(3, 33)];
        for kernels in kernels(Precision::F32) {
            let mut running = members[0].to_vec();
            for (k, member) in members.iter().enumerate().skip(1) {
                let (before, mut mean) = (running.clone(), vec![0.0; 33]);
                running_mean(kernels, &mut running, member, k + 1);
                extended_mean(kernels, &mut mean, &before, member, k + 1);
                assert_eq!(mean, running);
            }
        }
    }

    #[test]
    fn divergences_follow_the_reference_and_vanish_for_equal_distributions() {
        for width in [1, 7, 33, 127, 1025] {
            let rows = [1, 2]
                .map(|seed| -> Vec<f32> { values(seed, width).iter().map(|x| 5.0 * x).collect() });
            let expected = reference::divergence([&wide(&rows[0]), &wide(&rows[1])]);
            let mut first = None;
            for kernels in kernels(Precision::F32) {
                let [(log_p, p), (log_q, q)] = [0, 1].map(|i| {
                    let (mut logs, mut probabilities) = (vec![0.0; width], vec![0.0; width]);
                    distribution(kernels, &rows[i], &mut logs, &mut probabilities);
                    (logs, probabilities)
                });
                let found = divergence(kernels, [&p, &q], [&log_p, &log_q]);
                let what = format!("divergence of {width}");
                check(&what, &[found], &[expected], |_| sum_bound(8, 30.0));
                check_same_bits(&what, &[found], first.get_or_insert([found]));
                assert_eq!(divergence(kernels, [&p, &p], [&log_p, &log_p]).to_bits(), 0);
                let likeliest = likeliest(kernels, &rows[0]);
                assert!(rows[0].iter().all(|x| *x <= rows[0][likeliest]));
            }
        }
        for kernels in kernels(Precision::F32) {
            assert_eq!(likeliest(kernels, &[1.0, 3.0, 3.0]), 1);
            assert_eq!(likeliest(kernels, &[f32::NAN; 3]), 0);
        }
    }

    #[test]
    fn the_mean_of_probabilities_survives_small_ones() {
        let mean = log_mean_exp(&[-1000.0, -1000.0 + 2.0_f32.ln()]);
        assert!((mean - (-1000.0 + 1.5_f32.ln())).abs() < 1e-4, "{mean}");
        assert!((log_mean_exp(&[-0.5]) + 0.5).abs() < 1e-7);
        assert_eq!(log_mean_exp(&[f32::NEG_INFINITY; 2]).to_bits(), f32::NEG_INFINITY.to_bits());
        assert!(log_mean_exp(&[-1.0, f32::NAN]).is_nan());
    }
}
