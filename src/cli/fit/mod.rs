//! `scarce fit`: laws of any table of losses, with intervals.

mod auto;
mod forecasts;
pub(super) mod predict;
mod text;

use std::path::PathBuf;

use clap::Args;

use super::print;
use crate::analysis::table::{Answer, Answered, Law, Objective, Question};
use crate::error::quoted;
use crate::exchange::sheet::Sheet;
use crate::exchange::{Decimal, Written, parse_delimiter};
use crate::laws::{Family, Noise, Options};
use crate::spec::bounds::RESAMPLES_MAX;
use crate::{Error, Result};

/// Resamples of the bootstrap where nothing else is said.
const RESAMPLES: usize = 10_000;
/// The same for laws of several axes, which are fitted by descents.
const SURFACE_RESAMPLES: usize = 1000;

/// Arguments of `scarce fit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Laws and their columns:
  power       L = A/x^alpha + E             --x COL
  reciprocal  L = A/x + E                   --x COL
  chinchilla  L = E + A/N^alpha + B/D^beta  --n COL --d COL
  repeat      the same with D' for D, where D' = U + U R* (1 - exp(-R/R*)), U unique tokens and
              R = epochs - 1; without --n there is no term for N
                                            --d COL --epochs COL [--n COL]
  joint       K to infinity for every N, then N to infinity, and the other way round
                                            --n COL --k COL
  auto        eight families over N, unique tokens and tokens trained, chosen by nested folds;
              docs/laws.md has their formulas and limits
                                            --n COL --d COL --t COL|--epochs COL

Fits are unweighted least squares with A, B, E >= 0. The interval behind a number is the profile
likelihood's; `open` is an end that the data do not close. Points far off are told with their lines.
--loss huber-log fits ln L by Huber's loss with delta 0.001 (Hoffmann et al. 2022, appendix D.2),
which such points hardly pull, and prints the least squares beside it; its intervals are those of
a bootstrap over residuals, because a profile of that objective is no likelihood. `auto` has an
objective, weights and intervals of its own (docs/laws.md).

With --json each group is one line:
{group, A, alpha, E, intervals, r2, n, residuals, warnings}, where an open end is null; chinchilla
and repeat add B and beta, repeat adds r_star, joint adds both orders of the limits, --reach adds
multipliers, --loss huber-log adds its name, delta and least_squares.
Each group needs one more point than its law has parameters; groups with fewer are said and left
out.")]
pub(super) struct FitArgs {
    /// Table of comma-separated values; its first line names the columns. `-` is standard input
    #[arg(value_name = "TABLE.csv")]
    table: PathBuf,
    /// What separates the columns, if it is not certain: comma, semicolon, tab, pipe, a character
    #[arg(long, value_name = "SEPARATOR")]
    delimiter: Option<String>,
    /// The mark before decimals, if it is not certain: point or comma
    #[arg(long, value_name = "MARK")]
    decimal: Option<String>,
    /// Column of the losses
    #[arg(long, value_name = "COL")]
    y: String,
    /// Column of the axis: parameters, members or tokens, in any unit
    #[arg(long, value_name = "COL")]
    x: Option<String>,
    /// Column of the parameters N
    #[arg(long, value_name = "COL")]
    n: Option<String>,
    /// Column of the tokens D, for `repeat` and `auto` the unique ones
    #[arg(long, value_name = "COL")]
    d: Option<String>,
    /// Column of the members K
    #[arg(long, value_name = "COL")]
    k: Option<String>,
    /// Column of the epochs
    #[arg(long, value_name = "COL")]
    epochs: Option<String>,
    /// Column whose values separate the rows into groups with a law each
    #[arg(long, value_name = "COL")]
    group: Option<String>,
    /// The law
    #[arg(long, value_enum, default_value = "power")]
    law: Law,
    /// What is minimized [default: least-squares, for `auto` huber-log]
    #[arg(long, value_enum)]
    loss: Option<Objective>,
    /// Standard deviation of a loss, if it is known, for example over seeds; otherwise the scatter
    /// around the law is used
    #[arg(long, value_name = "SD")]
    noise: Option<f64>,
    /// Level of the intervals
    #[arg(long, default_value_t = 0.9)]
    level: f64,
    /// Resamples of the bootstrap [default: 10000; 1000 for several axes and for huber-log]
    #[arg(long, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(RESAMPLES_MAX)))]
    resamples: Option<u32>,
    /// Also say how many times more x this loss would need (power and reciprocal)
    #[arg(long, value_name = "LOSS")]
    reach: Vec<f64>,
    /// Loss that --reach is relative to; without it, the smallest x of the group
    #[arg(long, value_name = "LOSS", requires = "reach")]
    base: Option<f64>,
    /// Print a line of JSON per group; for `auto` the law, as `scarce predict` reads it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    auto: auto::AutoArgs,
}

