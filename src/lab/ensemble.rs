//! An ensemble job: curves over the subsets of its members, their diversity, and weight soups.

use scarce_engine::ops::average;
use scarce_engine::pool::Pool;

use super::arithmetic::{foreseen, kernels};
use super::bench::{Bench, Stopwatch, ledger_file, pool};
use super::evaluate::log_z;
use super::floor::add_floors;
use super::members::load_members;
use super::progress::Report;
use crate::eval::statistics::over_seeds;
use crate::eval::{
    EnsembleMeasures, Ledger, MEMBERS_MAX, Scorer, Subsets, Windows, ensemble_thread_bytes,
    measure_ensemble,
};
use crate::model::{Model, Weights};
use crate::spec::{EnsembleSpec, Job, Mask, Part, TrainSpec};
use crate::store::{
    Average, Column, Cost, EnsembleFacts, EnsembleSize, Loss, MemberPair, MemberPairs, Outcome,
    Store,
};
use crate::{Error, Result};

/// Beyond this many members the record names no single pairs, which would be too many to read.
const PAIRS_OF_MEMBERS_MAX: usize = 8;

pub(super) fn run(spec: &EnsembleSpec, bench: &mut Bench<'_>) -> Result<()> {
    let job = Job::Ensemble(spec.clone());
    let (id, count, part) = (job.id(), spec.members.len(), Part::Split(spec.split));
    if !(1..=MEMBERS_MAX).contains(&count) {
        return Err(Error::usage(format!("{count} members: an ensemble has 1 to {MEMBERS_MAX}")));
    }
    let stopwatch = Stopwatch::start();
    let pool = pool(bench.options.threads)?;
    let kernels = kernels(bench.store, spec.precision)?;
    let corpus = bench.corpora.get(spec.corpus)?;
    let positions = spec.sequence_tokens as usize;
    let members = load_members(&spec.members, (bench.store, corpus), positions, kernels, &pool)?;
    let windows = Windows::all(corpus.part(&part)?, positions)?;
    let soups = soup_count(&members);
    let total = (windows.count() * (1 + soups)) as u64;
    bench.log_read(spec.corpus, id, &part)?;

    let subsets = Subsets::new(count, spec.subsets_max);
    let found = {
        let pairs: Vec<(&Model, &Weights)> = members.iter().map(|(m, w)| (m, w)).collect();
        let progress = &mut |done| go_on(bench, done as u64, total);
        measure_ensemble((&windows, spec.mask), &pairs, &subsets, &pool, progress)?
    };
    let EnsembleMeasures { mut ledger, logits_nats, probabilities_nats, pairs } = found;
    if soups > 0 {
        let progress = &mut |soups| go_on(bench, (windows.count() * (1 + soups)) as u64, total);
        add_soups((windows, spec.mask), &members, &pool, &mut ledger, progress)?;
    } else if count > 1 {
        let text = "the members are different models: their weights have no average, and the \
                    control `soup-K` is left out";
        (bench.report)(Report::Warning { text: text.to_owned() });
    }

    let seconds = stopwatch.seconds();
    let cost = cost(spec, &members, windows.count(), soups);
    let mut record = bench.record(&job, Outcome::Finished, kernels, seconds, cost);
    record.losses = ledger.losses(spec.split);
    // Whoever reads only the last loss of a record wants the ensemble, not its control.
    record.losses.sort_by_key(|loss| !matches!(loss.name, Column::Soup(_)));
    add_floors(&mut record.losses, &ledger, corpus, (spec.split, positions))?;
    let nats = [(Average::Logits, logits_nats), (Average::Probabilities, probabilities_nats)];
    let facts = EnsembleFacts {
        sizes: sizes(&nats, &subsets, &record.losses),
        pairs: mean_pair(pairs, count),
    };
    let nats = |name: Column| record.loss(name, spec.split).map(|loss| loss.nats);
    record.measured = log_z(count, nats);
    record.measured.extend(facts.measured());
    record.ensemble = Some(facts);
    let mut draft = bench.store.draft(id)?;
    draft.add(&ledger_file(&part), &ledger.to_safetensors()?)?;
    bench.publish(draft, &job, &record)
}

/// Memory in bytes of an ensemble job whose members are all this model, on a split of
/// `split_tokens`: weights, one soup, the threads' blocks, and the ledger with the copy that is
/// written. What every program of this kind takes besides is not counted.
pub fn planned_ensemble_bytes(
    spec: &TrainSpec,
    store: Option<&Store>,
    members: usize,
    threads: usize,
    split_tokens: u64,
) -> Result<u64> {
    let positions = spec.data.sequence_tokens as usize;
    let kernels = foreseen(store, spec.precision)?.kernels;
    let model = Model::outline(&spec.model, positions, kernels);
    Ok(ensemble_bytes(&vec![&model; members], positions, threads, split_tokens))
}

