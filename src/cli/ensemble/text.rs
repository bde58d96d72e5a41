//! An ensemble study in the terminal.

use crate::number::grouped;
use crate::report::study::{
    SHARED_MEMBERS, comparisons_table, curves_table, diversity_table, member_laws_table,
    soups_table,
};
use crate::spec::TrainSpec;
use crate::study::ensemble::Outcome;

/// Everything that goes to standard output.
pub(super) fn page(outcome: &Outcome, base: &TrainSpec) -> String {
    let Some(first) = outcome.families.first() else { return String::new() };
    let mut page = format!(
        "{} members of {} parameters on {}, {} tokens predicted; ± is one standard error over \
         text\n",
        first.members.len(),
        grouped(base.model.parameters()),
        outcome.split,
        grouped(first.singles.first().map_or(0, |loss| loss.tokens)),
    );
    let tables = [
        curves_table(outcome),
        member_laws_table(outcome),
        diversity_table(outcome),
        soups_table(outcome),
        comparisons_table(outcome),
    ];
    for table in tables {
        if !table.rows().is_empty() {
            page += &format!("\n{}", table.to_text());
        }
    }
    page.push('\n');
    for family in &outcome.families {
        page += &format!("{:<6} record {}\n", family.family, family.evaluation);
    }
    page
}

/// What must be known to read the tables, for standard error.
pub(super) fn notes(outcome: &Outcome) -> Vec<String> {
    let mut notes = vec![format!("note: {SHARED_MEMBERS}")];
    for (family, curve) in outcome.curves() {
        let place = format!("{}, {}", family.family, curve.average);
        match &curve.law {
            Ok(law) => {
                let warnings = law.fit.warnings.iter();
                notes.extend(warnings.map(|warning| format!("warning: {place}: {warning}")));
            }
            Err(refusal) => {
                notes.push(format!("note: {place}: no law: {refusal}; {}", refusal.hint()));
            }
        }
    }
    notes
}
