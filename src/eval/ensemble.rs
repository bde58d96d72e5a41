//! Ensembles over the subsets of their members, and how much the members differ: one pass over the
//! windows, with the logits of a block of positions of all members at hand.
//!
//! The mean over the subsets of a size is a column like any other: of every token the mean of its
//! log-probabilities under the subsets. Its loss is the mean of their losses, and standard errors,
//! paired differences and floors are those of any column. By mission Q0 the gain of a logit average
//! over its mean member is -E[log Z]; divergence and disagreement of pairs say where it comes from.
//!
//! Letters: K members, V vocabulary.

use std::ops::Range;

use scarce_engine::isa::Kernels;
use scarce_engine::ops::average;
use scarce_engine::pool::Pool;

use super::ledger::Ledger;
use super::score::{over_windows, sequences};
use super::subsets::Subsets;
use super::windows::{Window, Windows};
use crate::model::{Lane, Model, NO_TARGET, Weights};
use crate::spec::Mask;
use crate::store::{Average, Column, MemberPair};
use crate::{Error, Result};

/// Windows between two reports of progress; their results are added up before the next ones, so
/// that memory does not grow with the split by more than the ledger.
const GROUP: usize = 64;

/// Logits of all members that a thread holds at a time: 4 MiB, unless that were too few rows for
/// the matrix product to be fast.
const BLOCK_LOGITS: usize = 1 << 20;
const BLOCK_ROWS_MIN: usize = 16;

/// What was found out about an ensemble.
#[derive(Clone, Debug)]
pub struct EnsembleMeasures {
    /// `member-I` (I from 0), `logits-K` and `probabilities-K` of the first K members, then
    /// `subsets-logits-K` and `subsets-probabilities-K`, the means over subsets of size K.
    pub ledger: Ledger,
    /// Loss of every subset by the average of its logits, in the order of [`Subsets::list`]; nats
    /// per token.
    pub logits_nats: Vec<f64>,
    /// The same by the average of its probabilities.
    pub probabilities_nats: Vec<f64>,
    /// Every pair of members, the smaller first.
    pub pairs: Vec<MemberPair>,
}

