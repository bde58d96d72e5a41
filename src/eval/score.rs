//! Scoring windows with models, ensembles, the n-gram yardstick and the known process.

use std::ops::Range;

use scarce_engine::ops::average;
use scarce_engine::pool::Pool;

use super::ledger::{Ledger, Tokens};
use super::ngram::Ngram;
use super::windows::{Window, Windows};
use crate::data::Language;
use crate::model::{Lane, Model, Sequences, Weights};
use crate::spec::Mask;
use crate::store::{Average, Column};
use crate::{Error, Result};

/// Scores windows with one model at a time; keeps its working memory and the windows' blocks
/// between calls.
#[derive(Debug)]
pub struct Scorer<'a> {
    windows: Windows<'a>,
    predicted: Tokens,
    mask: Mask,
    lanes: Vec<Lane>,
    pool: &'a Pool,
}

impl<'a> Scorer<'a> {
    /// A scorer of these windows for models of one shape.
    pub fn new(windows: Windows<'a>, mask: Mask, model: &Model, pool: &'a Pool) -> Result<Self> {
        let workers = pool.threads().min(windows.count());
        let lanes = (0..workers).map(|_| Lane::new(model, 1)).collect();
        Ok(Self { predicted: windows.predicted()?, windows, mask, lanes, pool })
    }

    /// A ledger with the one column `name`.
    pub fn score(&mut self, model: &Model, weights: &Weights, name: Column) -> Result<Ledger> {
        let Self { windows, predicted, mask, lanes, pool } = self;
        let (windows, mask) = (&*windows, *mask);
        let rows = over_windows(pool, windows, 0..windows.count(), lanes, |lane, window| {
            let mut log_probabilities = vec![0.0; window.tokens.len()];
            lane.score(model, weights, sequences(&window, mask), &mut log_probabilities);
            vec![only_predicted(&window, log_probabilities)]
        })?;
        let mut ledger = Ledger::new(predicted.clone());
        ledger.push(name, rows.into_iter().flatten().flatten().collect());
        Ok(ledger)
    }
}

/// Ledger of K members of one shape or several: `member-I` alone (I from 0), `logits-K` and
/// `probabilities-K` for every prefix of K members, all in one pass over the windows.
///
/// The logit mean is the paper's ensemble: softmax of the mean of the logits (mission R4).
pub fn ensemble_ledger(
    windows: &Windows<'_>,
    mask: Mask,
    members: &[(&Model, &Weights)],
    pool: &Pool,
) -> Result<Ledger> {
    let vocabulary = members.iter().map(|(model, _)| model.spec.vocabulary).max();
    let vocabulary = vocabulary.ok_or_else(|| Error::usage("an ensemble needs members"))?;
    if members.iter().any(|(model, _)| model.spec.vocabulary != vocabulary) {
        return Err(Error::usage("the members of an ensemble must share one vocabulary"));
    }
    let workers = pool.threads().min(windows.count());
    let mut workers: Vec<EnsembleWorker> =
        (0..workers).map(|_| EnsembleWorker::new(windows, members)).collect();
    let all = 0..windows.count();
    let rows = over_windows(pool, windows, all, &mut workers, |worker, window| {
        worker.columns(members, &window, mask)
    })?;
    let mut ledger = Ledger::new(windows.predicted()?);
    let mut columns = vec![Vec::new(); 3 * members.len()];
    for row in rows {
        columns.iter_mut().zip(row).for_each(|(column, part)| column.extend(part));
    }
    let singles = (0..members.len()).map(Column::Member);
    let logits = (1..=members.len()).map(|k| Column::First(Average::Logits, k));
    let probabilities = (1..=members.len()).map(|k| Column::First(Average::Probabilities, k));
    let names = singles.chain(logits).chain(probabilities);
    names.zip(columns).for_each(|(name, column)| ledger.push(name, column));
    Ok(ledger)
}

/// Positions whose logits are held at a time, from the vocabulary: about 4 MiB of logits.
fn block_rows(vocabulary: usize, positions: usize) -> usize {
    ((1 << 20) / vocabulary).clamp(1, positions)
}

/// Working memory of one thread: a lane per member (shapes may differ) and logits of some rows.
struct EnsembleWorker {
    lanes: Vec<Lane>,
    rows: usize,
    logits: Vec<f32>,
    mean: Vec<f32>,
}

