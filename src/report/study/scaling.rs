//! A scaling study as tables and sections of a page.

use super::{
    LawRow, MembersRow, MultiplierRow, certificate, certificate_line, findings, frontier_table,
    ids, laws, members, messages, multipliers,
};
use crate::draw::table::{Align, Cell, Table};
use crate::laws::{Limit, NO_ASYMPTOTE, NoLimit};
use crate::number::{MISSING, grouped, signed};
use crate::report::number::interval;
use crate::report::page::{Block, Section};
use crate::store::Loss;
use crate::study::scale::{Answer, Outcome, Question, Single};
use crate::study::tune::Mode;

/// Every cell with what the recipes reached on `test`, and where.
#[must_use]
pub fn cells_table(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("budget (tokens)", Align::Right),
        ("model", Align::Left),
        ("parameters", Align::Right),
        ("standard", Align::Right),
        ("setting", Align::Left),
        ("regularized", Align::Right),
        ("setting", Align::Left),
        ("ensemble", Align::Right),
        ("members", Align::Left),
    ]);
    for cell in &outcome.cells {
        let mut row = vec![
            Cell::from(grouped(cell.budget_tokens)),
            cell.model.as_str().into(),
            grouped(cell.parameters).into(),
        ];
        row.extend(single_cells(cell.standard.as_ref()));
        row.extend(single_cells(cell.regularized.as_ref()));
        match cell.best_measured() {
            Some(ensemble) => {
                let at = ensemble.setting;
                let record = ids([&ensemble.test.evaluation.id]);
                row.push(Cell::of(ensemble.test.all().text(), &record));
                row.push(
                    format!(
                        "{} of {} / {} / {}",
                        ensemble.members.len(),
                        at.epochs,
                        at.lr,
                        at.weight_decay
                    )
                    .into(),
                );
            }
            None => row.extend([MISSING.into(), Cell::default()]),
        }
        table.push(row);
    }
    table
}

/// Loss and setting of a single model.
fn single_cells(single: Option<&Single>) -> [Cell; 2] {
    let Some(single) = single else { return [MISSING.into(), Cell::default()] };
    let at = single.certificate.center.setting;
    let edge = if single.certificate.edges.is_empty() { "" } else { " (edge)" };
    let loss = Cell::of(single.loss.text(), &ids([&single.evaluation]));
    [loss, format!("{} / {} / {}{edge}", at.epochs, at.lr, at.weight_decay).into()]
}

/// How far every recipe lies above the exact entropy of the text; empty where nobody knows that.
#[must_use]
pub fn excess_table(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("budget (tokens)", Align::Right),
        ("model", Align::Left),
        ("standard", Align::Right),
        ("regularized", Align::Right),
        ("ensemble", Align::Right),
        ("floor (nats/token)", Align::Right),
    ]);
    for cell in &outcome.cells {
        let standard = cell.standard.as_ref().map(|single| (&single.loss, single.evaluation));
        let regularized = cell.regularized.as_ref().map(|single| (&single.loss, single.evaluation));
        let ensemble = cell.best_measured().map(|e| (e.test.all(), e.test.evaluation.id));
        let all = [standard, regularized, ensemble];
        let floor = all.iter().flatten().find_map(|(loss, _)| loss.above_floor);
        let Some(floor) = floor else { continue };
        let excess = |measured: &Option<(&Loss, crate::spec::JobId)>| match measured {
            Some((Loss { above_floor: Some(above), .. }, id)) => Cell::of(above.text(), &ids([id])),
            _ => MISSING.into(),
        };
        let mut row = vec![Cell::from(grouped(cell.budget_tokens)), cell.model.as_str().into()];
        row.extend(all.iter().map(excess));
        row.push(format!("{:.4}", floor.floor_nats).into());
        table.push(row);
    }
    table
}

