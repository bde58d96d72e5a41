//! `scarce report`: a study as one page, from records alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::options::{Places, existing_store, facts};
use super::plot::{read, write};
use super::print;
use super::study::read_study;
use crate::analysis::{Chosen, Options, Runs};
use crate::data::Corpus;
use crate::draw::chart;
use crate::figures::{Mode, Plots, draw};
use crate::lab::{Corpora, StoredLab};
use crate::report::page::{Block, Figure, Page, Section, Source};
use crate::report::study::{
    ensemble_headline, ensemble_sections, frontier_figure, scaling, scaling_headline, tuning,
    tuning_headline,
};
use crate::spec::{JobId, Request, Split, resolve};
use crate::store::{Record, Store, write_atomically};
use crate::study::{Cell, Plan, StudyFile, ensemble, scale, tune};
use crate::{Error, Result};

/// Arguments of `scarce report`.
#[derive(Debug, Args)]
#[command(after_help = "\
The page holds no number that is not in a record: it runs the study's planner over what the store
has, and says which records are missing if the study is not complete.")]
pub(super) struct ReportArgs {
    /// Study file in TOML, as it was run
    #[arg(value_name = "STUDY.toml")]
    study: PathBuf,
    /// Overrides of the base, as they were given to the study
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    places: Places,
    /// Where the page and its figures go
    #[arg(long, default_value = "scarce-report", value_name = "DIR")]
    out: PathBuf,
}

/// What a study gave, as its page shows it.
struct Told {
    headline: String,
    sections: Box<dyn FnOnce(Vec<Block>) -> Vec<Section>>,
    records: Vec<Record>,
    /// Plotting modes with the split that their losses are from.
    modes: &'static [(Mode, Split)],
    /// Figures that are no plotting mode.
    figures: Vec<chart::Figure>,
    /// What figures of losses on other text than that of the choice must show.
    chosen: Option<Chosen>,
}

/// Folder of the figures' files, beside the page.
const FIGURES: &str = "figures";

/// Figures of a scaling study: what is published comes from `test`; searches and their certificates
/// are on `val`.
const OF_SCALING: [(Mode, Split); 3] = [
    (Mode::PostEnsemble, Split::Test),
    (Mode::InfiniteModelScaling, Split::Val),
    (Mode::DataScalingLaws, Split::Test),
];

/// Figures of a search.
const OF_TUNING: [(Mode, Split); 2] =
    [(Mode::StandardWeightDecay, Split::Val), (Mode::StandardEpochOverfitting, Split::Val)];

/// Figures of an ensemble study, of the split that it reads.
const ON_VAL: [(Mode, Split); 1] = [(Mode::SeedScience, Split::Val)];
const ON_TEST: [(Mode, Split); 1] = [(Mode::SeedScience, Split::Test)];

pub(super) fn run(arguments: &ReportArgs) -> Result<()> {
    let file = read_study(&arguments.study)?;
    let corpora = arguments.places.open_corpora()?;
    let root = &arguments.places.store;
    let hint = format!("run `scarce {}` first, or name its --store", file.plan.verb());
    let store = existing_store(root, &hint)?;
    file.plan.check_sets(&arguments.set)?;
    let told = tell(&file, &arguments.set, (&store, &corpora))?;
    let corpus = corpora.get(facts(&corpora)?.id)?;
    let ids: BTreeSet<JobId> = told.records.iter().map(|record| record.id).collect();
    // Certificates in figures are those of the study's own grid.
    let mut options = Options::default();
    options.grid = file.plan.grid().cloned().unwrap_or(options.grid);
    options.chosen = told.chosen;
    let mut figures = drawn((&store, told.modes, &options), &ids)?;
    figures.extend(told.figures);
    let figures = write_figures(&arguments.out, &figures)?;
    let name = arguments.study.file_stem().unwrap_or_default().to_string_lossy();
    let subject = format!("scarce {}, {}", file.plan.verb(), corpus_name(corpus));
    let mut page = Page::new(format!("Study {name}"), subject);
    page.headline = told.headline;
    page.sections = (told.sections)(figures);
    let path = write_page(&arguments.out, page, (&told.records, corpus, &store), |_| true)?;
    print::data(&format!("{}\n", path.display()));
    Ok(())
}

