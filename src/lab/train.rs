//! A training job: model, data and journal together, and the record at the end.

use scarce_engine::isa::Kernels;
use scarce_engine::pool::Pool;

use super::arithmetic::{foreseen, kernels, kernels_of, numerics};
use super::bench::{Bench, Stopwatch, WorkOptions, ledger_file, parse_metrics, pool};
use super::consent::consents;
use super::floor::add_floors;
use super::memory::{Crowd, Demand};
use super::progress::Report;
use crate::data::{Corpus, PartReader};
use crate::eval::{Ledger, Scorer, Windows, side_means};
use crate::model::{Model, Weights, from_safetensors, to_safetensors};
use crate::spec::{Job, JobId, Part, SideSet, Split, Start, TrainSpec};
use crate::store::{Column, Cost, Held, Numerics, Outcome, Record, Store, TrainedOn};
use crate::train::{
    Cohort, Ended, Feed, HeldOut, Journal, Observer, Progress, Settings, run as run_cohort,
};
use crate::{Error, Result};

/// Steps that a run takes.
pub fn planned_steps(spec: &TrainSpec, corpora: &super::Corpora) -> Result<u64> {
    Ok(feed(spec, corpora)?.steps())
}

/// What a run reads of each corpus.
pub fn planned_reads(spec: &TrainSpec, corpora: &super::Corpora) -> Result<Vec<TrainedOn>> {
    let feed = feed(spec, corpora)?;
    Ok(feed.trained_on(feed.steps()))
}

fn feed<'a>(spec: &TrainSpec, corpora: &'a super::Corpora) -> Result<Feed<'a>> {
    Feed::new(spec, |id| corpora.get(id))
}

pub(super) fn run(spec: &TrainSpec, held: &Held, bench: &mut Bench<'_>) -> Result<()> {
    let job = Job::Train(spec.clone());
    let id = job.id();
    let pool = pool(bench.options.threads)?;
    let parameters = usize::try_from(spec.model.parameters()).unwrap_or(usize::MAX);
    let checkpoint = Journal::latest(held.folder(), parameters, &mut |text| {
        (bench.report)(Report::Warning { text });
    })?;
    let begun = checkpoint.as_ref().map(|checkpoint| &checkpoint.header.numerics);
    let kernels = kernels_to_go_on(begun, spec, bench.store)?;
    let mut cohort = cohort((spec, kernels), bench.corpora, &pool)?;
    let class = numerics(kernels);
    let mut journals = [Journal::open(held.folder(), id, &class, checkpoint.as_ref())?];
    if let Some(checkpoint) = checkpoint {
        cohort.restore(0, checkpoint.header.step, &checkpoint.sections)?;
    } else if let Start::From { record } = spec.start {
        start_from(&mut cohort, bench.store, record)?;
    }
    let steps = cohort.steps(0).1;
    let stopwatch = Stopwatch::start();
    let settings = Settings {
        checkpoint_interval: bench.options.checkpoint_interval,
        log_steps: match bench.options.log_steps {
            0 => steps.div_ceil(1000).max(1),
            steps => steps,
        },
    };
    let corpus = bench.corpora.get(spec.data.corpus)?;
    let mut watcher = Watcher { spec, job: &job, corpus, held, pool: &pool, bench, measured: None };
    let mut ended = run_cohort(&mut cohort, &mut journals, &settings, &mut watcher)?[0];
    if ended == Ended::Finished && watcher.measured.is_none() {
        // A run that was killed after its last step, before its record was out.
        let held_out = watcher.evaluate(0, cohort.model(), cohort.weights(0), true)?;
        if !held_out.iter().all(HeldOut::is_finite) {
            ended = Ended::Diverged { step: steps.saturating_sub(1) };
        }
    }
    let measured = watcher.measured.take().filter(|_| ended == Ended::Finished);
    held.check()?;
    let [mut journal] = journals;
    let seconds = journal.seconds(stopwatch.seconds());
    let record = record(&cohort, (&job, ended), measured.as_ref(), seconds, bench)?;
    publish(&job, &record, (&cohort, &mut journal, measured.as_ref()), bench)
}

