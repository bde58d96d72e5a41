//! The search for the best model as tables, figures and sections of a page.

use super::{ids, messages};
use crate::draw::chart::{self, Block as Part, Label, Line, Panel, Point, Scale, Series, Shape};
use crate::draw::chart::{Sheet, Sizes, Ticks};
use crate::draw::palette::Paint;
use crate::draw::table::{Align, Cell, Table};
use crate::figures::bar;
use crate::laws::LossError;
use crate::number::{MISSING, amount, duration, grouped, prefixed, signed};
use crate::report::number::interval;
use crate::report::page::{Block, Section};
use crate::store::Loss;
use crate::study::best::{Division, Estimate, Outcome, SizeChoice, Sized, Stage};

/// What the hours allow; once the members are trained, their passes over the corpus tell the limit.
#[must_use]
pub fn estimate_table(estimate: &Estimate, outcome: Option<&Outcome>) -> Table {
    let mut table = Table::new(&[("what the hours allow", Align::Left), ("", Align::Right)]);
    let measured = ids([&estimate.measured]);
    let speed = prefixed(estimate.flops_per_second, "FLOP/s");
    let mut push = |what: &str, cell: Cell| table.push([Cell::from(what), cell]);
    push("speed of all workers, measured", Cell::of(speed, &measured));
    push("in all", prefixed(estimate.flops, "FLOP").into());
    push("tokens of the corpus that are used", grouped(estimate.budget_tokens).into());
    push("tokens that a compute-optimal run would want", amount(estimate.optimal_tokens).into());
    let limited = outcome.map_or(estimate.is_data_limited(), Outcome::is_data_limited);
    let limit = if limited { "the data" } else { "the compute" };
    let passes = outcome.map(|outcome| format!(": {} epochs", outcome.setting.epochs));
    push("the limit is", format!("{limit}{}", passes.unwrap_or_default()).into());
    push("sizes compared", estimate.sizes.len().to_string().into());
    push("time for each", duration(estimate.size_seconds).into());
    push("runs of the search after that", estimate.search_runs.to_string().into());
    push("time for each", duration(estimate.search_seconds).into());
    push("time for members", duration(estimate.member_seconds).into());
    push("kept for the ensembles", duration(estimate.reserve_seconds).into());
    table
}

/// The comparison that is planned: sizes and their passes.
#[must_use]
pub fn plan_table(estimate: &Estimate) -> Table {
    let mut table = Table::new(&SIZE_COLUMNS);
    estimate.sizes.iter().for_each(|size| table.push(size_cells(size)));
    table
}

const SIZE_COLUMNS: [(&str, Align); 5] = [
    ("model", Align::Left),
    ("parameters", Align::Right),
    ("epochs", Align::Right),
    ("lr", Align::Right),
    ("weight decay", Align::Right),
];

fn size_cells(size: &Sized) -> [Cell; 5] {
    [
        size.model.into(),
        grouped(size.parameters).into(),
        size.setting.epochs.to_string().into(),
        size.setting.lr.to_string().into(),
        size.setting.weight_decay.to_string().into(),
    ]
}

/// Sizes at equal compute with their losses.
#[must_use]
pub fn sizes_table(outcome: &Outcome) -> Table {
    let mut columns = SIZE_COLUMNS.to_vec();
    columns.push(("loss on val (nats/token)", Align::Right));
    let mut table = Table::new(&columns);
    for scanned in &outcome.scan {
        let mut cells = size_cells(&scanned.size).to_vec();
        cells.push(Cell::of(loss_text(scanned.loss.as_ref()), &ids([&scanned.run])));
        table.push(cells);
    }
    table
}

/// Runs of the chosen size, the best first.
#[must_use]
pub fn runs_table(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("seed", Align::Right),
        ("epochs", Align::Right),
        ("lr", Align::Right),
        ("weight decay", Align::Right),
        ("loss on val (nats/token)", Align::Right),
        ("minus best", Align::Right),
        ("interval", Align::Right),
        ("member", Align::Left),
    ]);
    for run in &outcome.runs {
        let at = run.setting;
        let difference = run.difference.as_ref();
        table.push([
            Cell::from(stage_name(run.stage)),
            run.seed.to_string().into(),
            at.epochs.to_string().into(),
            at.lr.to_string().into(),
            at.weight_decay.to_string().into(),
            Cell::of(loss_text(run.loss.as_ref()), &ids([&run.run])),
            difference.map_or_else(|| MISSING.to_owned(), |d| signed(d.mean)).into(),
            interval(difference.and_then(|d| d.interval)).into(),
            if outcome.members.contains(&run.run) { "yes" } else { "no" }.into(),
        ]);
    }
    table
}

