//! `scarce best`: the best model that a corpus and some hours can give.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::options::{AllowArgs, MANY, ask, local_options, processors};
use super::study::{tell, with_lab};
use super::{print, report};
use crate::data::{Corpus, MANIFEST_FILE};
use crate::error::quoted_path;
use crate::lab::{Corpora, Lab, LocalOptions, kernels, numerics};
use crate::number::parse_hours;
use crate::report::page::Page;
use crate::report::study::{
    averages_table, best as sections, best_figures, best_headline, division_sentence,
    estimate_table, gain_sentence, model_table, plan_table, runs_table, size_sentence, sizes_table,
};
use crate::spec::bounds::SEED_MAX;
use crate::spec::{Consent, JobId, Precision, Request, Split};
use crate::store::{Found, NamedModel, Store, check_name};
use crate::study::best::{self, Estimate, Options, Outcome};
use crate::{Error, Result};

/// Arguments of `scarce best`.
#[derive(Debug, Args)]
#[command(after_help = "\
A short run measures the speed. Sizes are then compared at equal compute, weight decay is searched
around a rule's guess, then the learning rate if time is left, and what is left of the hours
trains members of an ensemble, in bf16 where the machine has it (--set precision=f32 for the
other). Choices read `val`; `test` is read once, at the end. The same command goes on after an
interruption, and trains nothing when it is complete.")]
pub(super) struct BestArgs {
    /// Directory of a prepared corpus
    #[arg(value_name = "CORPUS")]
    corpus: PathBuf,
    /// Wall-clock hours for everything
    #[arg(long, value_name = "H", value_parser = parse_hours)]
    hours: f64,
    /// Name that the model gets; the file names/NAME.toml of the store
    #[arg(long, default_value = "best", value_name = "NAME")]
    name: String,
    /// Directory of the records
    #[arg(long, default_value = "scarce-store", value_name = "DIR")]
    store: PathBuf,
    /// Where the page and its figures go
    #[arg(long, default_value = "scarce-best", value_name = "DIR")]
    out: PathBuf,
    /// Override a key of all runs that is not decided here, for example --set
    /// data.budget_tokens=1000000
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The first seed
    #[arg(long, default_value_t = 0, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(..=SEED_MAX / 16))]
    seed: u64,
    /// Worker processes; default: one per core, at most 4
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MANY))]
    workers: Option<u16>,
    /// Threads of each worker; default: the cores divided by the workers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MANY))]
    threads: Option<u16>,
    #[command(flatten)]
    allow: AllowArgs,
    /// Measure the speed for some seconds by runs that the store keeps, and show the plan and its
    /// cost
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// More workers would leave each run a smaller share of the hours; threads use the other cores.
const WORKERS_MAX: usize = 4;

pub(super) fn run(arguments: &BestArgs) -> Result<()> {
    check_name(&arguments.name).map_err(|error| error.within("--name"))?;
    let corpora = open(&arguments.corpus)?;
    let corpus = corpora.first().expect("one was opened");
    let store = Store::open(&arguments.store)?;
    let sets = with_precision(arguments, &store)?;
    let options = options(arguments, &sets, (corpus, &store))?;
    let workers = u16::try_from(options.workers).ok();
    let pool = LocalOptions {
        allowed: arguments.allow.set(),
        ..local_options(usize::MAX, workers, arguments.threads, true)?
    };
    let before = store.ids()?;
    let start = Instant::now();
    let clock = || start.elapsed().as_secs_f64();
    let (request, facts) = (Request { file: None, sets: &sets }, corpus.facts());
    if arguments.dry_run {
        let plan = |lab: &mut dyn Lab| best::estimate(lab, (&request, &facts), &options, &clock);
        return preview(arguments, &with_lab((&store, &corpora), pool, "best", plan)?);
    }
    let plan = |lab: &mut dyn Lab| best::run(lab, (&request, &facts), &options, &clock);
    let outcome = with_lab((&store, &corpora), pool, "best", plan)?;
    let found = Found {
        hours: options.hours,
        workers: options.workers,
        seed: options.seed,
        sets,
        ledger_seconds: outcome.ledger.iter().map(|entry| entry.seconds).collect(),
    };
    let model =
        NamedModel { corpus: corpus.id(), members: outcome.members.clone(), found: Some(found) };
    store.set_name(&arguments.name, &model)?;
    let page = write_page(arguments, (&outcome, corpus, &store), &before)?;
    tell(&outcome.messages);
    // The passes follow from the speed, so that their rounding is known only now.
    let jobs = outcome.records.iter().map(|record| store.job(record.id));
    let jobs = jobs.collect::<Result<Vec<_>>>()?;
    ask(&jobs, (Some(&store), &corpora), Consent::ALL.into_iter().collect())?;
    if arguments.json {
        let mut told = json!(outcome);
        told["size_reason"] = size_sentence(&outcome).into();
        print::json(&told);
    } else {
        print::data(&text(&outcome));
    }
    print::note(&format!("the model is named `{}` · {}", arguments.name, page.display()));
    Ok(())
}

