//! Means of losses with honest errors: clustered by blocks of text, paired, never a bare point.
//!
//! Neighboring tokens share a document, a topic and a style, so their losses are not independent;
//! blocks of text nearly are. All errors here are therefore *clustered*: a block (at most 64 KiB of
//! one document) enters as one pair (sum of its losses, number of its tokens), and the mean loss
//! sum / count over all blocks is a ratio estimator. Two models are compared on the same blocks,
//! where most of the difficulty of the text cancels. Seeds are a second source of chance that no
//! amount of text reveals; [`SeedSummary`] is for those.
//!
//! Everything is a pure function of its arguments: the bootstrap draws from a counter-based
//! generator with a fixed key, so that the same losses give the same interval everywhere.

use std::fmt;

use serde_json::json;

pub use crate::laws::{two_sided_t, two_sided_z};

/// The level of the intervals that verdicts rest on.
pub const LEVEL: f64 = 0.95;

/// Resamples of a bootstrap interval.
const RESAMPLES: usize = 10_000;

/// Key of the bootstrap's generator; any value would do, but it must never depend on the run.
const BOOTSTRAP_KEY: u64 = 0x5CA2_CE00_B007_57A9;

/// A token-weighted mean with its standard error over clusters, both in the unit of the losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Sum of all losses over the number of all tokens.
    pub mean: f64,
    /// Standard error clustered by blocks; `None` for a single block, which cannot tell its error.
    pub standard_error: Option<f64>,
    /// How many blocks G there are; intervals use Student's t with G - 1 degrees of freedom.
    pub clusters: usize,
}

/// A two-sided interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Share of such intervals that hold the true value, for example 0.95.
    pub level: f64,
}

/// The difference of two models on the same blocks: mean of left minus right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedDifference {
    /// Token-weighted mean of the differences, with the standard error of the pairs.
    pub estimate: Estimate,
    /// Bootstrap interval of level [`LEVEL`] over blocks; `None` for a single block.
    pub bootstrap: Option<Interval>,
}

/// What an interval for the difference left minus right says about the left side (lower is better).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval lies below zero: the left loss is lower.
    Better,
    /// The whole interval lies above zero: the left loss is higher.
    Worse,
    /// The interval holds zero, or there is none.
    NotDistinguishable,
}

/// A result over several seeds: what chance in initialization and order does to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedSummary {
    /// Mean over seeds.
    pub mean: f64,
    /// Sample standard deviation (divisor n - 1); `None` for a single seed.
    pub standard_deviation: Option<f64>,
    /// Number of seeds n.
    pub seeds: usize,
}

// Both ends.
serialize_as!(Interval, |it| [it.low, it.high]);

serialize_as!(PairedDifference, |it| json!({
    "nats": it.estimate.mean, "standard_error_nats": it.estimate.standard_error,
    "interval_95_nats": it.bootstrap,
}));

serialize_as!(Verdict, |verdict| verdict.to_string());

/// The token-weighted mean loss over clusters and its standard error.
///
/// `loss_sums[g]` is the sum of the losses of cluster g (nats), `token_counts[g]` its tokens. With
/// R the mean, G clusters and N tokens, the squared standard error is
/// G / (G - 1) * sum of (loss_sums\[g\] - R token_counts\[g\])^2 / N^2.
///
/// # Panics
/// If the slices differ in length or are empty, or a count is not positive.
#[must_use]
pub fn estimate(loss_sums: &[f64], token_counts: &[f64]) -> Estimate {
    assert_eq!(loss_sums.len(), token_counts.len(), "one sum and one count per cluster");
    assert!(!loss_sums.is_empty(), "a mean needs at least one cluster");
    assert!(token_counts.iter().all(|&count| count > 0.0), "every cluster holds tokens");
    let clusters = loss_sums.len();
    let tokens: f64 = token_counts.iter().sum();
    let mean = loss_sums.iter().sum::<f64>() / tokens;
    let squares: f64 =
        loss_sums.iter().zip(token_counts).map(|(sum, count)| (sum - mean * count).powi(2)).sum();
    let standard_error = (clusters > 1).then(|| {
        let small_sample = clusters as f64 / (clusters - 1) as f64;
        (small_sample * squares).sqrt() / tokens
    });
    Estimate { mean, standard_error, clusters }
}