/// What the smallest model's hyper-parameters cost the larger ones.
#[must_use]
pub fn transfers_table(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("model", Align::Left),
        ("carried from the smallest", Align::Left),
        ("setting", Align::Left),
        ("minus its own optimum", Align::Right),
        ("interval", Align::Right),
        ("verdict", Align::Left),
    ]);
    for transfer in &outcome.transfers {
        let difference = &transfer.difference;
        table.push([
            Cell::from(transfer.model.as_str()),
            transfer.carried.into(),
            transfer.setting.to_string().into(),
            Cell::of(signed(difference.mean), &ids([&transfer.run])),
            interval(difference.interval).into(),
            difference.verdict().to_string().into(),
        ]);
    }
    table
}

/// The study in a few sentences, each as strong as its interval allows.
#[must_use]
pub fn scaling_headline(outcome: &Outcome) -> String {
    let mut questions: Vec<Question> = Vec::new();
    for finding in &outcome.findings {
        if !questions.contains(&finding.question) {
            questions.push(finding.question);
        }
    }
    let sentence = |question: &Question| {
        let asked = outcome.findings.iter().filter(|finding| finding.question == *question);
        let (yes, all) = asked.fold((0, 0), |(yes, all), finding| {
            (yes + usize::from(finding.answer == Answer::Shown), all + 1)
        });
        match yes {
            0 => format!("{question} It does not show at this scale."),
            yes if yes == all => format!("{question} Yes, in all {all} cases."),
            yes => format!("{question} Yes in {yes} of {all} cases."),
        }
    };
    let asked = questions.iter().filter(|question| **question != Question::DataEfficiency);
    asked.map(sentence).collect::<Vec<_>>().join(" ")
}

/// The sections of a scaling study's page; figures are put where they belong.
#[must_use]
pub fn scaling(outcome: &Outcome, figures: Vec<Block>) -> Vec<Section> {
    let mut sections = vec![answers(outcome), losses(outcome)];
    if !figures.is_empty() {
        let mut section = Section::new("Figures", "figures");
        section.blocks = figures;
        sections.push(section);
    }
    sections.push(laws_of(outcome));
    sections.push(curves(outcome));
    if !outcome.transfers.is_empty() {
        let mut section = Section::new("Do hyper-parameters transfer?", "transfer");
        section.blocks.push(Block::table(
            transfers_table(outcome),
            "Loss on val of one run with the same seed as the model's own optimum, minus its loss; \
             95 % intervals over blocks of text. The optimum was chosen on val, the transfer was \
             not.",
        ));
        sections.push(section);
    }
    let mut compute = Section::new("What compute buys", "frontier");
    compute.blocks.push(Block::table(
        frontier_table(outcome),
        "Models on test that no cheaper one beats, at the floating-point operations of the runs \
         that make them. The last columns are the loss against the row before, and what a further \
         TFLOP buys there.",
    ));
    sections.push(compute);
    sections.push(certificates(outcome));
    sections
}

fn answers(outcome: &Outcome) -> Section {
    let mut section = Section::new("What the study says", "answers");
    // The multipliers have a table of their own.
    let answered = outcome.findings.iter().filter(|f| f.question != Question::DataEfficiency);
    section.blocks.push(findings(&answered.cloned().collect::<Vec<_>>()));
    if !outcome.laws.efficiency.is_empty() {
        let rows: Vec<MultiplierRow> =
            outcome.laws.efficiency.iter().map(MultiplierRow::from).collect();
        section.blocks.push(multipliers(&rows, "the standard recipe"));
    }
    section.blocks.extend(messages(&outcome.messages));
    section
}

fn losses(outcome: &Outcome) -> Section {
    let mut section = Section::new("What every recipe reached", "losses");
    section.blocks.push(Block::table(
        cells_table(outcome),
        "Loss on test in nats per token, the mean over seeds ± one standard error over blocks of \
         text. Settings are epochs / learning rate / weight decay, chosen on val; the ensemble is \
         that of all members with the lowest loss there.",
    ));
    let excess = excess_table(outcome);
    if !excess.rows().is_empty() {
        section.blocks.push(Block::table(
            excess,
            "Loss on test minus the exact entropy of the same text, in nats per token ± one \
             standard error of the paired difference.",
        ));
    }
    section
}

