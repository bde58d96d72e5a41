//! A law of several axes as a file: what `scarce fit --law auto --json` prints and
//! `scarce predict` reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rows::Columns;
use crate::error::quoted;
use crate::laws::families::{Formula, Known, Law, Letter, Member, Misfit, Theta, Units};
use crate::{Error, Result};

/// What a file says it is.
pub(super) const FORMAT: &str = "scarce-law-1";

/// A law with what is needed to use it, and what was found with it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LawFile {
    format: String,
    /// Names of the columns.
    pub columns: Columns,
    /// Parameters and tokens in a unit of N and of T and U.
    units: UnitsEntry,
    /// What fits minimize.
    misfit: String,
    /// Level of the intervals.
    pub level: f64,
    /// Runs that the law was fitted to.
    pub runs: usize,
    /// The loss of a uniform guess.
    ceiling: f64,
    /// Standard deviation of ln(loss) around the law.
    noise: f64,
    /// The axis that weights fall along, as an index of `axes`.
    along: usize,
    axes: Vec<AxisEntry>,
    families: Vec<FamilyEntry>,
    /// Runs far from the law.
    outliers: Value,
    /// How the runs that were held out were predicted; null without any.
    held_out: Value,
    /// What a reader must know.
    warnings: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitsEntry {
    n: f64,
    t: f64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AxisEntry {
    /// An expression over columns, or a name of the four usual axes.
    axis: String,
    /// ln of the largest number among the runs; N, T and U in their units, others as they are.
    edge: f64,
    /// How far beyond their edge the nested folds went, in the logarithm.
    tested: f64,
    /// |ln(predicted / measured)| of the nested folds, ascending.
    errors: Vec<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FamilyEntry {
    family: String,
    /// Mean of |ln(predicted / measured)| over the nested folds; null without folds.
    nested_error: Option<f64>,
    /// Part of the average.
    part: f64,
    objective: f64,
    parameters: BTreeMap<String, f64>,
    /// E of the same runs under the other misfit.
    other_e: f64,
    h: f64,
    effective_runs: f64,
    on_bound: Vec<String>,
    /// Parameters of refits to resampled runs, in the order of the formula.
    resamples: Vec<Vec<f64>>,
}

/// Beside the law, what the file holds.
pub struct Findings {
    /// Names of the columns.
    pub columns: Columns,
    /// Units of N and of tokens.
    pub units: Units,
    /// What fits minimize.
    pub misfit: Misfit,
    /// Level of the intervals.
    pub level: f64,
    /// Runs that the law was fitted to.
    pub runs: usize,
    /// Names of the axes.
    pub axes: Vec<String>,
    /// Runs far from the law.
    pub outliers: Value,
    /// How the runs that were held out were predicted; null without any.
    pub held_out: Value,
    /// What a reader must know.
    pub warnings: Vec<String>,
}

/// The names of the misfits in files.
fn misfit_name(misfit: Misfit) -> &'static str {
    match misfit {
        Misfit::HuberLog => "huber-log",
        Misfit::Squares => "least-squares",
    }
}

impl LawFile {
    /// The file of a law.
    pub fn new(law: &Law, findings: Findings) -> Self {
        let axes = findings.axes.into_iter().zip(&law.axes).map(|(axis, known)| AxisEntry {
            axis,
            edge: known.edge,
            tested: known.tested,
            errors: known.errors.clone(),
        });
        Self {
            format: FORMAT.to_owned(),
            columns: findings.columns,
            units: UnitsEntry { n: findings.units.parameters, t: findings.units.tokens },
            misfit: misfit_name(findings.misfit).to_owned(),
            level: findings.level,
            runs: findings.runs,
            ceiling: law.ceiling,
            noise: law.noise,
            along: law.along,
            axes: axes.collect(),
            families: law.members.iter().map(FamilyEntry::new).collect(),
            outliers: findings.outliers,
            held_out: findings.held_out,
            warnings: findings.warnings,
        }
    }

    /// Reads the content of a file, whose name is for messages.
    ///
    /// # Errors
    /// If it is no law, or one of another format.
    pub fn parse(name: &str, content: &[u8]) -> Result<Self> {
        let file: Self = serde_json::from_slice(content).map_err(|cause| {
            Error::data(format!("`{name}` is no law: {cause}"))
                .hint("write one by `scarce fit TABLE --law auto ... --json > LAW.json`")
        })?;
        if file.format != FORMAT {
            let what = format!("`{name}` has the format `{}`, not {FORMAT}", quoted(&file.format));
            return Err(Error::data(what).hint("fit the law again with this program"));
        }
        file.columns
            .check()
            .map_err(|_| damaged("its columns need one of `t` and `epochs`").within(name))?;
        Ok(file)
    }

    /// Its units.
    pub fn units(&self) -> Units {
        Units { parameters: self.units.n, tokens: self.units.t }
    }

    /// The names of its axes.
    pub fn axes(&self) -> Vec<String> {
        self.axes.iter().map(|entry| entry.axis.clone()).collect()
    }

    /// The law.
    pub fn law(&self) -> Result<Law> {
        let members = self.families.iter().map(FamilyEntry::member).collect::<Result<Vec<_>>>()?;
        let known = |entry: &AxisEntry| Known {
            edge: entry.edge,
            tested: entry.tested,
            errors: entry.errors.clone(),
        };
        let parts = members.iter().fold(0.0, |sum, member| sum + member.weight);
        let positive = [self.units.n, self.units.t, self.ceiling, self.level];
        let sound = (parts - 1.0).abs() < 1e-6
            && members.iter().all(|member| member.weight >= 0.0)
            && self.noise >= 0.0
            && positive.iter().all(|number| *number > 0.0)
            && self.level < 1.0
            && (4..=5).contains(&self.axes.len())
            && self.along < self.axes.len()
            && self.axes.iter().all(|axis| axis.errors.is_sorted());
        if !sound {
            return Err(damaged("its numbers contradict each other"));
        }
        Ok(Law {
            members,
            axes: self.axes.iter().map(known).collect(),
            along: self.along,
            ceiling: self.ceiling,
            noise: self.noise,
        })
    }
}

fn damaged(what: impl std::fmt::Display) -> Error {
    Error::data(format!("the law is damaged: {what}"))
        .hint("fit it again: `scarce fit TABLE --law auto ... --json > LAW.json`")
}

impl FamilyEntry {
    fn new(member: &Member) -> Self {
        let letters = member.formula.letters();
        let numbers = |theta: &Theta| theta[..letters.len()].to_vec();
        let named = letters.iter().zip(&member.theta);
        Self {
            family: member.formula.name().to_owned(),
            nested_error: member.score.is_finite().then_some(member.score),
            part: member.weight,
            objective: member.objective,
            parameters: named.map(|(letter, value)| (letter.name().to_owned(), *value)).collect(),
            other_e: member.other_asymptote,
            h: member.reach,
            effective_runs: member.effective,
            on_bound: member.at_bounds.iter().map(|letter| letter.name().to_owned()).collect(),
            resamples: member.resamples.iter().map(numbers).collect(),
        }
    }

    fn member(&self) -> Result<Member> {
        let formula = Formula::named(&self.family)
            .ok_or_else(|| damaged(format!("there is no family `{}`", quoted(&self.family))))?;
        let letters = formula.letters();
        let count = letters.len();
        let known: Vec<f64> =
            letters.iter().filter_map(|l| self.parameters.get(l.name()).copied()).collect();
        let theta = |numbers: &[f64]| -> Result<Theta> {
            let mut theta = Theta::default();
            if numbers.len() != count {
                let what = format!("`{formula}` has {count} parameters, not {}", numbers.len());
                return Err(damaged(what));
            }
            theta[..count].copy_from_slice(numbers);
            Ok(theta)
        };
        let on_bound = |letter: &&Letter| self.on_bound.iter().any(|name| name == letter.name());
        Ok(Member {
            formula,
            score: self.nested_error.unwrap_or(f64::INFINITY),
            weight: self.part,
            theta: theta(&known)?,
            objective: self.objective,
            reach: self.h,
            effective: self.effective_runs,
            other_asymptote: self.other_e,
            at_bounds: letters.iter().filter(on_bound).copied().collect(),
            resamples: self.resamples.iter().map(|r| theta(r)).collect::<Result<_>>()?,
        })
    }
}
