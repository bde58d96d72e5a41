//! The command line: parse, call, print. The only module that prints: stdout is data, stderr is
//! talk.
//!
//! Exit codes: 0 done, 1 a bug, 2 usage or spec, 3 data, 4 diverged, 85 interrupted and resumable.

mod bench;
mod best;
mod corpus;
mod doctor;
mod ensemble;
mod eval;
mod fit;
mod foreign;
mod import;
mod options;
mod plot;
mod prepare;
mod print;
mod progress;
mod quickstart;
mod report;
mod runs;
mod scale;
mod signals;
mod study;
mod train;
mod tune;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{Error, Result};

/// Pre-training when data is the limit and compute is not.
#[derive(Debug, Parser)]
#[command(name = "scarce", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Find the best model that a corpus and some hours can give
    Best(best::BestArgs),
    /// Turn text into a corpus
    Prepare(prepare::PrepareArgs),
    /// Train one model from a spec
    Train(train::TrainArgs),
    /// Find the best epochs, learning rate and weight decay, and prove it
    Tune(tune::TuneArgs),
    /// Fit the laws of a grid of models and budgets, to their joint asymptote
    Scale(scale::ScaleArgs),
    /// Make one self-contained page of a study: answers, figures, provenance
    Report(report::ReportArgs),
    /// Measure trained models, alone and as an ensemble
    Eval(eval::EvalArgs),
    /// Train members over seeds and measure what their averages give, up to the law in K
    Ensemble(ensemble::EnsembleArgs),
    /// Tell the paper's story in minutes, on the built-in corpus or on yours
    Quickstart(quickstart::QuickstartArgs),
    /// Fit a law to a table of losses, with intervals
    Fit(fit::FitArgs),
    /// Predict planned runs by a law of `fit --law auto`
    Predict(fit::predict::PredictArgs),
    /// Draw the paper's figures of a store's runs
    Plot(plot::PlotArgs),
    /// Take in runs of other programs, kept apart from the records
    Import(import::ImportArgs),
    /// List the records of a store
    Runs(runs::RunsArgs),
    /// Show a record, or a spec before it is run
    Show(runs::ShowArgs),
    /// Check a record's files, or train it again and compare
    Verify(runs::VerifyArgs),
    /// Measure this machine and this program
    Bench(bench::BenchArgs),
    /// Say what was detected and which kernels are used
    Doctor(doctor::DoctorArgs),
    /// Work on one job for a lab (internal)
    #[command(hide = true)]
    Worker(worker::WorkerArgs),
}

/// Runs the command and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    exit_with_one_on_a_bug();
    run_words(std::env::args_os())
}

/// Runs one command, its name first, in this process. [`main`] does so with its own words; tests
/// that try thousands of inputs do not start a process for each.
pub fn run_words(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let result = match Arguments::try_parse_from(words) {
        Ok(arguments) => run(arguments.verb),
        Err(error) => return without_a_verb(&error),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            print::error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// What the parser of the flags has to say instead of a verb to run.
fn without_a_verb(parsed: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion,
    };
    // Help and version are answers, not errors: they go to stdout and end with 0.
    let help = [DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion];
    if help.contains(&parsed.kind()) {
        let _ = parsed.print();
        return ExitCode::from(if parsed.use_stderr() { 2 } else { 0 });
    }
    // Paragraphs: the error, tips, the usage, and where to read more. The first with anything to
    // do about it is the hint, unless the error brings its own.
    let text = parsed.render().to_string();
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let error = paragraphs.next().and_then(|first| Error::heard(2, first));
    let hint = of_another_program(parsed).or_else(|| {
        paragraphs.next().map(|hint| match hint.strip_prefix("tip: ") {
            Some(tip) => tip.to_owned(),
            None => hint
                .replace("Usage: ", "usage: ")
                .replace("For more information, ", "")
                .trim_end_matches('.')
                .to_owned(),
        })
    });
    print::error(
        &error.unwrap_or_else(|| Error::usage(text.clone())).hint(hint.unwrap_or_default()),
    );
    ExitCode::from(2)
}

/// What is meant by a flag or a word that other programs have in this place.
fn of_another_program(parsed: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let word = |kind| match parsed.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    };
    match parsed.kind() {
        ErrorKind::UnknownArgument => {
            let flag = word(ContextKind::InvalidArg)?;
            if flag == "--device" {
                return Some("this version trains on CPUs: leave it out".to_owned());
            }
            let key = crate::spec::field::of_last_part(&flag)?;
            Some(format!("it is a key of the spec: --set {key}=VALUE"))
        }
        ErrorKind::InvalidSubcommand => {
            let word = word(ContextKind::InvalidSubcommand)?;
            let file = std::path::Path::new(&word).extension().is_some();
            file.then(|| {
                format!(
                    "runs of other programs: scarce import runs {}",
                    crate::error::quoted(&word)
                )
            })
        }
        _ => None,
    }
}

fn run(verb: Verb) -> Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match verb {
        Verb::Best(arguments) => best::run(&arguments).map(done),
        Verb::Prepare(arguments) => prepare::run(arguments).map(done),
        Verb::Train(arguments) => train::run(&arguments),
        Verb::Tune(arguments) => tune::run(&arguments).map(done),
        Verb::Scale(arguments) => scale::run(&arguments).map(done),
        Verb::Report(arguments) => report::run(&arguments).map(done),
        Verb::Eval(arguments) => eval::run(&arguments).map(done),
        Verb::Ensemble(arguments) => ensemble::run(&arguments).map(done),
        Verb::Quickstart(arguments) => quickstart::run(&arguments).map(done),
        Verb::Fit(arguments) => fit::run(&arguments).map(done),
        Verb::Predict(arguments) => fit::predict::run(&arguments).map(done),
        Verb::Plot(arguments) => plot::run(&arguments).map(done),
        Verb::Import(arguments) => import::run(&arguments).map(done),
        Verb::Runs(arguments) => runs::list(&arguments).map(done),
        Verb::Show(arguments) => runs::show(&arguments).map(done),
        Verb::Verify(arguments) => runs::verify(&arguments).map(done),
        Verb::Bench(arguments) => bench::run(&arguments).map(done),
        Verb::Doctor(arguments) => doctor::run(&arguments).map(done),
        Verb::Worker(arguments) => worker::run(&arguments).map(done),
    }
}

/// A panic is a bug of ours: it says so and ends the process with 1, in whatever thread it was.
fn exit_with_one_on_a_bug() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A file from the world may make the crate that reads it panic, which becomes an error.
        if crate::token::panics_are_caught() {
            return;
        }
        default(panic);
        print::note(&format!(
            "this is a bug in scarce {}: please report it with the lines above",
            env!("CARGO_PKG_VERSION")
        ));
        std::process::exit(1);
    }));
}
