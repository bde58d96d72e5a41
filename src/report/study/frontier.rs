//! What compute buys: every tuned recipe by the operations of its training, and the frontier of
//! those that no cheaper one beats.
//!
//! Operations are those of the runs that make the model; what the search for its setting cost is in
//! the page's ledger of compute.

use super::ids;
use crate::draw::chart::{
    Bar, Block as Part, Figure, Label, Line, Panel, Point, Scale, Series, Shape, Sheet, Sizes,
    Ticks,
};
use crate::draw::palette::Paint;
use crate::draw::table::{Align, Cell, Table};
use crate::figures::bar;
use crate::laws::LossError;
use crate::number::{MISSING, amount, grouped, prefixed, signed};
use crate::spec::JobId;
use crate::store::Loss;
use crate::study::scale::{CellResult, Outcome};

/// A model that a study has made.
struct Made<'o> {
    recipe: Recipe,
    what: String,
    flops: f64,
    loss: &'o Loss,
    bar: Option<Bar>,
    evaluation: JobId,
}

#[derive(Clone, Copy, PartialEq)]
enum Recipe {
    Standard,
    Regularized,
    Ensemble,
}

impl Recipe {
    const ALL: [(Self, &'static str, Paint, Shape); 3] = [
        (Self::Standard, "standard", Paint::Vermillion, Shape::Circle),
        (Self::Regularized, "regularized", Paint::Purple, Shape::Square),
        (Self::Ensemble, "ensembles", Paint::Blue, Shape::Triangle),
    ];
}

/// The models of a budget, the cheapest first.
fn made(outcome: &Outcome, budget_tokens: u64) -> Vec<Made<'_>> {
    let flops = |runs: &[JobId]| {
        let of = |run: &JobId| {
            let record = outcome.records.iter().find(|record| record.id == *run);
            record.map_or(0.0, |record| record.cost.flops)
        };
        runs.iter().map(of).sum::<f64>() / runs.len().max(1) as f64
    };
    let of_cell = |cell: &&CellResult| cell.budget_tokens == budget_tokens;
    let mut all = Vec::new();
    for cell in outcome.cells.iter().filter(of_cell) {
        let singles = [
            (Recipe::Standard, "standard", &cell.standard),
            (Recipe::Regularized, "regularized", &cell.regularized),
        ];
        for (recipe, name, single) in singles {
            let Some(single) = single else { continue };
            let what = format!("{name} {}, {}", cell.model, single.certificate.center.setting);
            let (loss, evaluation) = (&single.loss, single.evaluation);
            let bar = LossError::of_losses(&single.of_seeds, loss.standard_error_nats).map(bar);
            all.push(Made { recipe, what, flops: flops(&single.runs), loss, bar, evaluation });
        }
        for ensemble in &cell.ensembles {
            let one = flops(&ensemble.members);
            for (index, loss) in ensemble.test.losses.iter().enumerate().skip(1) {
                let members = index + 1;
                all.push(Made {
                    recipe: Recipe::Ensemble,
                    what: format!("{members} x {}, {}", cell.model, ensemble.setting),
                    flops: members as f64 * one,
                    loss,
                    bar: LossError::of_members(
                        &ensemble.test.without(members),
                        loss.standard_error_nats,
                    )
                    .map(bar),
                    evaluation: ensemble.test.evaluation.id,
                });
            }
        }
    }
    all.sort_by(|a, b| a.flops.total_cmp(&b.flops));
    all
}

/// Those that no cheaper one equals.
fn frontier<'m, 'o>(made: &'m [Made<'o>]) -> Vec<&'m Made<'o>> {
    let mut lowest = f64::INFINITY;
    made.iter()
        .filter(|model| {
            let better = model.loss.nats < lowest;
            lowest = lowest.min(model.loss.nats);
            better
        })
        .collect()
}

/// The frontier of every budget, and what each step along it buys.
#[must_use]
pub fn frontier_table(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("budget (tokens)", Align::Right),
        ("model", Align::Left),
        ("training", Align::Right),
        ("loss (nats/token)", Align::Right),
        ("gained", Align::Right),
        ("nats per TFLOP more", Align::Right),
    ]);
    for budget in outcome.laws.budgets.iter().map(|laws| laws.budget_tokens) {
        let all = made(outcome, budget);
        let mut before: Option<&Made<'_>> = None;
        for model in frontier(&all) {
            let step = before.map(|b| (b.loss.nats - model.loss.nats, model.flops - b.flops));
            let gained = step.map_or_else(|| MISSING.to_owned(), |(nats, _)| signed(-nats));
            let rate = step.map_or_else(
                || MISSING.to_owned(),
                |(nats, flops)| format!("{:.4}", nats / (flops / 1e12)),
            );
            table.push([
                Cell::from(grouped(budget)),
                model.what.clone().into(),
                prefixed(model.flops, "FLOP").into(),
                Cell::of(model.loss.text(), &ids([&model.evaluation])),
                gained.into(),
                rate.into(),
            ]);
            before = Some(model);
        }
    }
    table
}

/// Loss over the operations of training, a panel per budget.
#[must_use]
pub fn frontier_figure(outcome: &Outcome) -> Option<Figure> {
    if outcome.laws.budgets.is_empty() {
        return None;
    }
    let caption = "Loss on test over the floating-point operations of the training runs behind a \
                   model; the search for its setting is not among them. The line joins the models \
                   that no cheaper one beats. Bars are one standard error, over seeds where there \
                   are several, of ensembles over the choice of members.";
    let mut sheet = Sheet::new("iso-compute", "What compute buys", caption);
    for budget in outcome.laws.budgets.iter().map(|laws| laws.budget_tokens) {
        let all = made(outcome, budget);
        let x = Scale::logarithmic("training (FLOP)").with_ticks(Ticks::Short);
        let title = format!("D = {}", amount(budget as f64));
        let mut panel = Panel::new(title, x, Scale::linear("loss (nats/token)"));
        let point = |model: &Made<'_>| Point {
            x: model.flops,
            y: model.loss.nats,
            bar: model.bar,
            records: ids([&model.evaluation]),
            ..Point::default()
        };
        for (recipe, name, paint, shape) in Recipe::ALL {
            let own: Vec<Point> =
                all.iter().filter(|model| model.recipe == recipe).map(point).collect();
            let mut series = Series::new(name, paint, shape, own);
            series.label = Label::Legend(name.to_owned());
            panel.series.push(series);
        }
        let best = frontier(&all).into_iter().map(|model| Point { bar: None, ..point(model) });
        let mut line = Series::new("frontier", Paint::Ink, Shape::Circle, best.collect());
        line.label = Label::Legend("frontier".to_owned());
        (line.line, line.marked) = (Some(Line::Dashed), false);
        panel.series.push(line);
        panel.height = Sizes::HALF;
        sheet.blocks.push(Part::Panels(vec![panel]));
    }
    Some(sheet.finish())
}