/// Opens the corpus; text that was not prepared is the commonest mistake.
fn open(directory: &Path) -> Result<Corpora> {
    if directory.exists() && !directory.join(MANIFEST_FILE).is_file() {
        let shown = quoted_path(directory);
        return Err(Error::usage(format!("`{shown}` is not a prepared corpus"))
            .hint(format!("prepare it first: scarce prepare {shown} --vocab 4096 --out corpus")));
    }
    Corpora::open(&[directory.to_owned()])
}

/// The overrides, and before them bf16 products where this machine has fast instructions for them:
/// more runs fit into the hours, and the paper trains so, too (mission T3). What an earlier call
/// has found stays in its precision.
fn with_precision(arguments: &BestArgs, store: &Store) -> Result<Vec<String>> {
    let plain = arguments.set.clone();
    let bf16 = [&["precision=bf16".to_owned()], &plain[..]].concat();
    let found = store.named(&arguments.name)?.and_then(|model| model.found);
    if let Some(found) = found
        && found.seed == arguments.seed
        && found.hours.total_cmp(&arguments.hours).is_eq()
        && let Some(sets) = [&plain, &bf16].into_iter().find(|sets| found.sets == **sets)
    {
        return Ok(sets.clone());
    }
    let native = numerics(kernels(store, Precision::Bf16)?).arithmetic != "bf16-rounded";
    Ok(if native { bf16 } else { plain })
}

/// The request, with the ledger of an earlier call that asked for the same.
fn options(
    arguments: &BestArgs,
    sets: &[String],
    (corpus, store): (&Corpus, &Store),
) -> Result<Options> {
    let default = || processors().min(WORKERS_MAX);
    let mut options = Options {
        hours: arguments.hours,
        workers: arguments.workers.map_or_else(default, usize::from),
        seed: arguments.seed,
        held_out_tokens: [Split::Val, Split::Test].map(|split| corpus.split(split).tokens()),
        ledger: None,
    };
    options.validate()?;
    let Some(model) = store.named(&arguments.name)? else { return Ok(options) };
    let same = |found: &Found| {
        (found.workers, found.seed, &*found.sets) == (options.workers, options.seed, sets)
            && found.hours.total_cmp(&options.hours).is_eq()
            && model.corpus == corpus.id()
    };
    options.ledger = model.found.filter(same).map(|found| found.ledger_seconds);
    Ok(options)
}

fn preview(arguments: &BestArgs, estimate: &Estimate) -> Result<()> {
    if arguments.json {
        print::json(estimate);
        return Ok(());
    }
    let mut text = estimate_table(estimate, None).to_text();
    text += "\nsizes that are compared at equal compute\n";
    text += &plan_table(estimate).to_text();
    text +=
        "\nthe size of all further runs, and with it their passes, follows from the comparison\n";
    print::data(&text);
    Ok(())
}

/// The result for people.
fn text(outcome: &Outcome) -> String {
    let tables = [
        estimate_table(&outcome.estimate, Some(outcome)),
        sizes_table(outcome),
        runs_table(outcome),
        averages_table(outcome),
        model_table(outcome),
    ];
    let mut text = format!("{}\n\n", best_headline(outcome));
    tables.iter().for_each(|table| text += &format!("{}\n", table.to_text()));
    text += &format!("{}\n{}\n", size_sentence(outcome), division_sentence(outcome));
    gain_sentence(outcome).into_iter().for_each(|sentence| text += &format!("{sentence}\n"));
    text
}

fn write_page(
    arguments: &BestArgs,
    (outcome, corpus, store): (&Outcome, &Corpus, &Store),
    before: &[JobId],
) -> Result<PathBuf> {
    let figures = report::write_figures(&arguments.out, &best_figures(outcome))?;
    let name = corpus.directory().file_name().unwrap_or_default().to_string_lossy();
    let subject =
        format!("scarce best, {}, {} hours", report::corpus_name(corpus), arguments.hours);
    let mut page = Page::new(format!("The best model of {name}"), subject);
    page.headline = best_headline(outcome);
    page.sections = sections(outcome, figures);
    page.wall_seconds = Some(outcome.seconds());
    let known = |id| before.contains(&id);
    report::write_page(&arguments.out, page, (&outcome.records, corpus, store), known)
}