/// As [`planned_ensemble_bytes`], of any members.
pub(super) fn ensemble_bytes(
    models: &[&Model],
    positions: usize,
    threads: usize,
    split_tokens: u64,
) -> u64 {
    if models.is_empty() {
        return 0;
    }
    let planned = models.iter().map(|model| Weights::planned_bytes(model));
    let (sum, most) = planned.fold((0, 0), |(sum, most), one| (sum + one, one.max(most)));
    let blocks = threads.saturating_mul(ensemble_thread_bytes(models, positions));
    let ledger = 2 * planned_ledger_bytes(models.len(), split_tokens);
    (sum as u64).saturating_add(most as u64).saturating_add(blocks as u64).saturating_add(ledger)
}

/// Bytes on disk of an ensemble's ledger.
#[must_use]
pub(super) fn planned_ledger_bytes(members: usize, split_tokens: u64) -> u64 {
    // Members, two averages of prefixes and of subsets, soups from the second member on, blocks.
    6 * members as u64 * 4 * split_tokens
}

/// Tells how far the job is, and stops it if that was asked for.
fn go_on(bench: &mut Bench<'_>, done: u64, total: u64) -> Result<()> {
    (bench.report)(Report::Done { done, total, loss_nats: None });
    if (bench.interrupted)() {
        return Err(Error::interrupted("stopped while measuring an ensemble")
            .hint("the same command measures it from the start"));
    }
    Ok(())
}

/// Averages of weights exist of the first 2 to K members, if all are the same model.
fn soup_count(members: &[(Model, Weights)]) -> usize {
    let first = &members[0].0.spec;
    if members.iter().all(|(model, _)| model.spec == *first) { members.len() - 1 } else { 0 }
}

/// Adds the columns `soup-K`: the average of the weights of the first K members (mission R10).
/// One soup at a time, so that memory is that of one more member.
fn add_soups(
    (windows, mask): (Windows<'_>, Mask),
    members: &[(Model, Weights)],
    pool: &Pool,
    ledger: &mut Ledger,
    progress: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<()> {
    let (model, first) = &members[0];
    let mut soup = Weights::zeroed(model);
    soup.values.copy_from_slice(&first.values);
    let mut scorer = Scorer::new(windows, mask, model, pool)?;
    for (count, (_, weights)) in (2..).zip(&members[1..]) {
        average::running_mean(model.kernels, &mut soup.values, &weights.values, count);
        soup.pack(pool);
        let name = Column::Soup(count);
        let scored = scorer.score(model, &soup, name)?;
        let column = scored.column(name).expect("it was just scored");
        ledger.push(name, column.to_vec());
        progress(count - 1)?;
    }
    Ok(())
}

/// Forward passes by formula; a third of a training step each. Averaging costs as much again as a
/// part of them, but is not of the model.
fn cost(spec: &EnsembleSpec, members: &[(Model, Weights)], windows: usize, soups: usize) -> Cost {
    let tokens = windows as u64 * u64::from(spec.sequence_tokens);
    let flops = |(model, _): &(Model, Weights)| {
        model.spec.flops_per_token(spec.sequence_tokens) as f64 / 3.0
    };
    let all = members.iter().map(flops).sum::<f64>() + soups as f64 * flops(&members[0]);
    Cost {
        tokens,
        flops: tokens as f64 * all,
        parameters: members.iter().map(|(model, _)| model.parameters() as u64).sum(),
        ..Cost::default()
    }
}

/// The ensembles of every size: from the losses of all subsets by each average, and from those of
/// the ledger's columns.
fn sizes(nats: &[(Average, Vec<f64>)], subsets: &Subsets, losses: &[Loss]) -> Vec<EnsembleSize> {
    let members = subsets.members();
    let mut sizes = Vec::new();
    for &(average, ref nats) in nats {
        let of = |place: usize| nats[place];
        for size in 1..=members {
            let column = Column::Subsets(average, size);
            let loss = losses.iter().find(|loss| loss.name == column).expect("it was measured");
            let places = subsets.of_size(size);
            let each: Vec<f64> = places.iter().map(|&place| of(place)).collect();
            // The curve without each member: for intervals over the choice of them.
            let without = |member| {
                let places = subsets.of_size_without(size, member);
                over_seeds(&places.map(of).collect::<Vec<f64>>()).mean
            };
            let known = size < members && subsets.is_complete();
            sizes.push(EnsembleSize {
                average,
                members: size,
                nats: loss.nats,
                standard_error_nats: loss.standard_error_nats,
                subsets: places.len() as u64,
                sd_nats: over_seeds(&each).standard_deviation,
                without_one_nats: (0..members).filter(|_| known).map(without).collect(),
            });
        }
    }
    sizes
}

/// The mean over pairs, with the pairs themselves where they are few.
fn mean_pair(mut pairs: Vec<MemberPair>, members: usize) -> Option<MemberPairs> {
    let count = pairs.len() as f64;
    let mean = |of: fn(&MemberPair) -> f64| pairs.iter().fold(0.0, |sum, p| sum + of(p)) / count;
    let divergence_nats = mean(|pair| pair.divergence_nats);
    let disagreement_share = mean(|pair| pair.disagreement_share);
    if pairs.is_empty() {
        return None;
    }
    if members > PAIRS_OF_MEMBERS_MAX {
        pairs.clear();
    }
    Some(MemberPairs { divergence_nats, disagreement_share, each: pairs })
}
