//! `scarce train`: the plain form of one run.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::options::{Places, Running, SpecSource, ask, memory_verdict};
use super::progress::Bar;
use super::signals::Interrupt;
use super::{print, runs};
use crate::Result;
use crate::data::Corpus;
use crate::lab::{
    Corpora, Crowd, Demand, Report, WorkOptions, foreseen, numerics, planned_reads, planned_steps,
    work,
};
use crate::spec::{Job, Resolved, SideSet, Split, TrainSpec};
use crate::store::{Column, Outcome, Record, Store};
use crate::train::Plan;

/// Arguments of `scarce train`.
#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    source: SpecSource,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    running: Running,
    /// Show the resolved spec, memory, work and whether the record is known; train nothing
    #[arg(long)]
    dry_run: bool,
    /// Take a known record only if it is of the numerics class of this machine
    #[arg(long)]
    exact: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &TrainArgs) -> Result<ExitCode> {
    arguments.source.check()?;
    let corpora = arguments.places.open_corpora()?;
    let resolved = arguments.source.resolve(&corpora)?;
    let options = arguments.running.options()?;
    let job = Job::Train(resolved.spec.clone());
    let existing = Store::look(&arguments.places.store)?;
    let places = (existing.as_ref(), &corpora);
    ask(std::slice::from_ref(&job), places, options.allowed)?;
    if arguments.dry_run {
        return dry_run(arguments, (&resolved, &options), places).map(|()| ExitCode::SUCCESS);
    }
    let corpus = corpora.get(resolved.spec.data.corpus)?;
    let id = job.id();
    let (demand, crowd) = demand(&resolved.spec, &options)?;
    if !existing.is_some_and(|store| store.has(id)) {
        demand.check(Some(&resolved.spec), crowd)?;
    }
    let interrupt = Interrupt::listen()?;
    let store = Store::open(&arguments.places.store)?;
    if arguments.exact {
        check_class(&store, &job)?;
    }
    if !store.has(id) {
        print::note(&format!("training {}", id.short()));
    }
    let (bar, start) = (Bar::new("training"), Instant::now());
    let mut first = None;
    let mut report = |report: Report| {
        if let Report::Done { done, .. } = report {
            first.get_or_insert(done.saturating_sub(1));
        }
        bar.run(&report, start, first.unwrap_or(0));
    };
    let interrupted = || interrupt.is_set();
    let record = work(&job, (&store, &corpora), &options, &mut report, &interrupted);
    bar.finish();
    let record = record?;
    show(&record, arguments.json)?;
    if record.outcome == Outcome::Finished {
        note_missing_sides(&record, corpus);
    }
    Ok(match record.outcome {
        Outcome::Finished => ExitCode::SUCCESS,
        Outcome::Diverged { .. } => ExitCode::from(4),
    })
}

/// What the run needs of memory.
fn demand(spec: &TrainSpec, options: &WorkOptions) -> Result<(Demand, Crowd)> {
    let crowd = Crowd { workers: 1, threads: options.threads };
    Ok((Demand::of_runs(std::slice::from_ref(spec), crowd)?, crowd))
}

fn show(record: &Record, as_json: bool) -> Result<()> {
    if as_json {
        print::json(record);
        return Ok(());
    }
    let mut text = format!("record {}\n", record.id);
    match record.outcome {
        Outcome::Finished => {
            if let Some(loss) = record.loss(Column::Model, Split::Val) {
                text += &format!("val loss {}\n", runs::loss_text(loss));
            }
            text += &runs::sides_text(record);
        }
        Outcome::Diverged { step } => text += &format!("diverged at step {step}\n"),
    }
    print::data(&text);
    Ok(())
}

/// Says so if the run is older than a side set of its corpus.
fn note_missing_sides(record: &Record, corpus: &Corpus) {
    let measured = |side: &SideSet| record.side_losses.iter().any(|loss| loss.split == *side);
    let missing: Vec<String> = corpus
        .sides()
        .filter(|(side, _)| !measured(side))
        .map(|(side, _)| format!("`{}`", side.name))
        .collect();
    if !missing.is_empty() {
        print::note(&format!(
            "note: the run is older than side set {} of its corpus: `scarce eval {} --sides` \
             measures it",
            missing.join(", "),
            record.id.short()
        ));
    }
}

fn check_class(store: &Store, job: &Job) -> Result<()> {
    let (Job::Train(spec), Some(record)) = (job, store.record(job.id())?) else { return Ok(()) };
    let class = numerics(foreseen(Some(store), spec.precision)?.kernels);
    if record.numerics == class {
        return Ok(());
    }
    Err(crate::Error::usage(format!(
        "the known record {} is of numerics class {}, not {}",
        record.id.short(),
        record.numerics,
        class
    ))
    .hint("use another --store to train it in this class"))
}

fn dry_run(
    arguments: &TrainArgs,
    (resolved, options): (&Resolved, &WorkOptions),
    (store, corpora): (Option<&Store>, &Corpora),
) -> Result<()> {
    let spec = &resolved.spec;
    let job = Job::Train(spec.clone());
    let steps = planned_steps(spec, corpora)?;
    let kernels = foreseen(store, spec.precision)?.kernels;
    let plan = Plan::new(spec, steps, kernels, options.threads);
    let known = store.is_some_and(|store| store.has(job.id()));
    let (demand, crowd) = demand(spec, options)?;
    let corpus = corpora.get(spec.data.corpus)?;
    let reads = planned_reads(spec, corpora)?;
    let sides: Vec<SideSet> = corpus.sides().map(|(side, _)| side).collect();
    if arguments.json {
        print::json(&json!({
            "id": job.id(), "known": known, "spec": job, "steps": plan.steps,
            "tokens": plan.tokens, "flops": plan.flops, "parameters": plan.parameters,
            "lanes": plan.lanes, "memory_bytes": plan.memory_bytes(),
            "available_memory_bytes": demand.most_bytes(), "fits": demand.fits(),
            "disk_bytes": plan.disk_bytes, "numerics": numerics(kernels),
            "side_sets": sides, "data": reads,
        }));
        return Ok(());
    }
    let mut text = runs::spec_text(&job, Some(&resolved.origins));
    text += &format!("\nid          {}{}\n", job.id(), if known { " (known)" } else { "" });
    text += &format!("parameters  {}\n", plan.parameters);
    text += &format!("steps       {}, {} tokens, {:.3e} FLOP\n", steps, plan.tokens, plan.flops);
    text += &runs::reads_text(&reads);
    text += &format!(
        "memory      {}: state {}, {} gradient lanes {}, activations {}, evaluation {}\n",
        print::bytes(plan.memory_bytes()),
        print::bytes(plan.state_bytes),
        plan.lanes,
        print::bytes(plan.gradient_bytes),
        print::bytes(plan.activation_bytes),
        print::bytes(plan.evaluation_bytes),
    );
    text += &format!("available   {}\n", memory_verdict(&demand, Some(spec), crowd));
    text += &format!("threads     {} (at most {} are useful)\n", options.threads, plan.lanes);
    text += &format!("disk        {}\n", print::bytes(plan.disk_bytes));
    text += &runs::planned_sides(corpus);
    text += &format!("numerics    {} on {}\n", numerics(kernels), kernels.isa().name());
    print::data(&text);
    Ok(())
}
