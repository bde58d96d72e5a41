//! `scarce quickstart`: the story, its table, its figure and its page.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::options::{PoolArgs, ask, facts};
use super::plot::write;
use super::print;
use super::progress::Bar;
use super::signals::Interrupt;
use crate::data::{Corpus, Manifest, prepare_synthetic};
use crate::eval::statistics::Estimate;
use crate::eval::{Windows, floor_ledger};
use crate::lab::{Corpora, Foretold, Lab, LocalLab};
use crate::number::parse_count;
use crate::report::page::Source;
use crate::report::quickstart::{self as shown, Family, QuickstartReport};
use crate::spec::bounds::SEED_MAX;
use crate::spec::{Job, JobId, Split};
use crate::store::{Column, Record, Store, write_atomically};
use crate::study::quickstart::{self, Options, Outcome, Recipe, RecipeName};
use crate::{Error, Result};

/// Arguments of `scarce quickstart`.
#[derive(Debug, Args)]
pub(super) struct QuickstartArgs {
    /// Directory of a prepared corpus; without it the built-in language is used
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Where everything goes: records, figure, page
    #[arg(long, default_value = "scarce-quickstart", value_name = "DIR")]
    out: PathBuf,
    /// Directory of the records; default: `store` inside --out
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// All seeds follow from it
    #[arg(long, default_value_t = 1, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(..=SEED_MAX / 16))]
    seed: u64,
    /// Training tokens; default: all, but at most 51,712
    #[arg(long, value_name = "TOKENS", value_parser = parse_count)]
    budget: Option<u64>,
    #[command(flatten)]
    pool: PoolArgs,
    /// Show the runs that are needed, and which of them are known; train nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &QuickstartArgs) -> Result<()> {
    let start = Instant::now();
    let interrupt = Interrupt::listen()?;
    let directory = corpus_directory(arguments)?;
    let corpora = Corpora::open(std::slice::from_ref(&directory))?;
    let facts = facts(&corpora)?;
    let options = Options { seed: arguments.seed, budget_tokens: arguments.budget };
    let store_path = arguments.store.clone().unwrap_or_else(|| arguments.out.join("store"));
    let store = Store::open(&store_path)?;
    let pool = arguments.pool.options(usize::MAX)?;
    let jobs = quickstart::first_jobs(&facts, &options)?;
    ask(&jobs, (Some(&store), &corpora), pool.allowed)?;
    if arguments.dry_run {
        return dry_run(&store, &jobs, &corpora, arguments.json);
    }
    let before = store.ids()?;
    let bar = Bar::new("quick start");
    let mut lab = LocalLab::new(
        store.clone(),
        &corpora,
        pool,
        |overview| bar.lab(overview),
        || interrupt.is_set(),
    );
    let outcome = quickstart::run(&mut lab, &facts, &options);
    bar.finish();
    let outcome = outcome?;
    let corpus = corpora.get(facts.id)?;
    let story = Story { outcome: &outcome, corpus, lab: &lab, store: &store };
    let report = story.report(arguments, &before, start)?;
    let page = write_files(&arguments.out, &report)?;
    if arguments.json {
        print::json(&report);
    } else {
        let mut text =
            format!("{}\n{}", report.recipe_table().to_text(), report.comparison_table().to_text());
        report.notes.iter().for_each(|note| text += &format!("\n{note}\n"));
        print::data(&text);
        print::note(&format!(
            "{} · {}",
            print::seconds(start.elapsed().as_secs_f64()),
            page.display()
        ));
    }
    Ok(())
}

/// The user's corpus, or the built-in one, written on first use.
fn corpus_directory(arguments: &QuickstartArgs) -> Result<PathBuf> {
    if let Some(directory) = &arguments.corpus {
        return Ok(directory.clone());
    }
    let directory = arguments.out.join("corpus");
    if !directory.exists() {
        std::fs::create_dir_all(&arguments.out)
            .map_err(|cause| Error::io("create", &arguments.out, &cause))?;
        prepare_synthetic("pocket", &directory, false)?;
    }
    Ok(directory)
}

