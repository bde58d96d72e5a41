//! `scarce fit`: laws of any table of losses, with intervals.

mod json;
mod sheet;
mod text;

use std::path::PathBuf;

use clap::Args;

use super::print;
use crate::laws::{
    Base, Cell, Curve, Family, Fit, JointFit, Multiplier, Noise, Options, Refusal, Sample, Shape,
    SurfaceFit, Target, fit, fit_joint, fit_surface, multipliers,
};
use crate::spec::bounds::RESAMPLES_MAX;
use crate::{Error, Result};
use sheet::{Column, Sheet};

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

Fits are unweighted least squares with A, B, E >= 0. The interval behind a number is the profile
likelihood's; `open` is an end that the data do not close. With --json each group is one line:
{group, A, alpha, E, intervals, r2, n, warnings}, where an open end is null; chinchilla and repeat
add B and beta, repeat adds r_star, joint adds both orders of the limits, --reach adds multipliers.
Each group needs one more point than its law has parameters; groups with fewer are said and left
out.")]
pub(super) struct FitArgs {
    /// Table of comma-separated values; its first line names the columns
    #[arg(value_name = "TABLE.csv")]
    table: PathBuf,
    /// Column of the losses
    #[arg(long, value_name = "COL")]
    y: String,
    /// Column of the axis: parameters, members or tokens, in any unit
    #[arg(long, value_name = "COL")]
    x: Option<String>,
    /// Column of the parameters N
    #[arg(long, value_name = "COL")]
    n: Option<String>,
    /// Column of the tokens D, for `repeat` the unique ones
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
    /// Standard deviation of a loss, if it is known, for example over seeds; otherwise the scatter
    /// around the law is used
    #[arg(long, value_name = "SD")]
    noise: Option<f64>,
    /// Level of the intervals
    #[arg(long, default_value_t = 0.9)]
    level: f64,
    /// Resamples of the bootstrap [default: 10000, for chinchilla and repeat 1000]
    #[arg(long, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(RESAMPLES_MAX)))]
    resamples: Option<u32>,
    /// Also say how many times more x this loss would need (power and reciprocal)
    #[arg(long, value_name = "LOSS")]
    reach: Vec<f64>,
    /// Loss that --reach is relative to; without it, the smallest x of the group
    #[arg(long, value_name = "LOSS", requires = "reach")]
    base: Option<f64>,
    /// Print a line of JSON per group
    #[arg(long)]
    json: bool,
}

/// The laws by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Law {
    /// A/x^alpha + E
    Power,
    /// A/x + E
    Reciprocal,
    /// E + A/N^alpha + B/D^beta
    Chinchilla,
    /// N and K to infinity
    Joint,
    /// Chinchilla with tokens that are worth less each time
    Repeat,
}

/// What was asked, checked.
struct Question {
    law: Law,
    options: Options,
    reach: Vec<f64>,
    base: Option<f64>,
    /// The columns of the axes with the letter of their flags, and of the losses.
    axes: Vec<(&'static str, String)>,
    y: String,
    group: Option<String>,
}

/// The rows of one group, by index.
struct Group {
    /// `None` where there is no column of groups.
    name: Option<String>,
    rows: Vec<usize>,
}

/// What a group's rows gave.
enum Answer {
    Line(Box<Fit>, Vec<(f64, [Multiplier; 3])>),
    Surface(Box<SurfaceFit>),
    Joint(Box<JointFit>),
    /// No law, and why; with a way out.
    Refused(String, Option<String>),
}

/// A group with its answer.
struct Answered {
    name: Option<String>,
    points: usize,
    answer: Answer,
}

pub(super) fn run(arguments: &FitArgs) -> Result<()> {
    let question = Question::new(arguments)?;
    let sheet = Sheet::read(&arguments.table)?;
    let groups = question.groups(&sheet)?;
    let mut answers = Vec::new();
    for group in groups {
        let answer = question.answer(&sheet, &group)?;
        answers.push(Answered { name: group.name, points: group.rows.len(), answer });
    }
    let lawless = answers.iter().all(|answered| matches!(answered.answer, Answer::Refused(..)));
    if let (true, Some(Answered { name, answer: Answer::Refused(why, hint), .. })) =
        (lawless, answers.first())
    {
        let place = name.as_ref().map_or_else(String::new, |name| format!("group `{name}`: "));
        let error = Error::data(format!("{place}{why}")).within(sheet.name());
        return Err(match hint {
            Some(hint) => error.hint(hint),
            None => error,
        });
    }
    if arguments.json {
        for answered in &answers {
            print::json(&json::line(answered));
        }
        return Ok(());
    }
    print::data(&text::page(&question, &answers));
    for answered in &answers {
        let place = answered.name.as_ref().map_or_else(String::new, |n| format!("group `{n}`: "));
        for warning in answered.warnings() {
            print::warning(&format!("{place}{warning}"));
        }
    }
    Ok(())
}

impl Law {
    /// The letters of the columns that the law needs, and of those that it may have.
    fn letters(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Power | Self::Reciprocal => (&["x"], &[]),
            Self::Chinchilla => (&["n", "d"], &[]),
            Self::Repeat => (&["d", "epochs"], &["n"]),
            Self::Joint => (&["n", "k"], &[]),
        }
    }

