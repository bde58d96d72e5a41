//! An ensemble job: curves over the subsets of its members, their diversity, and weight soups.

use scarce_engine::ops::average;
use scarce_engine::pool::Pool;

use super::arithmetic::{foreseen, kernels};
use super::evaluate::log_z;
use super::floor::add_floors;
use super::members::load_members;
use super::progress::Report;
use super::work::{Bench, Stopwatch, ledger_file, pool};
use crate::eval::statistics::over_seeds;
use crate::eval::{
    EnsembleMeasures, Ledger, MEMBERS_MAX, Pair, Scorer, Subsets, Windows, ensemble_thread_bytes,
    measure_ensemble,
};
use crate::model::{Model, Weights};
use crate::spec::{EnsembleSpec, Job, Mask, Part, TrainSpec};
use crate::store::{Cost, Measured, Outcome, Store};
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
    let measured = measured(&found, &subsets);
    let mut ledger = found.ledger;
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
    record.losses.sort_by_key(|loss| !loss.name.starts_with("soup-"));
    add_floors(&mut record.losses, &ledger, corpus, (spec.split, positions))?;
    let nats = |name: &str| record.loss(name, spec.split).map(|loss| loss.nats);
    record.measured = log_z(count, nats);
    record.measured.extend(measured);
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
pub fn planned_ledger_bytes(members: usize, split_tokens: u64) -> u64 {
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
        let name = format!("soup-{count}");
        let scored = scorer.score(model, &soup, &name)?;
        let column = scored.column(&name).expect("it was just scored");
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

/// The numbers that are not losses of columns.
fn measured(found: &EnsembleMeasures, subsets: &Subsets) -> Vec<Measured> {
    let members = subsets.members();
    let mut measured = Vec::new();
    let mut add = |name: String, value: f64| measured.push(Measured { name, value });
    for size in 1..=members {
        add(format!("subsets_{size}_count"), subsets.of_size(size).len() as f64);
    }
    for (average, nats) in averages(found) {
        for size in 1..=members {
            let losses: Vec<f64> = subsets.of_size(size).iter().map(|&place| nats[place]).collect();
            if let Some(deviation) = over_seeds(&losses).standard_deviation {
                add(format!("subsets_{average}_{size}_sd_nats"), deviation);
            }
        }
    }
    // What the curve would have been without each member: for intervals over the choice of them.
    if subsets.is_complete() {
        for (average, nats) in averages(found) {
            for (member, size) in without(members) {
                let places = subsets.of_size_without(size, member);
                let losses: Vec<f64> = places.map(|place| nats[place]).collect();
                let name = format!("without_{member}_{average}_{size}_nats");
                add(name, over_seeds(&losses).mean);
            }
        }
    }
    diversity(&found.pairs, members, &mut add);
    measured
}

fn averages(found: &EnsembleMeasures) -> [(&'static str, &[f64]); 2] {
    [("logits", &found.logits_nats), ("probabilities", &found.probabilities_nats)]
}

/// Every member, and the sizes of subsets that can do without it.
fn without(members: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..members).flat_map(move |member| (1..members).map(move |size| (member, size)))
}

fn diversity(pairs: &[Pair], members: usize, add: &mut impl FnMut(String, f64)) {
    if pairs.is_empty() {
        return;
    }
    let mean =
        |of: fn(&Pair) -> f64| pairs.iter().fold(0.0, |sum, p| sum + of(p)) / pairs.len() as f64;
    add("pairs_divergence_nats".to_owned(), mean(|pair| pair.divergence_nats));
    add("pairs_disagreement_share".to_owned(), mean(|pair| pair.disagreement_share));
    if members > PAIRS_OF_MEMBERS_MAX {
        return;
    }
    for Pair { members: [left, right], divergence_nats, disagreement_share } in pairs {
        add(format!("pair_{left}_{right}_divergence_nats"), *divergence_nats);
        add(format!("pair_{left}_{right}_disagreement_share"), *disagreement_share);
    }
}