/// The kernels of the class in which a run was begun. A machine that lacks them gives its own,
/// whose class the journal refuses.
fn kernels_to_go_on(begun: Option<&Numerics>, spec: &TrainSpec, store: &Store) -> Result<Kernels> {
    if let Some(class) = begun
        && let Some(kernels) = kernels_of(class, spec.precision)?
    {
        return Ok(kernels);
    }
    kernels(store, spec.precision)
}

fn cohort<'c>(
    (spec, kernels): (&TrainSpec, Kernels),
    corpora: &'c super::Corpora,
    pool: &'c Pool,
) -> Result<Cohort<'c>> {
    let model = Model::new(&spec.model, spec.data.sequence_tokens as usize, kernels);
    let feed = feed(spec, corpora)?;
    Ok(Cohort::new(model, vec![(spec.clone(), feed)], pool))
}

/// Takes the final weights of another run; schedule and moments start anew (mission B11).
fn start_from(cohort: &mut Cohort<'_>, store: &Store, from: JobId) -> Result<()> {
    let file = store.read_file(from, "weights.safetensors")?;
    let table = cohort.model().table.clone();
    let mut result = Ok(());
    cohort.set_weights(0, |values| result = from_safetensors(&table, &file, values));
    result.map_err(|error| error.within(format!("weights of {}", from.short())))
}

/// Ledgers of the last evaluation.
struct FinalLedgers {
    val: Ledger,
    sides: Vec<(SideSet, Ledger)>,
}

/// Measures held-out loss and passes on what the loop tells.
struct Watcher<'w, 'a> {
    spec: &'w TrainSpec,
    job: &'w Job,
    corpus: &'w Corpus,
    held: &'w Held,
    pool: &'w Pool,
    bench: &'w mut Bench<'a>,
    measured: Option<FinalLedgers>,
}

impl Watcher<'_, '_> {
    /// Scores a part of the corpus: all of it at the end, a sample of it before.
    fn score(
        &self,
        part: &PartReader,
        (model, weights): (&Model, &Weights),
        last: bool,
    ) -> Result<Ledger> {
        let all = Windows::all(part, model.positions)?;
        let windows = if last { all } else { all.sample(self.spec.evaluation.sample_tokens) };
        Scorer::new(windows, self.spec.data.mask, model, self.pool)?.score(
            model,
            weights,
            Column::Model,
        )
    }
}

/// The line of a part in the metrics.
fn held_out(part: &str, ledger: &Ledger) -> HeldOut {
    let estimate = ledger.estimate(Column::Model).expect("the column was just written");
    HeldOut {
        name: part.to_owned(),
        loss_nats: estimate.mean,
        standard_error_nats: estimate.standard_error,
        tokens: ledger.tokens.blocks.len() as u64,
    }
}

impl Observer for Watcher<'_, '_> {
    fn evaluate(
        &mut self,
        _member: usize,
        model: &Model,
        weights: &Weights,
        last: bool,
    ) -> Result<Vec<HeldOut>> {
        let val = self.score(self.corpus.split(Split::Val), (model, weights), last)?;
        let mut lines = vec![held_out(Split::Val.name(), &val)];
        let mut sides = Vec::new();
        for (side, part) in self.corpus.sides() {
            let ledger = self.score(part, (model, weights), last)?;
            lines.push(held_out(side.name.as_str(), &ledger));
            sides.push((side, ledger));
        }
        self.measured = last.then_some(FinalLedgers { val, sides });
        Ok(lines)
    }

    fn progress(&mut self, progress: Progress) {
        let Progress { step, steps, loss_nats, .. } = progress;
        let loss_nats = Some(loss_nats);
        (self.bench.report)(Report::Done { done: step, total: steps, loss_nats });
    }

    fn interrupted(&self) -> bool {
        (self.bench.interrupted)()
    }

    fn check(&self) -> Result<()> {
        self.held.check()?;
        self.bench.check_corpora(self.job)
    }
}

