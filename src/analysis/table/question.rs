//! Laws of a table of losses: what is asked of it, and what its groups answer.

use serde_json::{Value, json};

use crate::error::quoted;
use crate::exchange::sheet::{Column, Sheet};
use crate::laws::{
    Base, Cell, Curve, Fit, HUBER_DELTA, JointFit, Multiplier, Options, Refusal, Residuals,
    RobustFit, Sample, Shape, SurfaceFit, Target, Warning, fit, fit_joint, fit_robust, fit_surface,
    fit_surface_robust, multipliers,
};
use crate::{Error, Result};

/// The laws by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Law {
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
pub enum Objective {
    /// The sum of squared errors of L
    LeastSquares,
    /// Huber's loss of the errors of ln L, which points far off hardly pull
    HuberLog,
}

/// What was asked, checked.
pub struct Question {
    /// The law; [`Law::Auto`] is no question of this kind.
    pub law: Law,
    /// Whether Huber's loss is minimized, with the least squares beside it.
    pub robust: bool,
    /// How laws are fitted.
    pub options: Options,
    /// Losses whose x is asked for.
    pub reach: Vec<f64>,
    /// What they are relative to; without it, the smallest x of the group.
    pub base: Option<f64>,
    /// The columns of the axes with the letter of their flags.
    pub axes: Vec<(&'static str, String)>,
    /// The column of the losses.
    pub y: String,
    /// The column that separates groups.
    pub group: Option<String>,
}

/// The rows of one group, by index.
pub struct Group {
    /// `None` where there is no column of groups.
    pub name: Option<String>,
    /// Which rows.
    pub rows: Vec<usize>,
}

/// What a group's rows gave.
pub enum Answer {
    /// A law of one axis, and multipliers of the losses that were asked for.
    Line(Box<Fit>, Vec<(f64, [Multiplier; 3])>),
    /// A law of several axes.
    Surface(Box<SurfaceFit>),
    /// Both orders of the limits.
    Joint(Box<JointFit>),
    /// A law by Huber's loss, and the least squares beside it.
    Robust(Box<RobustFit>, Box<Answer>),
    /// No law, and why; with a way out.
    Refused(String, Option<String>),
}

/// A group with its answer.
pub struct Answered {
    /// `None` where there is no column of groups.
    pub name: Option<String>,
    /// How many points.
    pub points: usize,
    /// The lines of the points, in the order of the fit.
    pub lines: Vec<u64>,
    /// What they gave.
    pub answer: Answer,
}

impl Law {
    /// The letters of the columns that the law needs, and of those that it may have.
    #[must_use]
    pub fn letters(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Power | Self::Reciprocal => (&["x"], &[]),
            Self::Chinchilla => (&["n", "d"], &[]),
            Self::Repeat => (&["d", "epochs"], &["n"]),
            Self::Joint => (&["n", "k"], &[]),
            Self::Auto => (&["n", "d"], &["epochs"]),
        }
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
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

impl Answer {
    /// The residuals; a joint law has those of its stages only.
    #[must_use]
    pub fn residuals(&self) -> Option<&Residuals> {
        match self {
            Self::Line(fit, _) => Some(&fit.residuals),
            Self::Surface(fit) => Some(&fit.residuals),
            Self::Robust(fit, _) => Some(&fit.residuals),
            Self::Joint(_) | Self::Refused(..) => None,
        }
    }
}

impl Answered {
    /// What a reader must know, as sentences.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
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
    #[must_use]
    pub fn far_lines(&self) -> String {
        let Some(residuals) = self.answer.residuals() else { return String::new() };
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
    /// The groups in the order of their first rows.
    ///
    /// # Errors
    /// If the column of groups is missing.
    pub fn groups(&self, sheet: &Sheet) -> Result<Vec<Group>> {
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
    ///
    /// # Errors
    /// If a column is missing or a cell is wrong, with its line. That there is no law is an answer.
    pub fn answer(&self, sheet: &Sheet, group: Group) -> Result<Answered> {
        let (answer, lines) = self.fitted(sheet, &group)?;
        Ok(Answered { name: group.name, points: group.rows.len(), lines, answer })
    }

    /// The law of a group, with the lines of its points in the order of the fit.
    fn fitted(&self, sheet: &Sheet, group: &Group) -> Result<(Answer, Vec<u64>)> {
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
                if self.robust { robust_line(squares, &curve, self) } else { squares }
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
                    Err(error) => refused(&error),
                };
                if self.robust { robust_surface(squares, &samples, shape, self) } else { squares }
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

/// An error of the library as an answer.
fn refused(error: &Error) -> Answer {
    let hint = error.hint_text().map(str::to_owned);
    let text = error.to_string();
    Answer::Refused(text.lines().next().unwrap_or_default().to_owned(), hint)
}

/// The law of one axis by Huber's loss beside the least squares, where there is one.
fn robust_line(squares: Answer, curve: &Curve, question: &Question) -> Answer {
    match fit_robust(curve, &question.options, HUBER_DELTA) {
        Ok(fit) => Answer::Robust(Box::new(fit), Box::new(squares)),
        Err(why) => Answer::Refused(why.to_string(), Some(why.hint().to_owned())),
    }
}

/// The same for laws of several axes.
fn robust_surface(
    squares: Answer,
    samples: &[Sample],
    shape: Shape,
    question: &Question,
) -> Answer {
    let found: Result<RobustFit> =
        fit_surface_robust(samples, shape, &question.options, HUBER_DELTA);
    match found {
        Ok(fit) => Answer::Robust(Box::new(fit), Box::new(squares)),
        Err(error) => refused(&error),
    }
}

// The law of a group, and what only the table knows.
serialize_as!(Answered, |answered| {
    let mut line = law_json(&answered.answer);
    if let Some(residuals) = answered.answer.residuals() {
        let of = |point: &usize| answered.lines.get(*point);
        let far: Vec<_> = residuals.far_points.iter().filter_map(of).collect();
        line["residuals"]["largest_line"] = json!(of(&residuals.furthest));
        line["residuals"]["far_lines"] = json!(far);
    }
    for key in ["A", "alpha", "E", "intervals", "r2"] {
        if line.get(key).is_none() {
            line[key] = Value::Null;
        }
    }
    line["group"] = json!(answered.name);
    line["n"] = json!(answered.points);
    line["warnings"] = json!(answered.warnings());
    line
});

/// The law of an answer as JSON.
fn law_json(answer: &Answer) -> Value {
    match answer {
        Answer::Line(fit, reached) => {
            let mut told = json!(fit);
            if !reached.is_empty() {
                told["multipliers"] = reached.iter().map(reach_json).collect();
            }
            told
        }
        Answer::Surface(fit) => json!(fit),
        Answer::Joint(fit) => json!(fit),
        Answer::Robust(fit, squares) => {
            let mut told = json!(fit);
            told["least_squares"] = law_json(squares);
            told
        }
        Answer::Refused(..) => json!({}),
    }
}

fn reach_json((loss, found): &(f64, [Multiplier; 3])) -> Value {
    let mut entry = json!({ "loss": loss });
    for multiplier in found {
        entry[multiplier.interpolation.name()] = json!(multiplier);
    }
    entry
}