/// Compares two models on the same clusters: mean loss of `left_sums` minus `right_sums`.
///
/// Sums and counts as in [`estimate`], which also says when this panics.
#[must_use]
pub fn paired_difference(
    left_sums: &[f64],
    right_sums: &[f64],
    token_counts: &[f64],
) -> PairedDifference {
    assert_eq!(left_sums.len(), right_sums.len(), "both sides are measured on the same clusters");
    let sums: Vec<f64> = left_sums.iter().zip(right_sums).map(|(l, r)| l - r).collect();
    let estimate = estimate(&sums, token_counts);
    let bootstrap = bootstrap_interval(&sums, token_counts, estimate.mean, RESAMPLES);
    PairedDifference { estimate, bootstrap }
}

/// Mean and spread of one number per seed.
///
/// # Panics
/// If `values` is empty.
#[must_use]
pub fn over_seeds(values: &[f64]) -> SeedSummary {
    assert!(!values.is_empty(), "a summary over seeds needs at least one");
    let seeds = values.len();
    let mean = values.iter().sum::<f64>() / seeds as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let standard_deviation = (seeds > 1).then(|| (squares / (seeds - 1) as f64).sqrt());
    SeedSummary { mean, standard_deviation, seeds }
}

impl Estimate {
    /// The two-sided interval of `level` by Student's t; `None` where the error is unknown.
    #[must_use]
    pub fn interval(&self, level: f64) -> Option<Interval> {
        let half = self.standard_error? * two_sided_t(level, self.clusters - 1);
        Some(Interval { low: self.mean - half, high: self.mean + half, level })
    }
}

impl fmt::Display for Estimate {
    /// "2.7506 ± 0.0044" (mean and one standard error), or "2.7506 ± ?" where it is unknown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.standard_error {
            Some(error) => write!(f, "{:.4} ± {error:.4}", self.mean),
            None => write!(f, "{:.4} ± ?", self.mean),
        }
    }
}

impl PairedDifference {
    /// The difference in standard errors; `None` if the error is unknown or zero.
    #[must_use]
    pub fn t(&self) -> Option<f64> {
        let error = self.estimate.standard_error?;
        (error > 0.0).then(|| self.estimate.mean / error)
    }

    /// What the bootstrap interval says about the left side.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::from_interval(self.bootstrap)
    }
}

impl Verdict {
    /// Reads a verdict on the left side off an interval for left minus right.
    #[must_use]
    pub fn from_interval(interval: Option<Interval>) -> Self {
        match interval {
            Some(interval) if interval.high < 0.0 => Self::Better,
            Some(interval) if interval.low > 0.0 => Self::Worse,
            _ => Self::NotDistinguishable,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NotDistinguishable => "no difference seen",
        })
    }
}

impl SeedSummary {
    /// The two-sided interval for the mean over all seeds; `None` for a single seed.
    #[must_use]
    pub fn interval(&self, level: f64) -> Option<Interval> {
        let error = self.standard_deviation? / (self.seeds as f64).sqrt();
        let half = error * two_sided_t(level, self.seeds - 1);
        Some(Interval { low: self.mean - half, high: self.mean + half, level })
    }

    /// The mean in units of the standard deviation between seeds; `None` if unknown or zero.
    #[must_use]
    pub fn deviations(&self) -> Option<f64> {
        let deviation = self.standard_deviation?;
        (deviation > 0.0).then(|| self.mean / deviation)
    }
}

impl fmt::Display for SeedSummary {
    /// "2.7506 (sd 0.0110, n 3)", or "2.7506 (n 1)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.standard_deviation {
            Some(sd) => write!(f, "{:.4} (sd {sd:.4}, n {})", self.mean, self.seeds),
            None => write!(f, "{:.4} (n {})", self.mean, self.seeds),
        }
    }
}

