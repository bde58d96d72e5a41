//! Laws with everything that says how far to trust them.

use super::ids;
use crate::draw::table::{Align, Cell, Table};
use crate::laws::{AxisLaw, Candidate, Estimate, Fit, HeldOut, NO_ASYMPTOTE, Refusal, Warning};
use crate::number::{MISSING, digits, signed};
use crate::report::page::Block;
use crate::study::scale::LawOf;

/// A law, or why there is none.
#[derive(Clone, Debug)]
pub struct LawRow {
    /// What it describes: "regularized, 25600 tokens".
    pub name: String,
    /// Its axis: `N`, `K`, `D`.
    pub axis: String,
    /// How many points it was fitted to.
    pub points: usize,
    /// The law.
    pub law: Result<AxisLaw, Refusal>,
    /// Full ids of the records of its points.
    pub records: Vec<String>,
}

impl LawRow {
    fn fit(&self) -> Option<&Fit> {
        self.law.as_ref().ok().map(|law| &law.fit)
    }
}

impl From<&LawOf> for LawRow {
    /// A law of a scaling study.
    fn from(law: &LawOf) -> Self {
        Self {
            name: law.name.clone(),
            axis: law.axis.to_string(),
            points: law.points.len(),
            law: law.law.clone(),
            records: ids(&law.records),
        }
    }
}

/// The laws, their doubts, and what each warns of.
#[must_use]
pub fn laws(rows: &[LawRow]) -> Vec<Block> {
    let level = rows.iter().find_map(LawRow::fit);
    let level = level.map_or(90.0, |fit| 100.0 * fit.asymptote.profile.level);
    let caption = format!(
        "L = A / x^alpha + E by least squares; in brackets {level} % profile-likelihood intervals, \
         \"open\" where the data close no end. They rest on the noise that is measured, of which \
         the last column says what it is over: seeds behind the points; both stages where the \
         points are asymptotes themselves; else, and where the points lie further off than that \
         explains, the scatter around the law. E of a law in K has the interval over the choice \
         of its members: its points share them, and scatter too little."
    );
    let mut blocks = vec![Block::table(laws_table(rows), caption)];
    if rows.iter().any(|row| row.law.is_ok()) {
        blocks.push(Block::table(
            doubts_table(rows),
            "The bootstrap draws losses from the fitted law. An exclamation mark: leaving one \
             point out moves E beyond its interval. Shapes are compared by Akaike's corrected \
             criterion, as differences to the best; a question mark where the points are too few \
             for it.",
        ));
    }
    let warnings = warnings_table(rows);
    if !warnings.rows().is_empty() {
        blocks.push(Block::table(warnings, ""));
    }
    blocks
}

/// A row per law with A, alpha and E.
#[must_use]
pub fn laws_table(rows: &[LawRow]) -> Table {
    let mut table = Table::new(&[
        ("law", Align::Left),
        ("over", Align::Left),
        ("points", Align::Right),
        ("E (nats/token)", Align::Right),
        ("alpha", Align::Right),
        ("A (nats/token)", Align::Right),
        ("R2", Align::Right),
        ("interval of E", Align::Left),
    ]);
    for row in rows {
        let mut cells = vec![Cell::from(row.name.as_str()), row.axis.as_str().into()];
        cells.push(row.points.to_string().into());
        match &row.law {
            Ok(law) => {
                let fit = &law.fit;
                let told = law.asymptote().map(|asymptote| asymptote.claim.to_string());
                cells.push(Cell::of(told.unwrap_or_else(|| "none".to_owned()), &row.records));
                cells.push(fit.exponent.claim().to_string().into());
                cells.push(fit.coefficient.claim().to_string().into());
                cells.push(format!("{:.5}", fit.r_squared).into());
                cells.push(
                    law.asymptote().map_or(NO_ASYMPTOTE.to_owned(), |e| e.doubt.to_string()).into(),
                );
            }
            Err(_) => {
                cells.push(Cell::of("no law", &row.records));
                cells.resize(table.columns().len(), MISSING.into());
            }
        }
        table.push(cells);
    }
    table
}

/// A row per law that there is, with what speaks for and against it.
#[must_use]
pub fn doubts_table(rows: &[LawRow]) -> Table {
    let mut table = Table::new(&[
        ("law", Align::Left),
        ("E by bootstrap", Align::Right),
        ("E without one point", Align::Right),
        ("largest x: predicted minus measured", Align::Right),
        ("noise of a loss (nats/token)", Align::Right),
        ("best shapes by AICc", Align::Left),
    ]);
    for row in rows {
        let Some(fit) = row.fit() else { continue };
        table.push([
            row.name.clone(),
            fit.asymptote.bootstrap.to_string(),
            left_out(&fit.asymptote),
            held_out(fit.held_out),
            digits(fit.scatter.deviation),
            shapes(&fit.candidates),
        ]);
    }
    table
}

/// What to know before believing a law, and why there is none; a row per text with the laws that it
/// is about.
#[must_use]
pub fn warnings_table(rows: &[LawRow]) -> Table {
    let mut told: Vec<(String, Vec<&str>)> = Vec::new();
    for row in rows {
        let texts: Vec<String> = match &row.law {
            Ok(law) => law.fit.warnings.iter().map(remark).collect(),
            Err(refusal) => vec![format!("{refusal}; {}", refusal.hint())],
        };
        for text in texts {
            match told.iter_mut().find(|(known, _)| *known == text) {
                Some((_, laws)) => laws.push(&row.name),
                None => told.push((text, vec![&row.name])),
            }
        }
    }
    let mut table = Table::new(&[("what to know", Align::Left), ("of these laws", Align::Left)]);
    for (text, laws) in told {
        table.push([text, laws.join("; ")]);
    }
    table
}

/// A warning in words; ranges that stand in the table of doubts are left out, so that many laws can
/// share it.
fn remark(warning: &Warning) -> String {
    match warning {
        Warning::LeaveOneOutOutside { .. } => {
            "leaving one point out moves E outside of its interval (marked `!` above)".to_owned()
        }
        other => other.to_string(),
    }
}

/// The leave-one-out range, with a mark where the interval does not cover it.
#[must_use]
pub fn left_out(estimate: &Estimate) -> String {
    let Some((low, high)) = estimate.leave_one_out else { return MISSING.to_owned() };
    let mark = if estimate.covers_leave_one_out() == Some(false) { " !" } else { "" };
    format!("{} to {}{mark}", digits(low), digits(high))
}

/// The error of predicting the largest x from all others.
#[must_use]
pub fn held_out(held_out: Option<HeldOut>) -> String {
    held_out.map_or_else(|| MISSING.to_owned(), |held| signed(held.error()))
}

/// "power, reciprocal +3.1, constant +40.2": differences of the criterion to the best; a question
/// mark where the points are too few for it.
#[must_use]
pub fn shapes(candidates: &[Candidate]) -> String {
    let mut known = candidates.iter().filter_map(|shape| shape.criterion);
    let (Some(best), Some(_)) = (known.next(), known.next()) else {
        return "too few points".to_owned();
    };
    let shape = |shape: &Candidate| match shape.criterion {
        Some(value) if value > best => format!("{} +{:.1}", shape.name(), value - best),
        Some(_) => shape.name().to_owned(),
        None => format!("{} ?", shape.name()),
    };
    candidates.iter().map(shape).collect::<Vec<_>>().join(", ")
}