/// Measures an ensemble. `progress` is told how many windows are done, and may stop the pass by an
/// error.
///
/// # Errors
/// If members differ in their vocabulary, or a window cannot be read.
///
/// # Panics
/// Unless `subsets` are those of as many members.
pub fn measure_ensemble(
    (windows, mask): (&Windows<'_>, Mask),
    members: &[(&Model, &Weights)],
    subsets: &Subsets,
    pool: &Pool,
    progress: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<EnsembleMeasures> {
    assert_eq!(members.len(), subsets.members(), "one model per member");
    let vocabulary = members[0].0.spec.vocabulary;
    if members.iter().any(|(model, _)| model.spec.vocabulary != vocabulary) {
        return Err(Error::usage("the members of an ensemble must share one vocabulary"));
    }
    let models: Vec<&Model> = members.iter().map(|(model, _)| *model).collect();
    let threads = pool.threads().min(windows.count());
    let mut workers: Vec<Worker<'_>> =
        (0..threads).map(|_| Worker::new(&models, subsets, windows.sequence_tokens())).collect();
    let mut found = Found::new(subsets);
    for start in (0..windows.count()).step_by(GROUP) {
        let group = start..windows.count().min(start + GROUP);
        let end = group.end;
        let parts = over_windows(pool, windows, group, &mut workers, |worker, window| {
            worker.window(members, &window, mask)
        })?;
        parts.into_iter().for_each(|part| found.append(part));
        progress(end)?;
    }
    found.measures(Ledger::new(windows.predicted()?), subsets)
}

/// Working memory in bytes of one thread of [`measure_ensemble`], without the weights.
#[must_use]
pub fn ensemble_thread_bytes(models: &[&Model], positions: usize) -> usize {
    let vocabulary = models[0].spec.vocabulary as usize;
    let rows = block_rows(vocabulary, models.len(), positions);
    let lanes: usize = models.iter().map(|model| Lane::bytes(model, 1)).sum();
    lanes + 4 * models.len() * vocabulary * (rows + 3)
}

/// Positions whose logits are held at a time: a function of shapes.
fn block_rows(vocabulary: usize, members: usize, positions: usize) -> usize {
    (BLOCK_LOGITS / (vocabulary * members)).max(BLOCK_ROWS_MIN).min(positions)
}

/// Sums and columns over some windows, in the order of the windows: then they do not depend on
/// who has scored which.
struct Found {
    /// In the order of the ledger's columns.
    columns: Vec<Vec<f32>>,
    /// Sum of the log-probabilities of each subset, by logits and by probabilities.
    sums: [Vec<f64>; 2],
    /// Sum of the divergences and count of the disagreements of each pair.
    pairs: Vec<(f64, u64)>,
}

impl Found {
    fn new(subsets: &Subsets) -> Self {
        let (members, count) = (subsets.members(), subsets.list().len());
        Self {
            columns: vec![Vec::new(); 5 * members],
            sums: [vec![0.0; count], vec![0.0; count]],
            pairs: vec![(0.0, 0); members * (members - 1) / 2],
        }
    }

    fn append(&mut self, part: Self) {
        for (column, part) in self.columns.iter_mut().zip(part.columns) {
            column.extend(part);
        }
        for (sums, part) in self.sums.iter_mut().zip(part.sums) {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        for (pair, part) in self.pairs.iter_mut().zip(part.pairs) {
            *pair = (pair.0 + part.0, pair.1 + part.1);
        }
    }

    fn measures(self, mut ledger: Ledger, subsets: &Subsets) -> Result<EnsembleMeasures> {
        let tokens = ledger.tokens.blocks.len() as f64;
        let members = subsets.members();
        let singles = (0..members).map(Column::Member);
        let of = |kind: fn(Average, usize) -> Column| {
            let sizes = move |average| (1..=members).map(move |size| kind(average, size));
            Average::BOTH.into_iter().flat_map(sizes)
        };
        let averages = of(Column::First).chain(of(Column::Subsets));
        for (name, column) in singles.chain(averages).zip(self.columns) {
            ledger.push(name, column);
        }
        let nats = |sums: Vec<f64>| sums.into_iter().map(|sum| -sum / tokens).collect();
        let [logits_nats, probabilities_nats] = self.sums.map(nats);
        let pairs = pairs(members).zip(self.pairs).map(|(members, (divergence, disagreements))| {
            let disagreement_share = disagreements as f64 / tokens;
            MemberPair { members, divergence_nats: divergence / tokens, disagreement_share }
        });
        Ok(EnsembleMeasures { ledger, logits_nats, probabilities_nats, pairs: pairs.collect() })
    }
}

/// Every pair of members, in lexicographic order.
fn pairs(members: usize) -> impl Iterator<Item = [usize; 2]> {
    (0..members).flat_map(move |left| (left + 1..members).map(move |right| [left, right]))
}

/// Working memory of one thread.
struct Worker<'a> {
    subsets: &'a Subsets,
    kernels: Kernels,
    vocabulary: usize,
    lanes: Vec<Lane>,
    rows: usize,
    /// Of all members, `[K, rows, V]`.
    logits: Vec<f32>,
    /// Mean logits of the first k members of the subset at hand, for every k, `[K, V]`.
    means: Vec<f32>,
    /// Every member's distribution at the position at hand and its logarithms, `[K, V]`.
    probabilities: Vec<f32>,
    logs: Vec<f32>,
    /// Every member's likeliest token there.
    likeliest: Vec<usize>,
    /// Log-probability of the target under each subset, by logits and by probabilities.
    averages: [Vec<f32>; 2],
}

impl<'a> Worker<'a> {
    fn new(models: &[&Model], subsets: &'a Subsets, positions: usize) -> Self {
        let (members, vocabulary) = (models.len(), models[0].spec.vocabulary as usize);
        let rows = block_rows(vocabulary, members, positions);
        let (row_per_member, count) = (vec![0.0; members * vocabulary], subsets.list().len());
        Self {
            subsets,
            kernels: models[0].kernels,
            vocabulary,
            lanes: models.iter().map(|model| Lane::new(model, 1)).collect(),
            rows,
            logits: vec![0.0; members * rows * vocabulary],
            means: row_per_member.clone(),
            probabilities: row_per_member.clone(),
            logs: row_per_member,
            likeliest: vec![0; members],
            averages: [vec![0.0; count], vec![0.0; count]],
        }
    }

    fn window(&mut self, members: &[(&Model, &Weights)], window: &Window, mask: Mask) -> Found {
        for (lane, (model, weights)) in self.lanes.iter_mut().zip(members) {
            lane.hidden(model, weights, sequences(window, mask));
        }
        let targets = window.targets.iter().take_while(|&&target| target != NO_TARGET);
        let predicted = targets.count();
        let mut found = Found::new(self.subsets);
        for start in (0..predicted).step_by(self.rows) {
            let rows = start..predicted.min(start + self.rows);
            self.project(members, rows.clone());
            for position in rows {
                self.token(position - start, window.targets[position] as usize, &mut found);
            }
        }
        found
    }

    fn project(&mut self, members: &[(&Model, &Weights)], rows: Range<usize>) {
        let length = rows.len() * self.vocabulary;
        let blocks = self.logits.chunks_exact_mut(self.rows * self.vocabulary);
        for ((lane, (model, weights)), logits) in self.lanes.iter_mut().zip(members).zip(blocks) {
            lane.project(model, weights, rows.clone(), &mut logits[..length]);
        }
    }

    /// Adds one token to what was found; `row` is its place in the block of logits.
    fn token(&mut self, row: usize, target: usize, found: &mut Found) {
        self.average_logits(row, target);
        self.average_probabilities();
        let (subsets, [logits, probabilities]) = (self.subsets, &self.averages);
        let members = subsets.members();
        let (singles, averages) = found.columns.split_at_mut(members);
        for (column, &place) in singles.iter_mut().zip(subsets.of_size(1)) {
            column.push(logits[place]);
        }
        for (index, column) in averages.iter_mut().enumerate() {
            let (k, prefix) = (index % members + 1, subsets.prefix(index % members + 1));
            column.push(match index / members {
                0 => logits[prefix],
                1 => probabilities[prefix],
                2 => mean(logits, subsets.of_size(k)),
                _ => mean(probabilities, subsets.of_size(k)),
            });
        }
        for (sums, averages) in found.sums.iter_mut().zip(&self.averages) {
            sums.iter_mut().zip(averages).for_each(|(sum, log)| *sum += f64::from(*log));
        }
        self.compare(row, &mut found.pairs);
    }

    /// The target under the mean logits of every subset. Neighbors in the list share their
    /// beginnings, so that nearly every subset costs one more member; the bits are those of the
    /// running mean over the subset's members in order.
    fn average_logits(&mut self, row: usize, target: usize) {
        let (kernels, vocabulary) = (self.kernels, self.vocabulary);
        let logits = |member: usize| {
            let start = (member * self.rows + row) * vocabulary;
            &self.logits[start..start + vocabulary]
        };
        let mut last: &[usize] = &[];
        for (subset, found) in self.subsets.list().iter().zip(&mut self.averages[0]) {
            let shared = subset.iter().zip(last).take_while(|(left, right)| left == right).count();
            for (count, &member) in (1..).zip(subset).skip(shared) {
                let (before, mean) = self.means.split_at_mut((count - 1) * vocabulary);
                let mean = &mut mean[..vocabulary];
                if count == 1 {
                    mean.copy_from_slice(logits(member));
                } else {
                    let before = &before[(count - 2) * vocabulary..];
                    average::extended_mean(kernels, mean, before, logits(member), count);
                }
            }
            let mean = &self.means[(subset.len() - 1) * vocabulary..subset.len() * vocabulary];
            *found = average::log_probability(kernels, mean, target);
            last = subset;
        }
    }

    /// The target under the mean probabilities of every subset.
    fn average_probabilities(&mut self) {
        let [logits, probabilities] = &mut self.averages;
        let singles = self.subsets.of_size(1);
        let mut of_subset = Vec::with_capacity(singles.len());
        for (subset, found) in self.subsets.list().iter().zip(probabilities) {
            of_subset.clear();
            of_subset.extend(subset.iter().map(|&member| logits[singles[member]]));
            *found = average::log_mean_exp(&of_subset);
        }
    }

    /// Adds how far the members of every pair differ at this position.
    fn compare(&mut self, row: usize, sums: &mut [(f64, u64)]) {
        let (kernels, vocabulary) = (self.kernels, self.vocabulary);
        let members = self.subsets.members();
        let of = |member: usize| member * vocabulary..(member + 1) * vocabulary;
        for member in 0..members {
            let start = (member * self.rows + row) * vocabulary;
            let logits = &self.logits[start..start + vocabulary];
            let (logs, probabilities) =
                (&mut self.logs[of(member)], &mut self.probabilities[of(member)]);
            average::distribution(kernels, logits, logs, probabilities);
            self.likeliest[member] = average::likeliest(kernels, logits);
        }
        for ([left, right], sum) in pairs(members).zip(sums) {
            let probabilities = [&self.probabilities[of(left)], &self.probabilities[of(right)]];
            let logs = [&self.logs[of(left)], &self.logs[of(right)]];
            sum.0 += f64::from(average::divergence(kernels, probabilities, logs));
            sum.1 += u64::from(self.likeliest[left] != self.likeliest[right]);
        }
    }
}

/// The mean over the subsets at these places, of which there is one at least.
fn mean(averages: &[f32], places: &[usize]) -> f32 {
    let sum = places.iter().fold(0.0, |sum, &place| sum + f64::from(averages[place]));
    (sum / places.len() as f64) as f32
}

#[cfg(test)]
mod tests;
