//! Tables of studies for their pages: certificates, laws, multipliers, curves in K.
//!
//! Each table is a pure function of what a study or a fit has found; its numbers carry the ids of
//! the records behind them. The same tables serve the terminal, where the links are not seen.

mod certificate;
mod law;
mod members;
mod multiplier;
mod scaling;
#[cfg(test)]
mod tests;
mod tuning;

pub use certificate::{
    basis, certificate, certificate_line, certificate_table, flat_sentence, score,
};
pub use law::{LawRow, doubts_table, held_out, laws, laws_table, left_out, shapes, warnings_table};
pub use members::{MembersRow, members, members_table};
pub use multiplier::{MultiplierRow, multipliers, multipliers_table, times};
pub use scaling::{
    all_laws, cells_table, excess_table, scaling, scaling_headline, transfers_table,
};
pub use tuning::{points_table, tuning, tuning_headline};

use super::number::{MISSING, grouped};
use super::page::Block;
use super::table::{Align, Table};
use crate::spec::JobId;
use crate::study::Message;
use crate::study::scale::{Answer, Finding};

/// What a study has seen go wrong, each with its remedy.
#[must_use]
pub fn messages(messages: &[Message]) -> Vec<Block> {
    messages.iter().map(|message| Block::Warning(message.to_string())).collect()
}

/// The paper's questions with the answers of a scaling study.
#[must_use]
pub fn findings(findings: &[Finding]) -> Block {
    let mut table = Table::new(&[
        ("question", Align::Left),
        ("budget (tokens)", Align::Right),
        ("answer", Align::Left),
        ("what it rests on", Align::Left),
    ]);
    for finding in findings {
        let answer = match finding.answer {
            Answer::Shown => "yes",
            Answer::NotShown => "does not show at this scale",
        };
        table.push([
            finding.question.to_owned(),
            finding.budget_tokens.map_or_else(|| MISSING.to_owned(), grouped),
            answer.to_owned(),
            finding.evidence.clone(),
        ]);
    }
    Block::table(table, "A question is answered yes only where the whole interval says so.")
}

/// Full ids as the page's cells carry them.
#[must_use]
pub fn ids<'a>(records: impl IntoIterator<Item = &'a JobId>) -> Vec<String> {
    records.into_iter().map(ToString::to_string).collect()
}