/// A percentile interval of the mean over resampled clusters, stretched for few clusters.
///
/// The spread of the plain bootstrap is that of a variance with divisor G and its tails are normal,
/// so it is too narrow for few clusters (Hesterberg 2015). Its distances from the mean are
/// multiplied by sqrt(G / (G - 1)) * t / z, which makes the interval as wide as Student's for a
/// symmetric sample, but lets it lean to the side of the longer tail.
fn bootstrap_interval(
    sums: &[f64],
    counts: &[f64],
    mean: f64,
    resamples: usize,
) -> Option<Interval> {
    let clusters = sums.len();
    if clusters < 2 {
        return None;
    }
    let mut means: Vec<f64> =
        (0..resamples).map(|resample| resampled_mean(sums, counts, resample as u64)).collect();
    means.sort_unstable_by(f64::total_cmp);
    let degrees = clusters - 1;
    let stretch = (clusters as f64 / degrees as f64).sqrt() * two_sided_t(LEVEL, degrees)
        / two_sided_z(LEVEL);
    let tail = (1.0 - LEVEL) / 2.0;
    let end = |share: f64| mean + stretch * (sorted_quantile(&means, share) - mean);
    Some(Interval { low: end(tail), high: end(1.0 - tail), level: LEVEL })
}

/// The ratio mean of as many clusters as there are, drawn with replacement.
fn resampled_mean(sums: &[f64], counts: &[f64], resample: u64) -> f64 {
    let clusters = sums.len();
    let words = clusters.div_ceil(2) as u64;
    let (mut loss, mut tokens) = (0.0, 0.0);
    let mut draw = |bits: u64| {
        let index = ((bits * clusters as u64) >> 32) as usize;
        loss += sums[index];
        tokens += counts[index];
    };
    for word in 0..words {
        // Two draws from one word: 32 bits choose among far fewer clusters without visible bias.
        let bits = random(resample * words + word);
        draw(bits & 0xFFFF_FFFF);
        if 2 * word + 1 < clusters as u64 {
            draw(bits >> 32);
        }
    }
    loss / tokens
}

