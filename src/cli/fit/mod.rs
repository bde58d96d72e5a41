//! `scarce fit`: laws of any table of losses, with intervals.

mod auto;
mod expression;
mod forecasts;
mod hold_out;
mod json;
mod law_file;
pub(super) mod predict;
mod robust;
mod rows;
mod sheet;
mod text;

use std::path::PathBuf;

use clap::Args;

use super::print;
use crate::error::quoted;
use crate::exchange::{Decimal, Written, parse_delimiter};
use crate::laws::{
    Base, Cell, Curve, Family, Fit, JointFit, Multiplier, Noise, Options, Refusal, RobustFit,
    Sample, Shape, SurfaceFit, Target, Warning, fit, fit_joint, fit_surface, multipliers,
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
    /// The families that predict best
    Auto,
}

/// What is minimized, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Objective {
    /// The sum of squared errors of L
    LeastSquares,
    /// Huber's loss of the errors of ln L, which points far off hardly pull
    HuberLog,
}

/// What was asked, checked.
struct Question {
    law: Law,
    robust: bool,
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
    /// A law by Huber's loss, and the least squares beside it.
    Robust(Box<RobustFit>, Box<Answer>),
    /// No law, and why; with a way out.
    Refused(String, Option<String>),
}

/// A group with its answer.
struct Answered {
    name: Option<String>,
    points: usize,
    /// The lines of the points, in the order of the fit.
    lines: Vec<u64>,
    answer: Answer,
}

pub(super) fn run(arguments: &FitArgs) -> Result<()> {
    if arguments.law == Law::Auto {
        return auto::run(arguments);
    }
    let question = Question::new(arguments)?;
    let sheet = arguments.sheet()?;
    let groups = question.groups(&sheet)?;
    let mut answers = Vec::new();
    for group in groups {
        let (answer, lines) = question.answer(&sheet, &group)?;
        answers.push(Answered { name: group.name, points: group.rows.len(), lines, answer });
    }
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
            print::json(&json::line(answered));
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

impl Law {
    /// The letters of the columns that the law needs, and of those that it may have.
    fn letters(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Power | Self::Reciprocal => (&["x"], &[]),
            Self::Chinchilla => (&["n", "d"], &[]),
            Self::Repeat => (&["d", "epochs"], &["n"]),
            Self::Joint => (&["n", "k"], &[]),
            Self::Auto => (&["n", "d"], &["epochs"]),
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
            Self::Auto => "auto",
        }
    }
}

impl Answered {
    /// What a reader must know, as sentences.
    fn warnings(&self) -> Vec<String> {
        let told = |warnings: &[Warning]| warnings.iter().map(|w| self.told(w)).collect();
        match &self.answer {
            Answer::Line(fit, _) => told(&fit.warnings),
            Answer::Surface(fit) => told(&fit.warnings),
            Answer::Joint(joint) => joint_warnings(joint),
            Answer::Robust(fit, _) => self.robust_warnings(fit),
            Answer::Refused(why, _) => vec![why.clone()],
        }
    }

    /// What a reader must know of a law by Huber's loss.
    fn robust_warnings(&self, fit: &RobustFit) -> Vec<String> {
        let mut warnings = Vec::new();
        if fit.residuals.heavy_tails {
            let far = fit.residuals.far;
            let lines = self.far_lines();
            warnings
                .push(format!("{far} points lie beyond 4 robust standard deviations ({lines})"));
        }
        if fit.points < 3 * fit.estimates.len() {
            warnings.push(format!(
                "{} points are few for a bootstrap of residuals: its intervals are rough",
                fit.points
            ));
        }
        warnings
    }

    /// "lines 3, 2, 5": those of the points far off, the furthest first.
    fn far_lines(&self) -> String {
        let Some(residuals) = text::residuals(&self.answer) else { return String::new() };
        let line = |point: &usize| self.lines.get(*point).map(ToString::to_string);
        let lines: Vec<String> = residuals.far_points.iter().filter_map(line).collect();
        let more = if residuals.far > lines.len() { ", ..." } else { "" };
        format!("lines {}{more}", lines.join(", "))
    }