fn dry_run(store: &Store, jobs: &[Job], corpora: &Corpora, as_json: bool) -> Result<()> {
    let known = jobs.iter().filter(|job| store.has(job.id())).count();
    let Foretold { tokens, flops, .. } = Foretold::of(jobs, &[], (Some(store), corpora))?;
    let corpus = corpora.get(facts(corpora)?.id)?;
    let rest = "then 2 ensemble members and 8 evaluations";
    if as_json {
        let (jobs, ids) = (jobs.len(), jobs.iter().map(Job::id).collect::<Vec<_>>());
        let sides: Vec<_> = corpus.sides().map(|(side, _)| side).collect();
        print::json(&json!({
            "runs": jobs, "known": known, "tokens": tokens, "flops": flops, "ids": ids,
            "side_sets": sides,
        }));
    } else {
        print::data(&format!(
            "{} runs ({known} known), {:.3e} tokens, {flops:.3e} FLOP; {rest}\n",
            jobs.len(),
            tokens as f64
        ));
        print::data(&super::runs::planned_sides(corpus));
    }
    Ok(())
}

/// What the report is made from.
struct Story<'a> {
    outcome: &'a Outcome,
    corpus: &'a Corpus,
    lab: &'a dyn Lab,
    store: &'a Store,
}

impl Story<'_> {
    fn report(
        &self,
        arguments: &QuickstartArgs,
        before: &[JobId],
        start: Instant,
    ) -> Result<QuickstartReport> {
        let Outcome { recipes, comparisons, tunings, .. } = self.outcome;
        let floor = self.floor()?;
        let recipe_rows = recipes
            .iter()
            .map(|recipe| self.recipe_row(recipe, floor.as_ref()))
            .collect::<Result<_>>()?;
        let comparisons = comparisons
            .iter()
            .map(|comparison| shown::ComparisonRow {
                question: question(comparison.left, comparison.right),
                left: comparison.left.to_string(),
                right: comparison.right.to_string(),
                difference: comparison.difference,
            })
            .collect();
        let mut test_reads = self.store.test_reads(&mut |text| print::warning(&text))?;
        test_reads.retain(|read| read.corpus == self.corpus.id());
        Ok(QuickstartReport {
            title: "Quick start".to_owned(),
            subject: subject(self.corpus.manifest(), arguments, recipes, self.store)?,
            floor_nats: floor.as_ref().and_then(|f| f.estimate(Column::Floor)).map(|e| e.mean),
            recipes: recipe_rows,
            comparisons,
            trajectories: self.trajectories()?,
            tunings: tunings.iter().flat_map(|tuning| self.tuning_rows(tuning)).collect(),
            sources: self.sources(before)?,
            wall_seconds: start.elapsed().as_secs_f64(),
            test_reads,
            notes: tunings.iter().map(tuning_note).collect(),
        })
    }

    /// The exact floor, token by token, where the process is known.
    fn floor(&self) -> Result<Option<crate::eval::Ledger>> {
        let Some(language) = self.corpus.language() else { return Ok(None) };
        let windows = Windows::all(self.corpus.split(Split::Test), language.document_tokens())?;
        floor_ledger(&windows, &language).map(Some)
    }

    fn recipe_row(
        &self,
        recipe: &Recipe,
        floor: Option<&crate::eval::Ledger>,
    ) -> Result<shown::RecipeRow> {
        let ledger = self.lab.ledger(recipe.evaluation, Split::Test)?;
        let excess = floor
            .map(|floor| ledger.difference(recipe.column, floor, Column::Floor))
            .transpose()?
            .map(|difference| difference.estimate);
        let ids = match recipe.records.is_empty() {
            true => vec![recipe.evaluation.to_string()],
            false => recipe.records.iter().map(ToString::to_string).collect(),
        };
        Ok(shown::RecipeRow {
            name: recipe.name.to_string(),
            family: family(recipe.name),
            setting: self.setting(recipe)?,
            loss: ledger.estimate(recipe.column),
            excess,
            parameters: recipe.parameters,
            records: ids,
            evaluation: recipe.evaluation.to_string(),
        })
    }

    fn setting(&self, recipe: &Recipe) -> Result<String> {
        let Some(&first) = recipe.records.first() else {
            let record = self.outcome.records.iter().find(|r| r.id == recipe.evaluation);
            let context = record
                .and_then(|r| r.measured.iter().find(|m| m.name == "context_tokens"))
                .map_or(0.0, |m| m.value);
            return Ok(format!("counts, contexts of {context} tokens"));
        };
        let Job::Train(spec) = self.store.job(first)? else { return Ok(String::new()) };
        let crate::spec::OptimSpec::Adamw { weight_decay, .. } = spec.optim;
        let members = match recipe.records.len() {
            1 => String::new(),
            k => format!("{k} models, "),
        };
        Ok(format!("{members}{} epochs, weight decay {weight_decay}", spec.data.epochs))
    }

    /// Validation losses over training of the single models of the table.
    fn trajectories(&self) -> Result<Vec<shown::Trajectory>> {
        let mut trajectories = Vec::new();
        for recipe in &self.outcome.recipes {
            let [id] = recipe.records[..] else { continue };
            let label = match recipe.name {
                RecipeName::Standard(epochs) => format!("{epochs} epochs"),
                name => name.to_string(),
            };
            let mut points = Vec::new();
            for line in self.lab.metrics(id)? {
                let held_out = line.held_out.first();
                points.extend(held_out.map(|held_out| (line.tokens as f64, held_out.loss_nats)));
            }
            let (family, record) = (family(recipe.name), id.to_string());
            trajectories.push(shown::Trajectory { label, family, record, points });
        }
        Ok(trajectories)
    }

    fn tuning_rows(&self, tuning: &quickstart::Tuning) -> Vec<shown::TuningRow> {
        let points = tuning.points.iter().zip(&tuning.records);
        let row = |(&(weight_decay, _), &id): (&(f64, f64), &JobId)| {
            let record = self.outcome.records.iter().find(|record| record.id == id);
            let loss = record.and_then(|record| record.loss(Column::Model, Split::Val));
            shown::TuningRow {
                model: tuning.model.clone(),
                weight_decay,
                loss: loss.map(|loss| Estimate {
                    mean: loss.nats,
                    standard_error: loss.standard_error_nats,
                    clusters: loss.clusters as usize,
                }),
                chosen: weight_decay.total_cmp(&tuning.best).is_eq(),
                record: id.to_string(),
            }
        };
        points.map(row).collect()
    }

    /// All records, named by the recipe that they belong to.
    fn sources(&self, before: &[JobId]) -> Result<Vec<Source>> {
        let source = |record: &Record| {
            let job = self.store.job(record.id)?;
            let mut source = Source::of_record(record, &job, before.contains(&record.id));
            let recipe = self.outcome.recipes.iter().find(|recipe| {
                recipe.evaluation == record.id || recipe.records.contains(&record.id)
            });
            if let Some(recipe) = recipe {
                source.label = format!("{}: {}", recipe.name, source.label);
            }
            Ok(source)
        };
        self.outcome.records.iter().map(source).collect()
    }
}