/// The quantile at `share` of sorted values, linear between neighbors.
fn sorted_quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The `counter`-th word of splitmix64 under the bootstrap's key.
fn random(counter: u64) -> u64 {
    let mut x = BOOTSTRAP_KEY.wrapping_add((counter + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-12, "got {got}, expected {expected}");
    }

    /// Uniform numbers in (0, 1) from the generator, far from the counters of the bootstrap.
    struct Draws(u64);

    impl Draws {
        fn uniform(&mut self) -> f64 {
            self.0 += 1;
            (random((1 << 60) + self.0) >> 11) as f64 / (1u64 << 53) as f64
        }

        fn normal(&mut self) -> f64 {
            (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
        }
    }

    #[test]
    fn clusters_of_equal_size_give_the_plain_standard_error_of_their_means() {
        let means = [2.0, 2.5, 3.5, 2.25];
        let sums: Vec<f64> = means.iter().map(|mean| mean * 10.0).collect();
        let result = estimate(&sums, &[10.0; 4]);
        let summary = over_seeds(&means);
        close(result.mean, summary.mean);
        let plain = summary.standard_deviation.unwrap() / 2.0;
        close(result.standard_error.unwrap(), plain);
        let (by_blocks, by_seeds) = (result.interval(0.9).unwrap(), summary.interval(0.9).unwrap());
        close(by_blocks.low, by_seeds.low);
        close(by_blocks.high, by_seeds.high);
    }

    #[test]
    fn a_hand_computed_ratio() {
        // Losses 3, 8 over tokens 1, 4: R = 11/5, residuals 0.8 and -0.8, G/(G-1) = 2.
        let result = estimate(&[3.0, 8.0], &[1.0, 4.0]);
        close(result.mean, 2.2);
        close(result.standard_error.unwrap(), (2.0_f64 * 1.28).sqrt() / 5.0);
        assert_eq!(result.to_string(), "2.2000 ± 0.3200");
    }

    #[test]
    fn one_cluster_has_a_mean_but_no_error() {
        let result = estimate(&[5.5], &[2.0]);
        close(result.mean, 2.75);
        assert_eq!((result.standard_error, result.interval(0.95)), (None, None));
        assert_eq!(result.to_string(), "2.7500 ± ?");
        let difference = paired_difference(&[5.5], &[4.5], &[2.0]);
        assert_eq!(difference.t(), None);
        assert_eq!(difference.verdict(), Verdict::NotDistinguishable);
        assert_eq!(over_seeds(&[2.0]).to_string(), "2.0000 (n 1)");
    }

    #[test]
    fn a_verdict_needs_the_whole_interval_on_one_side() {
        let verdict =
            |low, high| Verdict::from_interval(Some(Interval { low, high, level: LEVEL }));
        assert_eq!(verdict(-0.2, -0.1), Verdict::Better);
        assert_eq!(verdict(0.1, 0.2), Verdict::Worse);
        assert_eq!(verdict(-0.2, 0.001), Verdict::NotDistinguishable);
        assert_eq!(verdict(0.0, 0.0), Verdict::NotDistinguishable);
        assert_eq!(verdict(f64::NAN, f64::NAN), Verdict::NotDistinguishable);
        assert_eq!(Verdict::from_interval(None), Verdict::NotDistinguishable);
    }

    #[test]
    fn pairing_removes_the_difficulty_of_the_text() {
        let mut draws = Draws(0);
        let hard: Vec<f64> = (0..64).map(|_| 300.0 + 60.0 * draws.normal()).collect();
        let easier: Vec<f64> = hard.iter().map(|sum| sum - 5.0 + 2.0 * draws.normal()).collect();
        let counts = [100.0; 64];
        let difference = paired_difference(&easier, &hard, &counts);
        assert_eq!(difference.verdict(), Verdict::Better);
        assert!(difference.t().unwrap() < -10.0);
        let single = estimate(&hard, &counts).standard_error.unwrap();
        assert!(difference.estimate.standard_error.unwrap() < single / 10.0);
        let swapped = paired_difference(&hard, &easier, &counts);
        assert_eq!(swapped.verdict(), Verdict::Worse);
        close(swapped.estimate.mean, -difference.estimate.mean);
        let same = paired_difference(&hard, &hard, &counts);
        assert_eq!((same.t(), same.verdict()), (None, Verdict::NotDistinguishable));
    }

    #[test]
    fn the_bootstrap_repeats_itself_and_meets_the_t_interval_on_many_clusters() {
        let mut draws = Draws(10_000);
        let counts: Vec<f64> = (0..201).map(|_| 50.0 + 100.0 * draws.uniform()).collect();
        let sums: Vec<f64> = counts.iter().map(|n| n * (0.1 + 0.2 * draws.normal())).collect();
        let zeros = vec![0.0; sums.len()];
        let difference = paired_difference(&sums, &zeros, &counts);
        assert_eq!(difference, paired_difference(&sums, &zeros, &counts));
        let exact = difference.estimate.interval(LEVEL).unwrap();
        let bootstrap = difference.bootstrap.unwrap();
        let width = exact.high - exact.low;
        assert!((bootstrap.low - exact.low).abs() < 0.05 * width, "{bootstrap:?} {exact:?}");
        assert!((bootstrap.high - exact.high).abs() < 0.05 * width, "{bootstrap:?} {exact:?}");
    }

    /// Share of simulations whose interval holds the true mean, for `clusters` blocks of unequal
    /// size with a shared effect per block, by Student's t and by the bootstrap.
    fn coverage(clusters: usize, simulations: usize, resamples: usize) -> (f64, f64) {
        let mut draws = Draws((clusters * 1_000_000) as u64);
        let truth = 2.75;
        let (mut by_t, mut by_bootstrap) = (0, 0);
        for _ in 0..simulations {
            let counts: Vec<f64> =
                (0..clusters).map(|_| (40.0 + 60.0 * draws.uniform()).round()).collect();
            let sums: Vec<f64> = counts
                .iter()
                .map(|n| n * (truth + 0.3 * draws.normal()) + n.sqrt() * draws.normal())
                .collect();
            let result = estimate(&sums, &counts);
            let holds = |interval: Interval| interval.low <= truth && truth <= interval.high;
            by_t += usize::from(holds(result.interval(LEVEL).unwrap()));
            let bootstrap = bootstrap_interval(&sums, &counts, result.mean, resamples).unwrap();
            by_bootstrap += usize::from(holds(bootstrap));
        }
        (by_t as f64 / simulations as f64, by_bootstrap as f64 / simulations as f64)
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_promise() {
        for (clusters, resamples) in [(6, 400), (30, 400)] {
            let (by_t, by_bootstrap) = coverage(clusters, 1000, resamples);
            println!("{clusters} clusters: t {by_t}, bootstrap {by_bootstrap}");
            // One standard deviation of the simulated share is 0.007.
            assert!((by_t - LEVEL).abs() < 0.02, "t over {clusters} clusters: {by_t}");
            assert!((by_bootstrap - LEVEL).abs() < 0.03, "bootstrap: {by_bootstrap}");
        }
    }
}