    /// A warning with the line that it is about, and what can be done about it.
    fn told(&self, warning: &Warning) -> String {
        match warning {
            Warning::FarOff { point, .. } => {
                let line = self.lines.get(*point).copied().unwrap_or_default();
                format!("line {line}: {warning}; see --loss huber-log")
            }
            Warning::HeavyTails { .. } => {
                format!("{warning} ({}); see --loss huber-log", self.far_lines())
            }
            _ => warning.to_string(),
        }
    }
}

/// Warnings of both orders: values without a law, and doubts about the last law.
fn joint_warnings(joint: &JointFit) -> Vec<String> {
    let mut warnings = Vec::new();
    for (order, limit) in joint.orders() {
        let name = order.name();
        match limit {
            Err(why) => warnings.push(format!("{name}: {why}")),
            Ok(limit) => {
                let refused = limit.refused.iter();
                let axis = order.axes()[1];
                warnings.extend(refused.map(|(at, why)| format!("{name}: {axis} = {at}: {why}")));
                for (at, stage) in &limit.stages {
                    let far = |w: &&Warning| matches!(w, Warning::FarOff { .. });
                    let far = stage.warnings.iter().filter(far);
                    warnings.extend(far.map(|w| format!("{name}: {axis} = {at}: {w}")));
                }
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
        let robust = arguments.loss == Some(Objective::HuberLog);
        if robust && (law == Law::Joint || !arguments.reach.is_empty()) {
            return Err(Error::usage("--loss huber-log is for laws of one stage, without --reach")
                .hint("power, reciprocal, chinchilla and repeat have it"));
        }
        let finite = arguments.reach.iter().chain(&arguments.base).all(|loss| loss.is_finite());
        if !finite {
            return Err(Error::usage("--reach and --base are finite losses"));
        }
        Ok(Self {
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

    /// Fits a group; with the lines of its points in the order of the fit.
    fn answer(&self, sheet: &Sheet, group: &Group) -> Result<(Answer, Vec<u64>)> {
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
        let mut order: Vec<usize> = (0..points.len()).collect();
        if matches!(self.law, Law::Power | Law::Reciprocal) {
            order.sort_by(|&i, &j| points[i].0[0].total_cmp(&points[j].0[0]));
        }
        let lines = order.iter().map(|&index| sheet.rows()[group.rows[index]].0).collect();
        Ok((self.law_of(sheet, &axes, &points)?, lines))
    }

    /// The law of some points.
    fn law_of(
        &self,
        sheet: &Sheet,
        axes: &[(&str, Column)],
        points: &[(Vec<f64>, f64)],
    ) -> Result<Answer> {
        let place = |letter: &str| axes.iter().position(|(known, _)| *known == letter);
        let axis = |x: &[f64], letter: &str| place(letter).map(|index| x[index]);
        Ok(match self.law {
            Law::Power | Law::Reciprocal => {
                let points: Vec<_> = points.iter().map(|(x, y)| (x[0], *y)).collect();
                let curve = Curve::new(&points).map_err(|error| error.within(sheet.name()))?;
                let squares = self.line(&curve);
                if self.robust { robust::line(squares, &curve, self) } else { squares }
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
            Law::Auto => unreachable!("`run` gives it to `auto`"),
            Law::Chinchilla | Law::Repeat => {
                let sample = |(x, loss): &(Vec<f64>, f64)| Sample {
                    parameters: axis(x, "n"),
                    tokens: axis(x, "d").expect("both laws need --d"),
                    epochs: axis(x, "epochs"),
                    loss: *loss,
                };
                let samples: Vec<Sample> = points.iter().map(sample).collect();
                let shape = if self.law == Law::Repeat { Shape::Repeat } else { Shape::Chinchilla };
                let squares = match fit_surface(&samples, shape, &self.options) {
                    Ok(fit) => Answer::Surface(Box::new(fit)),
                    Err(error) => robust::refused(&error),
                };
                if self.robust { robust::surface(squares, &samples, shape, self) } else { squares }
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
        let base = self.base.map_or(Base::X(curve.x()[0]), |loss| Base::Loss(Target::exact(loss)));
        let mut reached = Vec::new();
        for &loss in &self.reach {
            match multipliers(curve, &self.options, Target::exact(loss), base) {
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
            let axes =
                self.axes.iter().zip(x).map(|((_, name), x)| format!("{} = {x}", quoted(name)));
            let within = group.name.as_ref();
            let within = within.map_or_else(String::new, |n| format!(" in group `{}`", quoted(n)));
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