fn family(name: RecipeName) -> Family {
    match name {
        RecipeName::Standard(_) => Family::Standard,
        RecipeName::Regularized => Family::Regularized,
        RecipeName::Larger => Family::Larger,
        RecipeName::Ensemble(_) => Family::Ensemble,
        RecipeName::Ngram => Family::Ngram,
    }
}

fn question(left: RecipeName, right: RecipeName) -> String {
    match (left, right) {
        (RecipeName::Standard(_), _) => "Does the standard recipe overfit?",
        (RecipeName::Regularized, _) => "Does weight decay repair it?",
        (RecipeName::Larger, _) => "Does a larger model help?",
        (_, RecipeName::Ngram) => "Is it more than counting?",
        _ => "Do three small models beat a larger one?",
    }
    .to_owned()
}

fn subject(
    manifest: &Manifest,
    arguments: &QuickstartArgs,
    recipes: &[Recipe],
    store: &Store,
) -> Result<String> {
    let text = match (&manifest.synthetic, &arguments.corpus) {
        (Some(synthetic), _) => format!("built-in language `{}`", synthetic.name),
        (None, Some(directory)) => {
            let name = directory.file_name().unwrap_or_default();
            format!("corpus {} ({})", name.to_string_lossy(), manifest.id.short())
        }
        (None, None) => format!("corpus {}", manifest.id.short()),
    };
    let first = recipes.iter().find_map(|recipe| recipe.records.first());
    let budget = match first.map(|&id| store.job(id)).transpose()? {
        Some(Job::Train(spec)) => spec.data.budget_tokens,
        _ => 0,
    };
    Ok(format!("{text}, {budget} training tokens, seed {}", arguments.seed))
}

fn tuning_note(tuning: &quickstart::Tuning) -> String {
    let points: Vec<String> =
        tuning.points.iter().map(|(decay, loss)| format!("{decay}: {loss:.4}")).collect();
    let edge = if tuning.at_edge { "; the best lies at the edge of the grid" } else { "" };
    format!(
        "Weight decay of {} on val at 16 epochs (nats/token): {}. Chosen: {}{edge}.",
        tuning.model,
        points.join(", "),
        tuning.best
    )
}

fn write_files(out: &Path, report: &QuickstartReport) -> Result<PathBuf> {
    let written = write(out, &report.figure())?;
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files: Vec<String> = written.iter().map(name).collect();
    let page = out.join("report.html");
    write_atomically(&page, report.page(&files).to_html().as_bytes())?;
    Ok(page)
}