fn laws_of(outcome: &Outcome) -> Section {
    let mut section = Section::new("Laws", "laws");
    let rows: Vec<LawRow> = outcome.laws.all().into_iter().map(LawRow::from).collect();
    section.blocks = laws(&rows);
    for budget in &outcome.laws.budgets {
        let Some(both) = &budget.both_orders else { continue };
        // The interval of the joint asymptote stands in the table; this order has the same doubts.
        let ends = |order: &Result<Limit, NoLimit>| {
            order.as_ref().is_ok_and(|limit| limit.law.has_asymptote())
        };
        let told = match &both.parameters_first {
            Err(why) => format!("there is no limit: {why}"),
            Ok(limit) if !limit.law.has_asymptote() => NO_ASYMPTOTE.to_owned(),
            Ok(_) => match both.gap().filter(|_| ends(&both.members_first)) {
                Some(gap) => {
                    format!("the limit is {} nats/token from the joint asymptote", signed(gap))
                }
                None => "there is a limit, but no joint asymptote to compare it with".to_owned(),
            },
        };
        section.blocks.push(Block::Text(format!(
            "The joint asymptote takes K to infinity first. With N first at {} tokens {told}.",
            grouped(budget.budget_tokens)
        )));
        let of_seeds = &budget.of_seeds;
        let asymptotes: Vec<f64> =
            of_seeds.iter().filter_map(|law| Some(law.asymptote()?.claim.value)).collect();
        let low = asymptotes.iter().copied().fold(f64::INFINITY, f64::min);
        let high = asymptotes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let refused = of_seeds.len() - asymptotes.len();
        if !asymptotes.is_empty() {
            section.blocks.push(Block::Text(format!(
                "With one seed at a time the regularized asymptote at {} tokens lies between \
                 {low:.4} and {high:.4} over {} seeds; {refused} of them show none.",
                grouped(budget.budget_tokens),
                of_seeds.len()
            )));
        }
    }
    section
}

fn curves(outcome: &Outcome) -> Section {
    let mut section = Section::new("Ensembles over their members", "ensembles");
    for cell in &outcome.cells {
        for ensemble in &cell.ensembles {
            let budget = &outcome.laws.budgets;
            let budget = budget.iter().find(|laws| laws.budget_tokens == cell.budget_tokens);
            let law = budget.and_then(|laws| {
                let all = laws.ensembles.iter().chain(&laws.tuned_alone);
                let record = ensemble.test.evaluation.id;
                all.into_iter().find(|law| law.points.first().is_some_and(|p| p.2 == Some(record)))
            });
            let Some(law) = law else { continue };
            let chosen = if ensemble.chosen { ", chosen on val" } else { "" };
            let asymptote = match law.asymptote() {
                Some(asymptote) => {
                    format!("{} nats/token with infinitely many", asymptote.claim)
                }
                None => law.law.as_ref().map_or("no law", |_| NO_ASYMPTOTE).to_owned(),
            };
            let title = format!(
                "{} at {} tokens, members at {}{chosen}: {asymptote}",
                cell.model,
                grouped(cell.budget_tokens),
                ensemble.setting
            );
            let rows = MembersRow::of_curve(&ensemble.test);
            let table = members(&rows, &law.law, ensemble.test.evaluation.id, "test");
            section.blocks.push(Block::Fold { title, blocks: vec![table] });
        }
    }
    section
}

fn certificates(outcome: &Outcome) -> Section {
    let mut section = Section::new("Certificates", "certificates");
    for cell in &outcome.cells {
        let standard = cell.standard.as_ref().map(|single| ("standard", Mode::Standard, single));
        let regularized =
            cell.regularized.as_ref().map(|single| ("regularized", Mode::Regularized, single));
        for (name, mode, single) in standard.into_iter().chain(regularized) {
            let title = format!(
                "{name} recipe, {} at {} tokens: {}",
                cell.model,
                grouped(cell.budget_tokens),
                certificate_line(&single.certificate)
            );
            let blocks = certificate(mode, &single.certificate, None);
            section.blocks.push(Block::Fold { title, blocks });
        }
    }
    section
}
