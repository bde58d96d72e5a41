//! A search with its certificate as sections of a page.

use super::{certificate, ids, messages, score};
use crate::draw::table::{Align, Cell, Table};
use crate::report::page::{Block, Section};
use crate::study::tune::Outcome;

/// Every measured point, the best first.
#[must_use]
pub fn points_table(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("epochs", Align::Right),
        ("lr", Align::Right),
        ("weight decay", Align::Right),
        ("score on val (nats/token)", Align::Right),
        ("runs", Align::Right),
    ]);
    let mut trials: Vec<_> = outcome.trials.iter().collect();
    trials.sort_by(|a, b| a.score.value().total_cmp(&b.score.value()));
    for trial in trials {
        let at = trial.setting;
        table.push([
            Cell::from(at.epochs.to_string()),
            at.lr.to_string().into(),
            at.weight_decay.to_string().into(),
            Cell::of(score(&trial.score), &ids(&trial.records)),
            trial.records.len().to_string().into(),
        ]);
    }
    table
}

/// The search in a sentence.
#[must_use]
pub fn tuning_headline(outcome: &Outcome) -> String {
    let certificate = &outcome.certificate;
    let flat = match certificate.flat.len() {
        0 | 1 => String::new(),
        count => format!(" {count} measured points cannot be told from it."),
    };
    let (word, strict) = match certificate.is_strict() {
        true => ("The optimum is", " Every neighbor is shown to be worse."),
        false => ("The best point found is", ""),
    };
    format!(
        "{word} {}, with {} nats per token on val.{strict}{flat} {} of the {} points of the grid \
         were measured.",
        certificate.center.setting,
        score(&certificate.center.score),
        outcome.trials.len(),
        outcome.grid_size
    )
}

/// The sections of a search's page.
#[must_use]
pub fn tuning(outcome: &Outcome, figures: Vec<Block>) -> Vec<Section> {
    let mut proof = Section::new("Certificate", "certificate");
    proof.blocks = certificate(outcome.mode, &outcome.certificate, outcome.published.as_deref());
    proof.blocks.extend(messages(&outcome.messages));
    let mut sections = vec![proof];
    if !figures.is_empty() {
        let mut section = Section::new("Figures", "figures");
        section.blocks = figures;
        sections.push(section);
    }
    let mut points = Section::new("Every measured point", "points");
    points.blocks.push(Block::table(
        points_table(outcome),
        "Final loss on val, the mean over seeds ± one standard error over blocks of text.",
    ));
    let paths = outcome.paths.iter().map(|path| {
        let steps: Vec<String> = path.iter().map(ToString::to_string).collect();
        Block::Text(format!("A search went: {}.", steps.join("; then ")))
    });
    points.blocks.extend(paths);
    sections.push(points);
    sections
}