pub(super) fn run(arguments: &FitArgs) -> Result<()> {
    if arguments.law == Law::Auto {
        return auto::run(arguments);
    }
    let question = question(arguments)?;
    let sheet = arguments.sheet()?;
    let groups = question.groups(&sheet)?.into_iter();
    let answers = groups.map(|group| question.answer(&sheet, group)).collect::<Result<Vec<_>>>()?;
    let lawless = answers.iter().all(|answered| matches!(answered.answer, Answer::Refused(..)));
    if let (true, Some(Answered { name, answer: Answer::Refused(why, hint), .. })) =
        (lawless, answers.first())
    {
        let place = name.as_ref().map_or_else(String::new, |n| format!("group `{}`: ", quoted(n)));
        let error = Error::data(format!("{place}{why}")).within(sheet.name());
        return Err(match hint {
            Some(hint) => error.hint(hint),
            None => error,
        });
    }
    if arguments.json {
        for answered in &answers {
            print::json(answered);
        }
        return Ok(());
    }
    print::data(&text::page(&question, &answers));
    for answered in &answers {
        let name = answered.name.as_ref();
        let place = name.map_or_else(String::new, |n| format!("group `{}`: ", quoted(n)));
        for warning in answered.warnings() {
            print::warning(&format!("{place}{warning}"));
        }
    }
    Ok(())
}

impl FitArgs {
    /// The table, with a word on how it was read if that is not usual.
    fn sheet(&self) -> Result<Sheet> {
        let written = Written {
            delimiter: self.delimiter.as_deref().map(parse_delimiter).transpose()?,
            decimal: self.decimal.as_deref().map(Decimal::parse).transpose()?,
        };
        let sheet = Sheet::read(&self.table, written)?;
        if !sheet.dialect().is_usual() {
            print::note(&format!("{}: read as {}", sheet.name(), sheet.dialect()));
        }
        Ok(sheet)
    }
}

/// What was asked, checked.
fn question(arguments: &FitArgs) -> Result<Question> {
    let given = [
        ("x", &arguments.x),
        ("n", &arguments.n),
        ("d", &arguments.d),
        ("k", &arguments.k),
        ("epochs", &arguments.epochs),
    ];
    let law = arguments.law;
    if let Some(flag) = arguments.auto.given() {
        let text = format!("--law {} has no use for {flag}", law.name());
        return Err(Error::usage(text).hint("it is for --law auto"));
    }
    let (needed, possible) = law.letters();
    let flags = |letters: &[&str]| {
        letters.iter().map(|letter| format!("--{letter}")).collect::<Vec<_>>().join(" ")
    };
    let mut axes = Vec::new();
    for (letter, column) in given {
        match column {
            Some(column) if needed.contains(&letter) || possible.contains(&letter) => {
                axes.push((letter, column.clone()));
            }
            Some(_) => {
                let text = format!("--law {} has no use for --{letter}", law.name());
                return Err(Error::usage(text).hint(format!("its columns are {}", flags(needed))));
            }
            None if needed.contains(&letter) => {
                let text = format!("--law {} needs a column for --{letter}", law.name());
                return Err(Error::usage(text).hint(format!("its columns are {}", flags(needed))));
            }
            None => {}
        }
    }
    let one_axis = matches!(law, Law::Power | Law::Reciprocal);
    if !arguments.reach.is_empty() && !one_axis {
        return Err(Error::usage("--reach is for the laws power and reciprocal"));
    }
    let robust = arguments.loss == Some(Objective::HuberLog);
    if robust && (law == Law::Joint || !arguments.reach.is_empty()) {
        return Err(Error::usage("--loss huber-log is for laws of one stage, without --reach")
            .hint("power, reciprocal, chinchilla and repeat have it"));
    }
    let finite = arguments.reach.iter().chain(&arguments.base).all(|loss| loss.is_finite());
    if !finite {
        return Err(Error::usage("--reach and --base are finite losses"));
    }
    Ok(Question {
        law,
        robust,
        options: options(arguments)?,
        reach: arguments.reach.clone(),
        base: arguments.base,
        axes,
        y: arguments.y.clone(),
        group: arguments.group.clone(),
    })
}

/// Noise, level and resamples.
fn options(arguments: &FitArgs) -> Result<Options> {
    let noise = match arguments.noise {
        None => Noise::Residuals,
        Some(deviation) if deviation.is_finite() && deviation > 0.0 => Noise::Known { deviation },
        Some(other) => {
            let text = format!("--noise {other} is not a positive standard deviation");
            return Err(Error::usage(text).hint("leave it out to use the scatter of the points"));
        }
    };
    let law = arguments.law;
    let family = if law == Law::Reciprocal { Family::Reciprocal } else { Family::Power };
    let by_squares = arguments.loss != Some(Objective::HuberLog);
    let resamples = match law {
        Law::Power | Law::Reciprocal if by_squares => RESAMPLES,
        _ => SURFACE_RESAMPLES,
    };
    let resamples = arguments.resamples.map_or(resamples, |count| count as usize);
    Ok(Options { family, noise, level: checked_level(arguments.level)?, resamples })
}

/// The level of intervals, if it is one.
fn checked_level(level: f64) -> Result<f64> {
    if level > 0.0 && level < 1.0 {
        return Ok(level);
    }
    let text = format!("--level {level} does not lie between 0 and 1");
    Err(Error::usage(text).hint("write 0.9 for 90 %"))
}