impl EnsembleWorker {
    fn new(windows: &Windows<'_>, members: &[(&Model, &Weights)]) -> Self {
        let vocabulary = members[0].0.spec.vocabulary as usize;
        let rows = block_rows(vocabulary, windows.sequence_tokens());
        Self {
            lanes: members.iter().map(|(model, _)| Lane::new(model, 1)).collect(),
            rows,
            logits: vec![0.0; rows * vocabulary],
            mean: vec![0.0; rows * vocabulary],
        }
    }

    /// Log-probabilities of the predicted tokens: K singles, K logit means, K probability means.
    fn columns(
        &mut self,
        members: &[(&Model, &Weights)],
        window: &Window,
        mask: Mask,
    ) -> Vec<Vec<f32>> {
        for (lane, (model, weights)) in self.lanes.iter_mut().zip(members) {
            lane.hidden(model, weights, sequences(window, mask));
        }
        let (count, positions) = (members.len(), window.tokens.len());
        let mut columns = vec![vec![0.0; positions]; 3 * count];
        for start in (0..positions).step_by(self.rows) {
            let rows = start..positions.min(start + self.rows);
            self.rows_of_logits(members, window, rows, &mut columns);
        }
        let (singles, averages) = columns.split_at_mut(count);
        for position in 0..positions {
            let single: Vec<f32> = singles.iter().map(|column| column[position]).collect();
            for k in 1..=count {
                averages[count + k - 1][position] = average::log_mean_exp(&single[..k]);
            }
        }
        columns.into_iter().map(|column| only_predicted(window, column)).collect()
    }

    /// Fills the singles' and the logit means' columns at these positions.
    fn rows_of_logits(
        &mut self,
        members: &[(&Model, &Weights)],
        window: &Window,
        rows: Range<usize>,
        columns: &mut [Vec<f32>],
    ) {
        let vocabulary = members[0].0.spec.vocabulary as usize;
        let length = rows.len() * vocabulary;
        let (logits, mean) = (&mut self.logits[..length], &mut self.mean[..length]);
        for (index, (model, weights)) in members.iter().enumerate() {
            self.lanes[index].project(model, weights, rows.clone(), logits);
            average::running_mean(model.kernels, mean, logits, index + 1);
            for (row, position) in rows.clone().enumerate() {
                let target = window.targets[position] as usize;
                if target >= vocabulary {
                    continue;
                }
                let of_row = row * vocabulary..(row + 1) * vocabulary;
                let log_probability =
                    |logits: &[f32]| average::log_probability(model.kernels, logits, target);
                columns[index][position] = log_probability(&logits[of_row.clone()]);
                columns[members.len() + index][position] = log_probability(&mean[of_row]);
            }
        }
    }
}

/// Ledger of the n-gram yardstick: the same predictions that a model makes.
pub fn ngram_ledger(windows: &Windows<'_>, ngram: &Ngram) -> Result<Ledger> {
    let mut ledger = Ledger::new(windows.predicted()?);
    let mut column = Vec::with_capacity(ledger.tokens.blocks.len());
    for index in 0..windows.count() {
        let window = windows.tokens(index)?;
        column.extend(ngram.log_probabilities(&window).into_iter().map(|log| log as f32));
    }
    ledger.push(Column::Ngram, column);
    Ok(ledger)
}

/// Ledger of the built-in language's own predictive distribution: the floor, token by token.
///
/// # Errors
/// If windows and documents differ: the process knows a document's history only from its start.
pub fn floor_ledger(windows: &Windows<'_>, language: &Language) -> Result<Ledger> {
    let mut ledger = Ledger::new(windows.predicted()?);
    let mut column = Vec::with_capacity(ledger.tokens.blocks.len());
    for index in 0..windows.count() {
        let window = windows.window(index)?;
        let whole = window.starts.iter().all(|&start| start == 0);
        if !whole || windows.split().documents() as usize != windows.count() {
            return Err(Error::usage("the floor is known for windows that are whole documents"));
        }
        let nats = language.floor_nats(&windows.tokens(index)?);
        column.extend(nats.into_iter().map(|nats| -nats as f32));
    }
    ledger.push(Column::Floor, column);
    Ok(ledger)
}