/// Completes a page with its records, `known` saying which were there before the command, and with
/// the reads of the corpus' test split; writes it and returns its path.
pub(super) fn write_page(
    out: &Path,
    mut page: Page,
    (records, corpus, store): (&[Record], &Corpus, &Store),
    known: impl Fn(JobId) -> bool,
) -> Result<PathBuf> {
    for record in records {
        page.sources.push(Source::of_record(record, &store.job(record.id)?, known(record.id)));
    }
    page.test_reads = store.test_reads(&mut |text| print::warning(&text))?;
    page.test_reads.retain(|read| read.corpus == corpus.id());
    let path = out.join("report.html");
    write_atomically(&path, page.to_html().as_bytes())?;
    Ok(path)
}

/// Writes figures beside a page and returns their blocks.
pub(super) fn write_figures(out: &Path, figures: &[chart::Figure]) -> Result<Vec<Block>> {
    let folder = out.join(FIGURES);
    std::fs::create_dir_all(&folder).map_err(|cause| Error::io("create", &folder, &cause))?;
    let block = |figure: &chart::Figure| {
        write(&folder, figure)?;
        Ok(Block::Figure(Figure::of_chart(figure, FIGURES)))
    };
    figures.iter().map(block).collect()
}

/// Follows the study's planner over the records that there are.
fn tell(file: &StudyFile, sets: &[String], (store, corpora): (&Store, &Corpora)) -> Result<Told> {
    let request: Request<'_> = file.request(sets);
    let facts = facts(corpora)?;
    let mut lab = StoredLab::new(store.clone());
    Ok(match &file.plan {
        Plan::Tune(options) => {
            let cell = Cell::new(&request, &facts, options.seed)?;
            let outcome = tune::run(&mut lab, &cell, options)?;
            Told {
                headline: tuning_headline(&outcome),
                records: outcome.records.clone(),
                sections: Box::new(move |figures| tuning(&outcome, figures)),
                modes: &OF_TUNING,
                figures: Vec::new(),
                chosen: None,
            }
        }
        Plan::Scale(options) => {
            let outcome = scale::run(&mut lab, (&request, &facts), options)?;
            Told {
                headline: scaling_headline(&outcome),
                records: outcome.records.clone(),
                figures: frontier_figure(&outcome).into_iter().collect(),
                chosen: Some(Chosen::of_scaling(&outcome)),
                sections: Box::new(move |figures| scaling(&outcome, figures)),
                modes: &OF_SCALING,
            }
        }
        Plan::Ensemble(options) => {
            let base = resolve(&request, &facts)?.spec;
            let outcome = ensemble::run(&mut lab, &base, options)?;
            Told {
                headline: ensemble_headline(&outcome),
                records: outcome.records.clone(),
                figures: Vec::new(),
                chosen: None,
                modes: if options.split == Split::Test { &ON_TEST } else { &ON_VAL },
                sections: Box::new(move |figures| ensemble_sections(&outcome, figures)),
            }
        }
    })
}

/// What a page calls a corpus: "built-in language `pocket`", or "corpus books (1f0c…)".
pub(super) fn corpus_name(corpus: &Corpus) -> String {
    match &corpus.manifest().synthetic {
        Some(synthetic) => format!("built-in language `{}`", synthetic.name),
        None => {
            let name = corpus.directory().file_name().unwrap_or_default();
            format!("corpus {} ({})", name.to_string_lossy(), corpus.id().short())
        }
    }
}

/// The figures of what the records show.
fn drawn(
    (store, modes, options): (&Store, &[(Mode, Split)], &Options),
    records: &BTreeSet<JobId>,
) -> Result<Vec<chart::Figure>> {
    let mut figures = Vec::new();
    for &(mode, split) in modes {
        let mut runs = Runs { split: split.name().to_owned(), ..Runs::default() };
        runs.runs = read(store, split, mode, Some(records))?;
        // A small study lacks what some figures show: the page does without them, and says so.
        let plots = draw(mode, &runs, options).unwrap_or_else(|error| {
            print::note(&format!("{error}"));
            Plots::default()
        });
        figures.extend(plots.figures);
    }
    Ok(figures)
}