/// Averages of the first K runs.
#[must_use]
pub fn averages_table(outcome: &Outcome) -> Table {
    let mut table =
        Table::new(&[("members K", Align::Right), ("loss on val (nats/token)", Align::Right)]);
    let behind = ids([&outcome.chosen_by]);
    for (index, loss) in outcome.ensembles.iter().enumerate() {
        table.push([Cell::from((index + 1).to_string()), Cell::of(loss.text(), &behind)]);
    }
    table
}

/// The model on `test`, beside its best member alone.
#[must_use]
pub fn model_table(outcome: &Outcome) -> Table {
    let mut table = Table::new(&[
        ("model", Align::Left),
        ("parameters", Align::Right),
        ("loss on test (nats/token)", Align::Right),
        ("bits/byte", Align::Right),
    ]);
    let behind = ids([&outcome.evaluation]);
    let mut push = |name: String, members: u64, loss: &Loss| {
        let bits = loss.bits_per_byte.map_or_else(|| MISSING.to_owned(), |b| format!("{b:.4}"));
        table.push([
            Cell::from(name),
            grouped(members * outcome.size.parameters).into(),
            Cell::of(loss.text(), &behind),
            bits.into(),
        ]);
    };
    let members = outcome.members.len();
    if members > 1 {
        push(
            format!("{members} of {} averaged", outcome.size.model),
            members as u64,
            &outcome.test,
        );
    }
    push(format!("one {}, the best of them on val", outcome.size.model), 1, &outcome.single_test);
    table
}

/// What a run was for, in a word.
#[must_use]
pub fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Search => "search",
        Stage::Member => "member",
    }
}

/// Why the members are as many and as long as they are, in a sentence.
#[must_use]
pub fn division_sentence(outcome: &Outcome) -> String {
    let Division { per_e_fold, of_members, waves, trained_waves } = outcome.division;
    let late = match trained_waves {
        done if done < waves => format!(", of which there was time for {done} in the end"),
        _ => String::new(),
    };
    format!(
        "Longer runs or more members: from the sizes to the search the lowest loss fell by \
         {per_e_fold:.4} nats per factor e of compute, and the average of two foretells \
         {of_members:.4} for infinitely many members; the time for members is therefore {waves} \
         wave{}{late}.",
        if waves == 1 { "" } else { "s" }
    )
}

/// Why the members have their size, in a sentence or two.
#[must_use]
pub fn size_sentence(outcome: &Outcome) -> String {
    let SizeChoice { won, lowest_parameters, compute_factor, by_rule } = &outcome.choice;
    let size = outcome.size.model;
    let mut text = format!(
        "The size: {won} had the lowest loss of {} compared at equal compute, with the lowest \
         point of their curve at {} parameters. A member has {} times that compute, for which the \
         best size grows by the square root, to {} parameters; the largest preset that is not \
         above is {by_rule}.",
        outcome.scan.len(),
        amount(*lowest_parameters),
        amount(*compute_factor),
        amount(lowest_parameters * compute_factor.sqrt()),
    );
    if size != *by_rule {
        text += &format!(
            " It would pass over the corpus too often: {size} is the next larger one that does not."
        );
    }
    text
}

/// The gain of the ensemble over its best member, in a sentence.
#[must_use]
pub fn gain_sentence(outcome: &Outcome) -> Option<String> {
    let gain = outcome.gain.as_ref()?;
    Some(format!(
        "The average minus its best member alone: {} nats per token ({}, 95 %, paired over blocks \
         of text).",
        signed(gain.estimate.mean),
        interval(gain.bootstrap)
    ))
}

/// The result in a paragraph.
#[must_use]
pub fn best_headline(outcome: &Outcome) -> String {
    let (setting, model) = (outcome.setting, outcome.size.model);
    let model = match outcome.members.len() {
        1 => format!("one {model} ({setting})"),
        members => format!("the average of {members} {model} models ({setting})"),
    };
    format!(
        "The best model found in {} is {model}, with {} nats per token on test.",
        duration(outcome.seconds()),
        outcome.test.text()
    )
}

