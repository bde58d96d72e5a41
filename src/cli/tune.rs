//! `scarce tune`: the best epochs, learning rate and weight decay, with a certificate.

use clap::Args;

use super::print;
use super::study::{Study, StudyArgs, tell};
use crate::Result;
use crate::lab::Lab;
use crate::report::study::{basis, certificate_table};
use crate::study::tune::{self, Certificate, Mode, Options, Outcome};
use crate::study::{Cell, Grid, Plan, StudyFile, check_sets};

/// Arguments of `scarce tune`.
#[derive(Debug, Args)]
#[command(after_help = "\
All runs go to their end: high weight decay looks worse than it is for most of a run, so that
nothing is pruned. Points that the store knows cost nothing, and an interrupted search goes on.
The search reads `val`; with --publish the certificate is measured on `test`, too, and every such
read is logged.")]
pub(super) struct TuneArgs {
    #[command(flatten)]
    common: StudyArgs,
    /// What is tuned: standard (weight decay 0.1), regularized or ensemble; default: the file's, or
    /// regularized
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Option<ModeName>,
    /// Measure every point of the grid instead of searching
    #[arg(long)]
    grid: bool,
    /// Runs per point of the search, which differ in their seeds; default: the file's, or 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seeds: Option<u32>,
    /// Runs of the optimum and of each of its neighbors; default: the file's, or those of a point
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    certificate_seeds: Option<u32>,
    /// Members per point of an ensemble search; default: the file's, or 5
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    members: Option<u32>,
    /// Measure the certificate on `test`, too
    #[arg(long)]
    publish: bool,
}

/// The modes by their names.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ModeName {
    Standard,
    Regularized,
    Ensemble,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Standard => Self::Standard,
            ModeName::Regularized => Self::Regularized,
            ModeName::Ensemble => Self::Ensemble,
        }
    }
}

pub(super) fn run(arguments: &TuneArgs) -> Result<()> {
    let study = arguments.common.open()?;
    let options = options(arguments, &study)?;
    check_sets(&arguments.common.set)?;
    let cell =
        Cell::new(&arguments.common.request(study.file.as_ref()), &study.facts, options.seed)?;
    let memory = arguments.common.ask(&study, tune::possible_runs(&cell, &options.grid))?;
    let plan = |lab: &mut dyn Lab| tune::run(lab, &cell, &options);
    if arguments.common.dry_run {
        return arguments.common.preview(&study, memory, plan);
    }
    let outcome = arguments.common.run(&study, "tuning", memory, plan)?;
    tell(&outcome.messages);
    if arguments.common.json {
        print::json(&outcome);
    } else {
        print::data(&text(&outcome));
    }
    Ok(())
}

/// The file's options with those of the flags over them.
fn options(arguments: &TuneArgs, study: &Study) -> Result<Options> {
    let mut options = match &study.file {
        Some(StudyFile { plan: Plan::Tune(options), .. }) => options.clone(),
        Some(file) => return Err(file.is_not("tune")),
        None => Options {
            mode: Mode::Regularized,
            method: tune::Method::Local,
            grid: Grid::paper(),
            starts: Vec::new(),
            seeds: 1,
            certificate_seeds: None,
            members: 5,
            seed: 0,
            publish: false,
            prune: false,
        },
    };
    options.mode = arguments.mode.map_or(options.mode, Mode::from);
    options.seeds = arguments.seeds.unwrap_or(options.seeds);
    options.certificate_seeds = arguments.certificate_seeds.or(options.certificate_seeds);
    options.members = arguments.members.unwrap_or(options.members);
    options.publish |= arguments.publish;
    if arguments.grid {
        options.method = tune::Method::Grid;
    }
    options.validate()?;
    Ok(options)
}

/// The result for people.
fn text(outcome: &Outcome) -> String {
    let Certificate { center, neighbors, flat, .. } = &outcome.certificate;
    let mut text = format!(
        "{}: {}\n",
        if outcome.certificate.is_strict() { "optimum" } else { "best found" },
        center.setting
    );
    text += &format!(
        "{} of {} points of the grid measured\n\n",
        outcome.trials.len(),
        outcome.grid_size
    );
    let published = outcome.published.as_deref();
    text += &certificate_table(outcome.mode, &outcome.certificate, published).to_text();
    text += &format!("\n{}\n", basis(neighbors.first().map(|n| n.difference)));
    if flat.len() > 1 {
        text += &format!("\nnot distinguishable from the best, {} points:\n", flat.len());
        flat.iter().for_each(|setting| text += &format!("  {setting}\n"));
    }
    text
}