fn record(
    cohort: &Cohort<'_>,
    (job, ended): (&Job, Ended),
    measured: Option<&FinalLedgers>,
    seconds: (f64, f64),
    bench: &Bench<'_>,
) -> Result<Record> {
    let (model, spec, steps) = (cohort.model(), cohort.spec(0), cohort.steps(0).0);
    let tokens = steps * cohort.step_tokens();
    let outcome = match ended {
        Ended::Finished => Outcome::Finished,
        Ended::Diverged { step } => Outcome::Diverged { step },
    };
    let cost = Cost {
        steps,
        tokens,
        flops: tokens as f64 * spec.model.flops_per_token(spec.data.sequence_tokens) as f64,
        parameters: model.parameters() as u64,
        ..Cost::default()
    };
    let trained_on = cohort.trained_on(0);
    let tokenizer = bench.corpora.get(spec.data.corpus)?.tokenizer_hash();
    let mut record = Record {
        trained_on,
        tokenizer,
        ..bench.record(job, outcome, model.kernels, seconds, cost)
    };
    if let Some(FinalLedgers { val, sides }) = measured {
        record.losses = val.losses(Split::Val);
        let corpus = bench.corpora.get(spec.data.corpus)?;
        add_floors(&mut record.losses, val, corpus, (Split::Val, model.positions))?;
        for (side, ledger) in sides {
            record.side_losses.extend(ledger.losses(side.clone()));
        }
        record.side_means = side_means(&record.side_losses);
    }
    Ok(record)
}

fn publish(
    job: &Job,
    record: &Record,
    (cohort, journal, measured): (&Cohort<'_>, &mut Journal, Option<&FinalLedgers>),
    bench: &mut Bench<'_>,
) -> Result<()> {
    let mut draft = bench.store.draft(record.id)?;
    let metrics = journal.metrics()?;
    parse_metrics(&metrics, record.id)?;
    draft.add("metrics.jsonl", &metrics)?;
    if let Some(FinalLedgers { val, sides }) = measured {
        draft.add(&ledger_file(&Split::Val.into()), &val.to_safetensors()?)?;
        for (side, ledger) in sides {
            draft.add(&ledger_file(&Part::Side(side.clone())), &ledger.to_safetensors()?)?;
        }
    }
    if bench.options.keep_weights && record.outcome == Outcome::Finished {
        let weights = to_safetensors(&cohort.model().table, &cohort.weights(0).values)?;
        draft.add("weights.safetensors", &weights)?;
    }
    bench.publish(draft, job, record)
}

/// Trains a recorded run again and compares the final weights byte for byte.
///
/// # Errors
/// If the record holds no weights, was made in another numerics class, or the weights differ.
pub fn replay(
    id: JobId,
    (store, corpora): (&Store, &super::Corpora),
    options: &WorkOptions,
    report: &mut dyn FnMut(Report),
) -> Result<()> {
    let Job::Train(spec) = store.job(id)? else {
        return Err(Error::usage(format!("record {} is not a training run", id.short())));
    };
    let Some(record) = store.record(id)? else {
        return Err(Error::usage(format!("there is no record {}", id.short())));
    };
    let job = Job::Train(spec.clone());
    let (of_job, allowed) = (std::slice::from_ref(&job), options.allowed.or(record.allowed));
    let allowed = consents(of_job, (Some(store), corpora), allowed)?.used;
    let crowd = Crowd { workers: 1, threads: options.threads };
    Demand::of(of_job, (store, corpora), crowd)?.check(None, crowd)?;
    let expected = store.read_file(id, "weights.safetensors")?;
    let bench = Bench { store, corpora, options, report, interrupted: &|| false, allowed };
    let pool = pool(options.threads)?;
    let Some(kernels) = kernels_of(&record.numerics, spec.precision)? else {
        return Err(Error::usage(format!(
            "the record was made in numerics class {}, this machine would use {}",
            record.numerics,
            numerics(foreseen(Some(store), spec.precision)?.kernels)
        ))
        .hint("replay it on a machine, or with the SCARCE_ISA, that has that class"));
    };
    let mut cohort = cohort((&spec, kernels), corpora, &pool)?;
    if let Start::From { record } = spec.start {
        start_from(&mut cohort, store, record)?;
    }
    let (_, total) = cohort.steps(0);
    while cohort.steps(0).0 < total && cohort.diverged(0).is_none() {
        let loss_nats = cohort.step()?[0].map(|result| result.loss_nats);
        (bench.report)(Report::Done { done: cohort.steps(0).0, total, loss_nats });
    }
    for corpus in job.corpora() {
        corpora.get(corpus)?.check_content()?;
    }
    if to_safetensors(&cohort.model().table, &cohort.weights(0).values)? != expected {
        return Err(Error::data(format!("replaying {} gave other weights", id.short())));
    }
    Ok(())
}