/// Loss over size at equal compute, and over members.
#[must_use]
pub fn best_figures(outcome: &Outcome) -> Vec<chart::Figure> {
    let point = |x: f64, loss: &Loss, records: Vec<String>| Point {
        x,
        y: loss.nats,
        bar: LossError::of_losses(&[loss.nats], loss.standard_error_nats).map(bar),
        records,
        ..Point::default()
    };
    let draw = |(name, title, caption): (&str, &str, &str), x: Scale, points: Vec<Point>| {
        let mut panel = Panel::new("", x, Scale::linear("loss on val (nats/token)"));
        let mut series = Series::new("measured", Paint::Blue, Shape::Circle, points);
        (series.label, series.line) = (Label::None, Some(Line::Solid));
        panel.series.push(series);
        panel.height = Sizes::HALF;
        let mut sheet = Sheet::new(name, title, caption);
        sheet.blocks.push(Part::Panels(vec![panel]));
        sheet.finish()
    };
    let mut figures = Vec::new();
    let sizes: Vec<Point> = outcome
        .scan
        .iter()
        .filter_map(|scanned| {
            let x = scanned.size.parameters as f64;
            Some(point(x, scanned.loss.as_ref()?, ids([&scanned.run])))
        })
        .collect();
    if sizes.len() > 1 {
        let words = (
            "sizes",
            "Sizes at equal compute",
            "Final loss on val of one run per size, all of the same FLOP; bars are one standard \
             error over blocks of text, which the sizes share.",
        );
        figures.push(draw(
            words,
            Scale::logarithmic("parameters N").with_ticks(Ticks::Short),
            sizes,
        ));
    }
    if outcome.ensembles.len() > 1 {
        let behind = ids([&outcome.chosen_by]);
        let points = outcome.ensembles.iter().enumerate();
        let points = points.map(|(i, loss)| point(i as f64 + 1.0, loss, behind.clone())).collect();
        let ticks = (1..=outcome.ensembles.len()).map(|k| (k as f64, k.to_string())).collect();
        let words = (
            "members",
            "Members in the order of their own loss",
            "Loss on val of the logit average of the first K runs of one setting; bars are one \
             standard error over blocks of text, which all averages share.",
        );
        let x = Scale::linear("members K").with_ticks(Ticks::At(ticks));
        figures.push(draw(words, x, points));
    }
    figures
}

/// The sections of the page.
#[must_use]
pub fn best(outcome: &Outcome, figures: Vec<Block>) -> Vec<Section> {
    let mut model = Section::new("The model", "model");
    model.blocks.push(Block::table(
        model_table(outcome),
        "Loss ± one standard error over blocks of text; test was read once, after every choice.",
    ));
    model.blocks.extend(gain_sentence(outcome).map(Block::Text));
    model.blocks.extend(messages(&outcome.messages));

    let mut search = Section::new("How it was found", "search");
    search.blocks.push(Block::table(
        estimate_table(&outcome.estimate, Some(outcome)),
        "From a short run on every worker. A compute-optimal run has 20 tokens per parameter \
         (Hoffmann et al. 2022); where the members pass over all there are, data is the limit.",
    ));
    search.blocks.push(Block::table(
        sizes_table(outcome),
        "Final loss on val of one run per size at equal compute; learning rate and weight decay \
         by rule.",
    ));
    search.blocks.push(Block::Text(size_sentence(outcome)));
    search.blocks.push(Block::table(
        runs_table(outcome),
        "Runs of the chosen size. Differences are paired over blocks of text; seeds are not in \
         their intervals.",
    ));
    search.blocks.push(Block::Text(division_sentence(outcome)));
    search.blocks.push(Block::table(
        averages_table(outcome),
        "Logit averages of the first K runs of one setting, by which the members were chosen.",
    ));
    search.blocks.extend(figures);
    vec![model, search, time(outcome)]
}

/// Where the hours went.
fn time(outcome: &Outcome) -> Section {
    let mut table = Table::new(&[("wave", Align::Left), ("time", Align::Right)]);
    for entry in &outcome.ledger {
        table.push([entry.what.to_owned(), duration(entry.seconds)]);
    }
    table.push(["in all".to_owned(), duration(outcome.seconds())]);
    let mut section = Section::new("Where the hours went", "time");
    section.blocks.push(Block::table(table, "Wall-clock time."));
    section
}

fn loss_text(loss: Option<&Loss>) -> String {
    loss.map_or_else(|| "diverged".to_owned(), Loss::text)
}