/// Applies `score` to these windows on the pool's threads; results in the order of the windows.
pub(super) fn over_windows<W: Send, R: Send>(
    pool: &Pool,
    windows: &Windows<'_>,
    range: Range<usize>,
    workers: &mut [W],
    score: impl Fn(&mut W, Window) -> R + Sync,
) -> Result<Vec<R>> {
    let count = range.len();
    let stride = workers.len();
    let mut tasks: Vec<_> = workers.iter_mut().map(|worker| (worker, Vec::new())).collect();
    pool.run(&mut tasks, |first, (worker, results)| {
        for index in (first..count).step_by(stride) {
            let window = windows.window(range.start + index);
            results.push(window.map(|window| score(worker, window)));
        }
    });
    let mut queues: Vec<_> = tasks.into_iter().map(|(_, results)| results.into_iter()).collect();
    (0..count).map(|index| queues[index % stride].next().expect("one result per window")).collect()
}

pub(super) fn sequences(window: &Window, mask: Mask) -> Sequences<'_> {
    let starts = match mask {
        Mask::AcrossDocuments {} => None,
        Mask::WithinDocuments {} => Some(&window.starts[..]),
    };
    Sequences { tokens: &window.tokens, targets: &window.targets, starts }
}

/// The numbers at positions with a target: those before the last token.
fn only_predicted(window: &Window, mut numbers: Vec<f32>) -> Vec<f32> {
    let predicted = window.targets.iter().take_while(|&&t| t != crate::model::NO_TARGET).count();
    numbers.truncate(predicted);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::{log_z, logarithms, with_members};
    use crate::spec::Split;

    /// The identity Q0, token by token: log p_ens = mean log p_i - log Z with
    /// Z = sum over v of exp(mean over i of log p_i(v)), computed here from whole distributions.
    #[test]
    fn logit_averaging_gains_minus_log_z_on_every_token() {
        with_members(3, |corpus, members| {
            let windows = Windows::all(corpus.split(Split::Val), 128).unwrap().sample(400);
            let pool = Pool::new(2);
            let mask = Mask::AcrossDocuments {};
            let ledger = ensemble_ledger(&windows, mask, members, &pool).unwrap();
            let log_z =
                logarithms(&windows, members).iter().map(|of| log_z(of)).collect::<Vec<_>>();
            let column = |name: Column| ledger.column(name).unwrap();
            let singles: Vec<&[f32]> = [0, 1, 2].map(Column::Member).map(column).to_vec();
            let average = |average| column(Column::First(average, 3));
            let (logits, probabilities) =
                (average(Average::Logits), average(Average::Probabilities));
            for token in 0..log_z.len() {
                let of = singles.iter().map(|single| f64::from(single[token]));
                let mean = of.clone().sum::<f64>() / 3.0;
                let expected = mean - log_z[token];
                assert!((f64::from(logits[token]) - expected).abs() < 2e-5);
                assert!(log_z[token] <= 1e-6, "Z is at most 1");
                let probability = of.map(f64::exp).sum::<f64>() / 3.0;
                assert!((f64::from(probabilities[token]) - probability.ln()).abs() < 1e-5);
            }
            assert_eq!(column(Column::First(Average::Logits, 1)), singles[0]);
            assert_eq!(ledger.names().count(), 9);
        });
    }

    #[test]
    fn a_single_model_scores_as_an_ensemble_of_one_on_any_number_of_threads() {
        with_members(1, |corpus, members| {
            let windows = Windows::all(corpus.split(Split::Val), 128).unwrap().sample(1000);
            let mask = Mask::WithinDocuments {};
            let score = |threads| {
                let pool = Pool::new(threads);
                let (model, weights) = members[0];
                let mut scorer = Scorer::new(windows, mask, model, &pool).unwrap();
                scorer.score(model, weights, Column::Member(0)).unwrap()
            };
            let one = score(1);
            assert_eq!(one, score(3));
            let ensemble = ensemble_ledger(&windows, mask, members, &Pool::new(1)).unwrap();
            assert_eq!(one.column(Column::Member(0)), ensemble.column(Column::Member(0)));
        });
    }

    #[test]
    fn the_floor_lies_below_every_model() {
        with_members(1, |corpus, members| {
            let windows = Windows::all(corpus.split(Split::Val), 128).unwrap();
            let floor = floor_ledger(&windows, &corpus.language().unwrap()).unwrap();
            let mean = floor.estimate(Column::Floor).unwrap().mean;
            assert!((mean - 2.3208).abs() < 5e-5, "{mean}");
            let mask = Mask::AcrossDocuments {};
            let model = ensemble_ledger(&windows, mask, members, &Pool::new(1)).unwrap();
            assert!(model.estimate(Column::First(Average::Logits, 1)).unwrap().mean > mean);
        });
    }
}