    /// Its name on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Reciprocal => "reciprocal",
            Self::Chinchilla => "chinchilla",
            Self::Joint => "joint",
            Self::Repeat => "repeat",
        }
    }
}

impl Answered {
    /// What a reader must know, as sentences.
    fn warnings(&self) -> Vec<String> {
        match &self.answer {
            Answer::Line(fit, _) => fit.warnings.iter().map(ToString::to_string).collect(),
            Answer::Surface(fit) => fit.warnings.iter().map(ToString::to_string).collect(),
            Answer::Joint(joint) => joint_warnings(joint),
            Answer::Refused(why, _) => vec![why.clone()],
        }
    }
}

/// Warnings of both orders: values without a law, and doubts about the last law.
fn joint_warnings(joint: &JointFit) -> Vec<String> {
    let mut warnings = Vec::new();
    for (order, limit) in json::orders(joint) {
        let name = order.name();
        match limit {
            Err(why) => warnings.push(format!("{name}: {why}")),
            Ok(limit) => {
                let refused = limit.refused.iter();
                let axis = order.axes()[1];
                warnings.extend(refused.map(|(at, why)| format!("{name}: {axis} = {at}: {why}")));
                warnings.extend(limit.law.warnings.iter().map(|w| format!("{name}: {w}")));
            }
        }
    }
    warnings
}

