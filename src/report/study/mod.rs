//! Tables of studies for their pages: certificates, laws, multipliers, curves in K.
//!
//! Each table is a pure function of what a study or a fit has found; its numbers carry the ids of
//! the records behind them. The same tables serve the terminal, where the links are not seen.

mod best;
mod certificate;
mod ensemble;
mod frontier;
mod law;
mod members;
mod multiplier;
mod scaling;
#[cfg(test)]
mod tests;
mod tuning;

pub use best::{
    averages_table, best, best_figures, best_headline, division_sentence, estimate_table,
    gain_sentence, model_table, plan_table, runs_table, size_sentence, sizes_table, stage_name,
};
pub use certificate::{
    basis, certificate, certificate_line, certificate_table, flat_sentence, score,
};
pub use ensemble::{
    SHARED_MEMBERS, comparisons_table, curves_table, diversity_table, ensemble_headline,
    ensemble_sections, member_laws_table, soups_table,
};
pub use frontier::{frontier_figure, frontier_table};
pub use law::{LawRow, doubts_table, held_out, laws, laws_table, left_out, shapes, warnings_table};
pub use members::{MembersRow, members, members_table};
pub use multiplier::{MultiplierRow, multipliers, multipliers_table, times};
pub use scaling::{cells_table, excess_table, scaling, scaling_headline, transfers_table};
pub use tuning::{points_table, tuning, tuning_headline};

use super::page::Block;
use crate::draw::table::{Align, Table};
use crate::number::{MISSING, grouped};
use crate::spec::JobId;
use crate::study::Message;
use crate::study::scale::{Answer, Finding};

/// What a study has seen go wrong, each kind with its remedy; cases of a kind that was seen more
/// than once are folded.
#[must_use]
pub fn messages(messages: &[Message]) -> Vec<Block> {
    let mut kinds: Vec<Vec<&Message>> = Vec::new();
    for message in messages {
        let same = |kind: &&mut Vec<&Message>| {
            (kind[0].id, kind[0].remedy) == (message.id, message.remedy)
        };
        match kinds.iter_mut().find(same) {
            Some(kind) => kind.push(message),
            None => kinds.push(vec![message]),
        }
    }
    let mut blocks = Vec::new();
    for kind in kinds {
        if let [only] = kind[..] {
            blocks.push(Block::Warning(only.to_string()));
            continue;
        }
        let (count, first) = (kind.len(), kind[0]);
        blocks.push(Block::Warning(format!(
            "{}. And {} more of this kind. {}. [{}]",
            first.seen,
            count - 1,
            first.remedy,
            first.id
        )));
        let cases = kind.iter().map(|message| Block::Text(format!("{}.", message.seen)));
        let title = format!("All {count} cases of [{}]", first.id);
        blocks.push(Block::Fold { title, blocks: cases.collect() });
    }
    blocks
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
            finding.question.to_string(),
            finding.budget_tokens.map_or_else(|| MISSING.to_owned(), grouped),
            answer.to_owned(),
            finding.evidence.clone(),
        ]);
    }
    Block::table(
        table,
        "A question is answered yes only where the whole interval says so. In brackets 95 % \
         intervals over the text and over the seeds behind both sides; for asymptotes over what \
         their points are, too. In simulated studies with known truth \
         (records/verdicts-calibration) a wrong yes came in at most 3 % of any setting. Wider than \
         they need be: multipliers, which held the truth in 98 %, and the joint minus an ensemble \
         asymptote, in 99 %; in some settings also two models with two seeds each, and asymptotes \
         on a noisy text, in up to 100 %.",
    )
}

/// Full ids as the page's cells carry them.
#[must_use]
pub fn ids<'a>(records: impl IntoIterator<Item = &'a JobId>) -> Vec<String> {
    records.into_iter().map(ToString::to_string).collect()
}
