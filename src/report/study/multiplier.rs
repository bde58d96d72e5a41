//! Data-efficiency multipliers under three ways to read them off the yardstick.

use super::ids;
use crate::draw::table::{Align, Cell, Table};
use crate::laws::{Multiplier, Refusal, factor};
use crate::number::{MISSING, grouped};
use crate::report::page::Block;
use crate::study::scale::DataEfficiency;

/// What a loss is worth in data.
#[derive(Clone, Debug)]
pub struct MultiplierRow {
    /// D, tokens.
    pub budget_tokens: u64,
    /// Whose loss it is: "joint asymptote".
    pub what: String,
    /// The loss with its error or interval: "3.1690 (3.1412 to 3.1893)".
    pub loss: String,
    /// The multiplier by the law, by lines and by lines in ln x, or why the yardstick has no law.
    pub multipliers: Result<[Multiplier; 3], Refusal>,
    /// Full ids of the records behind the loss.
    pub records: Vec<String>,
}

impl From<&DataEfficiency> for MultiplierRow {
    /// A row of a scaling study.
    fn from(row: &DataEfficiency) -> Self {
        Self {
            budget_tokens: row.budget_tokens,
            what: row.what.clone(),
            loss: match row.target.error {
                Some(error) => format!("{:.4} ± {:.4}", row.target.loss, error.nats),
                None => format!("{:.4}", row.target.loss),
            },
            multipliers: row.multipliers,
            records: ids(&row.records),
        }
    }
}

/// The table with its sentence; `yardstick` is the recipe that would need more data.
#[must_use]
pub fn multipliers(rows: &[MultiplierRow], yardstick: &str) -> Block {
    let known = rows.iter().filter_map(|row| row.multipliers.as_ref().ok());
    let level = known.flatten().find_map(|multiplier| multiplier.profile.or(multiplier.bootstrap));
    let level = level.map_or(90.0, |interval| 100.0 * interval.level);
    let refused = rows.iter().find_map(|row| row.multipliers.as_ref().err());
    let refused = refused.map(|refusal| format!(" The yardstick has no law: {refusal}."));
    let refused = refused.unwrap_or_default();
    Block::table(
        multipliers_table(rows),
        format!(
            "How many times the budget {yardstick} would need for the same loss, read off its \
             law (with the {level} % interval over the law and the errors of both losses), and off \
             straight lines between its measured points in D and in ln D (with bootstrap \
             intervals). The choice alone moves the number, so that all three are shown; lines say \
             nothing outside of the measured losses.{refused}"
        ),
    )
}

/// A row per loss.
#[must_use]
pub fn multipliers_table(rows: &[MultiplierRow]) -> Table {
    let mut table = Table::new(&[
        ("loss of", Align::Left),
        ("budget (tokens)", Align::Right),
        ("loss (nats/token)", Align::Right),
        ("by the law", Align::Right),
        ("by lines in D", Align::Right),
        ("by lines in ln D", Align::Right),
    ]);
    for row in rows {
        let mut cells = vec![
            Cell::from(row.what.as_str()),
            grouped(row.budget_tokens).into(),
            Cell::of(row.loss.as_str(), &row.records),
        ];
        match &row.multipliers {
            Ok(all) => cells.extend(all.iter().map(|one| Cell::of(times(one), &row.records))),
            Err(_) => {
                cells.push("no law".into());
                cells.resize(table.columns().len(), MISSING.into());
            }
        }
        table.push(cells);
    }
    table
}

/// A multiplier with its interval, "5.23x (4.61x to 6.02x)", or why there is none.
#[must_use]
pub fn times(multiplier: &Multiplier) -> String {
    let Ok(claim) = multiplier.claim() else { return multiplier.to_string() };
    let [low, high] = [claim.interval.low, claim.interval.high]
        .map(|end| end.value().map_or_else(|| end.to_string(), factor));
    format!("{} ({low} to {high})", factor(claim.value))
}