impl Question {
    fn new(arguments: &FitArgs) -> Result<Self> {
        let given = [
            ("x", &arguments.x),
            ("n", &arguments.n),
            ("d", &arguments.d),
            ("k", &arguments.k),
            ("epochs", &arguments.epochs),
        ];
        let law = arguments.law;
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
                    return Err(
                        Error::usage(text).hint(format!("its columns are {}", flags(needed)))
                    );
                }
                None if needed.contains(&letter) => {
                    let text = format!("--law {} needs a column for --{letter}", law.name());
                    return Err(
                        Error::usage(text).hint(format!("its columns are {}", flags(needed)))
                    );
                }
                None => {}
            }
        }
        let one_axis = matches!(law, Law::Power | Law::Reciprocal);
        if !arguments.reach.is_empty() && !one_axis {
            return Err(Error::usage("--reach is for the laws power and reciprocal"));
        }
        let finite = arguments.reach.iter().chain(&arguments.base).all(|loss| loss.is_finite());
        if !finite {
            return Err(Error::usage("--reach and --base are finite losses"));
        }
        Ok(Self {
            law,
            options: options(arguments)?,
            reach: arguments.reach.clone(),
            base: arguments.base,
            axes,
            y: arguments.y.clone(),
            group: arguments.group.clone(),
        })
    }

    /// The groups in the order of their first rows.
    fn groups(&self, sheet: &Sheet) -> Result<Vec<Group>> {
        let indices = 0..sheet.rows().len();
        let Some(name) = &self.group else {
            return Ok(vec![Group { name: None, rows: indices.collect() }]);
        };
        let column = sheet.column(name)?;
        let mut groups: Vec<Group> = Vec::new();
        for row in indices {
            let name = sheet.text(row, column);
            match groups.iter_mut().find(|group| group.name.as_deref() == Some(name)) {
                Some(group) => group.rows.push(row),
                None => groups.push(Group { name: Some(name.to_owned()), rows: vec![row] }),
            }
        }
        Ok(groups)
    }

    /// Fits a group.
    fn answer(&self, sheet: &Sheet, group: &Group) -> Result<Answer> {
        let axes = self.axes.iter().map(|(letter, name)| Ok((*letter, sheet.column(name)?)));
        let axes = axes.collect::<Result<Vec<(&str, Column)>>>()?;
        let y = sheet.column(&self.y)?;
        let mut points: Vec<(Vec<f64>, f64)> = Vec::new();
        for &row in &group.rows {
            let x = axes.iter().map(|(_, column)| sheet.positive(row, *column));
            points.push((x.collect::<Result<Vec<f64>>>()?, sheet.loss(row, y)?));
        }
        if matches!(self.law, Law::Power | Law::Reciprocal | Law::Joint) {
            self.refuse_duplicates(sheet, group, &points)?;
        }
        let place = |letter: &str| axes.iter().position(|(known, _)| *known == letter);
        let axis = |x: &[f64], letter: &str| place(letter).map(|index| x[index]);
        Ok(match self.law {
            Law::Power | Law::Reciprocal => {
                let points: Vec<_> = points.iter().map(|(x, y)| (x[0], *y)).collect();
                self.line(&Curve::new(&points).map_err(|error| error.within(sheet.name()))?)
            }
            Law::Joint => {
                let cell = |(x, loss): &(Vec<f64>, f64)| Cell {
                    parameters: x[0],
                    members: x[1],
                    loss: *loss,
                };
                let cells: Vec<Cell> = points.iter().map(cell).collect();
                let joint =
                    fit_joint(&cells, &self.options).map_err(|error| error.within(sheet.name()))?;
                match &joint.members_first {
                    Err(why) if joint.parameters_first.is_err() => {
                        let hint = "each N needs at least 4 K, and there must be 4 such N";
                        Answer::Refused(why.to_string(), Some(hint.to_owned()))
                    }
                    _ => Answer::Joint(Box::new(joint)),
                }
            }
            Law::Chinchilla | Law::Repeat => {
                let sample = |(x, loss): &(Vec<f64>, f64)| Sample {
                    parameters: axis(x, "n"),
                    tokens: axis(x, "d").expect("both laws need --d"),
                    epochs: axis(x, "epochs"),
                    loss: *loss,
                };
                let samples: Vec<Sample> = points.iter().map(sample).collect();
                let shape = if self.law == Law::Repeat { Shape::Repeat } else { Shape::Chinchilla };
                match fit_surface(&samples, shape, &self.options) {
                    Ok(fit) => Answer::Surface(Box::new(fit)),
                    Err(error) => {
                        let hint = error.hint_text().map(str::to_owned);
                        let text = error.to_string();
                        let why = text.lines().next().unwrap_or_default().to_owned();
                        Answer::Refused(why, hint)
                    }
                }
            }
        })
    }

    /// A law of one axis with its multipliers.
    fn line(&self, curve: &Curve) -> Answer {
        let refused = |why: Refusal| Answer::Refused(why.to_string(), Some(why.hint().to_owned()));
        let fitted = match fit(curve, &self.options) {
            Ok(fitted) => fitted,
            Err(why) => return refused(why),
        };
        let base = self.base.map_or(Base::X(curve.x()[0]), Base::Loss);
        let mut reached = Vec::new();
        for &loss in &self.reach {
            match multipliers(curve, &self.options, Target { loss, deviation: 0.0 }, base) {
                Ok(found) => reached.push((loss, found)),
                Err(why) => return refused(why),
            }
        }
        Answer::Line(Box::new(fitted), reached)
    }

    /// The same point twice is a mistake of the table, or hides a group.
    fn refuse_duplicates(
        &self,
        sheet: &Sheet,
        group: &Group,
        points: &[(Vec<f64>, f64)],
    ) -> Result<()> {
        let same = |left: &[f64], right: &[f64]| {
            left.iter().zip(right).all(|(a, b)| a.total_cmp(b).is_eq())
        };
        for (index, (x, _)) in points.iter().enumerate() {
            let Some(first) = points[..index].iter().position(|(other, _)| same(other, x)) else {
                continue;
            };
            let line = |index: usize| sheet.rows()[group.rows[index]].0;
            let axes = self.axes.iter().zip(x).map(|((_, name), x)| format!("{name} = {x}"));
            let within =
                group.name.as_ref().map_or_else(String::new, |n| format!(" in group `{n}`"));
            let text = format!(
                "{} stands twice{within}, first in line {}",
                axes.collect::<Vec<_>>().join(" and "),
                line(first)
            );
            return Err(sheet.error(line(index), &text).hint(
                "average the losses of the same point (over seeds, say), or tell the rows apart \
                 with --group COL",
            ));
        }
        Ok(())
    }
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
    let level = arguments.level;
    if !(level > 0.0 && level < 1.0) {
        let text = format!("--level {level} does not lie between 0 and 1");
        return Err(Error::usage(text).hint("write 0.9 for 90 %"));
    }
    let (family, resamples) = match arguments.law {
        Law::Reciprocal => (Family::Reciprocal, RESAMPLES),
        Law::Power => (Family::Power, RESAMPLES),
        Law::Joint => (Family::Power, SURFACE_RESAMPLES),
        Law::Chinchilla | Law::Repeat => (Family::Power, SURFACE_RESAMPLES),
    };
    let resamples = arguments.resamples.map_or(resamples, |count| count as usize);
    Ok(Options { family, noise, level, resamples })
}
