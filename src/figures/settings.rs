//! Loss over one setting: epochs, weight decay, batch size (P1 e, i, j; P7, P8, P9).

use std::collections::BTreeMap;

use super::benchmarks::error_point;
use super::scope::{drawn, lack, point};
use super::{Finding, Part};
use crate::analysis::{Measured, Run, Scope, Setting, same};
use crate::draw::chart::{
    Block, Label, Line, Panel, Point, Scale, Series, Shape, Sheet, Sizes, Ticks,
};
use crate::draw::palette::Paint;
use crate::number::amount;

/// Panels of more sizes and budgets are not read; what they show is found all the same.
const PANELS_MAX: usize = 6;
const PAINTS: [Paint; 6] =
    [Paint::Vermillion, Paint::Blue, Paint::Green, Paint::Purple, Paint::Gold, Paint::Sky];

/// The axis of epochs, with ticks where there were runs.
fn epoch_scale(epochs: &[f64]) -> Scale {
    Scale::logarithmic("epochs").with_ticks(ticks_at(epochs.to_vec()))
}

/// Settings of one size and budget.
struct Cell<'s, 'r> {
    n: f64,
    d: f64,
    settings: Vec<&'s Setting<'r>>,
}

/// All sizes and budgets that have settings which `choose` takes, by how many there are.
fn cells<'s, 'r>(scope: &'s Scope<'r>, choose: impl Fn(&Setting) -> bool) -> Vec<Cell<'s, 'r>> {
    let mut cells: Vec<Cell> = Vec::new();
    for setting in scope.settings.iter().filter(|setting| choose(setting)) {
        match cells.iter_mut().find(|cell| same(cell.n, setting.n) && same(cell.d, setting.d)) {
            Some(cell) => cell.settings.push(setting),
            None => cells.push(Cell { n: setting.n, d: setting.d, settings: vec![setting] }),
        }
    }
    cells.sort_by_key(|cell| std::cmp::Reverse(cell.settings.len()));
    cells
}

/// The settings with the commonest learning rate: a curve over another axis holds it fixed.
fn at_commonest_rate<'s, 'r>(settings: &[&'s Setting<'r>]) -> Vec<&'s Setting<'r>> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for setting in settings {
        *counts.entry(setting.lr.to_bits()).or_default() += 1;
    }
    let commonest = counts.iter().max_by_key(|(_, count)| **count).map(|(lr, _)| *lr);
    settings.iter().copied().filter(|s| Some(s.lr.to_bits()) == commonest).collect()
}

/// Settings over an axis.
fn over(settings: &[&Setting], x: impl Fn(&Setting) -> f64) -> Vec<Point> {
    settings.iter().map(|setting| point(&setting.measured(x(setting)))).collect()
}

/// Where a curve is lowest.
fn lowest(what: String, axis: &str, points: &[Point]) -> Option<Finding> {
    let best = points.iter().min_by(|a, b| a.y.total_cmp(&b.y))?;
    let bars = match best.error() {
        Some(error) => format!(" (standard error {error:.4})"),
        None => String::new(),
    };
    let edge = points.first().is_some_and(|p| same(p.x, best.x))
        || points.last().is_some_and(|p| same(p.x, best.x));
    let edge = if edge { "; at an edge of what was measured" } else { "" };
    Some(Finding::text(what, format!("lowest {:.4}{bars} at {axis} {}{edge}", best.y, best.x)))
}

/// The mean error over the benchmarks of a setting's runs.
fn benchmark_point(setting: &Setting, runs: &[Run]) -> Option<Point> {
    let matches = |run: &&Run| {
        let is = |own: Option<f64>, value: f64| own.is_some_and(|own| same(own, value));
        run.ensemble.as_ref().is_none_or(|ensemble| ensemble.members == 1)
            && run.taught.is_none()
            && is(run.parameters, setting.n)
            && is(run.epochs, setting.epochs)
            && is(run.lr, setting.lr)
            && is(run.weight_decay, setting.weight_decay)
            && !run.accuracies.is_empty()
    };
    let run = runs.iter().find(matches)?;
    error_point(setting.epochs, run)
}

/// How many numbers of epochs the standard recipe, or all else, was run for.
fn epoch_count(scope: &Scope, cell: &Cell, standard: bool) -> usize {
    let own = cell.settings.iter().filter(|s| scope.is_standard(s) == standard);
    let mut epochs: Vec<u64> = own.map(|s| s.epochs.to_bits()).collect();
    epochs.sort_unstable();
    epochs.dedup();
    epochs.len()
}

/// P1 (e): the standard recipe overfits over epochs, a stronger weight decay does not.
pub(super) fn overfitting(scope: &Scope) -> Part {
    const NAME: &str = "overfitting";
    let needs = || {
        let decay = scope.options.standard_weight_decay;
        let runs = format!("one size at weight decay {decay} and at three or more epochs");
        lack(NAME, runs)
    };
    let cells = cells(scope, |_| true);
    let count = |cell: &Cell| (epoch_count(scope, cell, true), epoch_count(scope, cell, false));
    let cell = cells.iter().filter(|cell| count(cell).0 >= 3).max_by_key(|cell| {
        let (standard, others) = count(cell);
        (others.min(standard), standard)
    });
    let cell = cell.ok_or_else(needs)?;
    let mut epochs = Vec::new();
    let mut losses = Panel::new("", Scale::logarithmic("epochs"), scope.loss_scale());
    let mut errors = Panel::new("", Scale::logarithmic("epochs"), Scale::linear("mean error"));
    let mut findings = Vec::new();
    let tuned = cell.settings.iter().copied().min_by(|a, b| a.loss().total_cmp(&b.loss()));
    let tuned = tuned.map_or(scope.options.standard_weight_decay, |s| s.weight_decay);
    for (decay, paint, shape) in [
        (scope.options.standard_weight_decay, Paint::Vermillion, Shape::Circle),
        (tuned, Paint::Purple, Shape::Square),
    ] {
        let own: Vec<&Setting> =
            cell.settings.iter().copied().filter(|s| same(s.weight_decay, decay)).collect();
        let mut own = at_commonest_rate(&own);
        own.sort_by(|a, b| a.epochs.total_cmp(&b.epochs));
        let name = format!("weight decay {decay}");
        if losses.series.iter().any(|series| series.name == name) {
            continue;
        }
        epochs.extend(own.iter().map(|setting| setting.epochs));
        let points: Vec<Point> = over(&own, |setting| setting.epochs);
        findings.extend(lowest(format!("{name}, over epochs"), "epochs", &points));
        let mut series = Series::new(name.clone(), paint, shape, points);
        series.line = Some(Line::Solid);
        losses.series.push(series);
        let points: Vec<Point> =
            own.iter().filter_map(|setting| benchmark_point(setting, &scope.runs.runs)).collect();
        if !points.is_empty() {
            let mut series = Series::new(name, paint, shape, points);
            series.line = Some(Line::Solid);
            errors.series.push(series);
        }
    }
    losses.x = epoch_scale(&epochs);
    errors.x = epoch_scale(&epochs);
    let size = scope.size_name(cell.n);
    let caption = format!(
        "Loss of {size} at D = {} over epochs, at the commonest lr, at the standard weight decay \
         and at that of the best single model. {}",
        amount(cell.d),
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, format!("Overfitting of {size} over epochs"), caption);
    sheet.blocks.push(Block::Panels(vec![losses]));
    if !errors.series.is_empty() {
        sheet.blocks.push(Block::Panels(vec![errors]));
    }
    Ok((sheet, findings))
}

/// Held-out and training losses as two series.
fn both(
    panel: &mut Panel,
    (name, paint): (&str, Paint),
    settings: &[&Setting],
    x: impl Fn(&Setting) -> f64,
) {
    let trained = settings.iter().filter_map(|setting| setting.trained(x(setting)));
    let train = drawn(&trained.collect::<Vec<_>>());
    let held = over(settings, x);
    let named = |what: &str| match name {
        "" => what.to_owned(),
        name => format!("{name}: {what}"),
    };
    let mut series = Series::new(named("held-out"), paint, Shape::Circle, held);
    series.line = Some(Line::Solid);
    panel.series.push(series);
    if !train.is_empty() {
        let mut series = Series::new(named("train"), paint, Shape::Triangle, train);
        series.line = Some(Line::Dotted);
        panel.series.push(series);
    }
}

/// P1 (i): the best learning rate of every number of epochs, standard recipe.
pub(super) fn best_rate_per_epochs(scope: &Scope) -> Part {
    const NAME: &str = "epochs-best-lr";
    let decay = scope.options.standard_weight_decay;
    let cells = cells(scope, |setting| scope.is_standard(setting));
    let mut panels = Vec::new();
    let mut findings = Vec::new();
    for cell in cells.iter().take(4) {
        let mut best: BTreeMap<u64, &Setting> = BTreeMap::new();
        for setting in &cell.settings {
            let known = best.entry(setting.epochs.to_bits()).or_insert(setting);
            if setting.loss() < known.loss() {
                *known = setting;
            }
        }
        let best: Vec<&Setting> = best.into_values().collect();
        if best.len() < 3 {
            continue;
        }
        let epochs: Vec<f64> = best.iter().map(|setting| setting.epochs).collect();
        let title = format!("{}, D = {}", scope.size_name(cell.n), amount(cell.d));
        let mut panel = Panel::new(title.clone(), epoch_scale(&epochs), scope.loss_scale());
        panel.y.name = "loss (nats per token)".to_owned();
        both(&mut panel, ("", Paint::Vermillion), &best, |setting| setting.epochs);
        findings.extend(lowest(format!("{title}, best lr"), "epochs", &panel.series[0].points));
        panels.push(panel);
    }
    if panels.is_empty() {
        let runs = format!("weight decay {decay} at three or more epochs of a size");
        return Err(lack(NAME, runs));
    }
    half_height_if_several(&mut panels);
    let caption = format!(
        "Standard recipe (weight decay {decay}): for every number of epochs the best lr. Circles: \
         held-out loss, triangles: training loss at the end. {}",
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Epochs of the standard recipe", caption);
    sheet.blocks.push(Block::Panels(panels));
    Ok((sheet, findings))
}

/// P1 (j): the standard recipe over parameters, with tuned epochs and with four.
pub(super) fn sizes_at_fixed_epochs(scope: &Scope) -> Part {
    const NAME: &str = "sizes-standard";
    let decay = scope.options.standard_weight_decay;
    let needs = || lack(NAME, format!("weight decay {decay} at two or more sizes of one budget"));
    let d = scope.budget().ok_or_else(needs)?;
    let tuned = scope.standard(d);
    if tuned.len() < 2 {
        return Err(needs());
    }
    // The paper's four, or the number of epochs that most sizes have.
    let epochs = [4.0].into_iter().chain(tuned.iter().map(|setting| setting.epochs));
    let at = |epochs: f64| scope.best(d, |s| scope.is_standard(s) && same(s.epochs, epochs));
    let fixed = epochs.max_by_key(|&epochs| at(epochs).len()).unwrap_or(4.0);
    let mut panel = Panel::new("", scope.n_scale(), scope.loss_scale());
    panel.y.name = "loss (nats per token)".to_owned();
    both(&mut panel, ("tuned epochs", Paint::Vermillion), &tuned, |setting| setting.n);
    let name = format!("{fixed} epochs");
    both(&mut panel, (&name, Paint::Blue), &at(fixed), |setting| setting.n);
    let mut findings = vec![super::parameters::monotone(
        "standard, tuned epochs".to_owned(),
        &panel.series[0].points,
    )];
    let train = panel.series.iter().find(|series| series.name == "tuned epochs: train");
    findings.extend(train.map(|series| {
        let what = "standard, tuned epochs, training loss".to_owned();
        super::parameters::monotone(what, &series.points)
    }));
    let caption = format!(
        "Standard recipe (weight decay {decay}) over parameters at D = {}. Circles: held-out loss, \
         triangles: training loss. {}",
        amount(d),
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "The standard recipe over parameters", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// P9: loss over epochs at the standard weight decay, a panel per budget, a curve per size.
pub(super) fn epochs(scope: &Scope) -> Part {
    const NAME: &str = "epochs";
    let decay = scope.options.standard_weight_decay;
    let cells = cells(scope, |setting| scope.is_standard(setting));
    let mut panels = Vec::new();
    let mut findings = Vec::new();
    for &d in &scope.budgets {
        let title = format!("D = {} tokens", amount(d));
        let mut panel = Panel::new(title, Scale::logarithmic("epochs"), scope.loss_scale());
        let mut all = Vec::new();
        for (n, name) in &scope.sizes {
            let cell = cells.iter().find(|cell| same(cell.n, *n) && same(cell.d, d));
            let Some(cell) = cell else { continue };
            let mut own = at_commonest_rate(&cell.settings);
            own.sort_by(|a, b| a.epochs.total_cmp(&b.epochs));
            if own.len() < 2 {
                continue;
            }
            all.extend(own.iter().map(|setting| setting.epochs));
            let points: Vec<Point> = over(&own, |setting| setting.epochs);
            let what = format!("{name}, D = {}, lr {}", amount(d), own[0].lr);
            findings.extend(lowest(what, "epochs", &points));
            let shape = Shape::numbered(panel.series.len());
            let mut series = Series::new(name.clone(), scope.size_paint(*n), shape, points);
            series.line = Some(Line::Solid);
            panel.series.push(series);
        }
        if !panel.series.is_empty() {
            panel.x = epoch_scale(&all);
            panels.push(panel);
        }
    }
    if panels.is_empty() {
        return Err(lack(NAME, format!("weight decay {decay} at two or more epochs of a size")));
    }
    half_height_if_several(&mut panels);
    let caption = format!(
        "Loss over epochs at weight decay {decay}, each curve at its commonest lr. {}",
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Loss over epochs, standard weight decay", caption);
    sheet.blocks.push(Block::Panels(panels));
    Ok((sheet, findings))
}

/// Several panels stand beside each other and share their legend.
fn half_height_if_several(panels: &mut [Panel]) {
    if panels.len() < 2 {
        return;
    }
    for panel in panels {
        panel.height = Sizes::HALF;
        // One legend for all: what a mark means must not be looked for in another panel.
        for series in &mut panel.series {
            series.label = Label::Legend(series.name.clone());
        }
    }
}

/// P8: loss over weight decay, a panel per size and budget, a curve per number of epochs.
pub(super) fn weight_decay(scope: &Scope) -> Part {
    const NAME: &str = "weight-decay";
    let mut panels = Vec::new();
    let mut findings = Vec::new();
    for cell in cells(scope, |setting| setting.weight_decay > 0.0) {
        let place = format!("{}, D = {}", scope.size_name(cell.n), amount(cell.d));
        let x = Scale::logarithmic("weight decay");
        let mut panel = Panel::new(place.clone(), x, scope.loss_scale());
        let mut by_epochs: BTreeMap<u64, Vec<&Setting>> = BTreeMap::new();
        for &setting in &cell.settings {
            by_epochs.entry(setting.epochs.to_bits()).or_default().push(setting);
        }
        let mut decays = Vec::new();
        for (epochs, own) in by_epochs {
            let mut own = at_commonest_rate(&own);
            own.sort_by(|a, b| a.weight_decay.total_cmp(&b.weight_decay));
            if own.len() < 3 {
                continue;
            }
            decays.extend(own.iter().map(|setting| setting.weight_decay));
            let name = format!("{} epochs", f64::from_bits(epochs));
            let points: Vec<Point> = over(&own, |setting| setting.weight_decay);
            let what = format!("{place}, {name}, lr {}", own[0].lr);
            findings.extend(lowest(what, "weight decay", &points));
            let index = panel.series.len();
            let paint = PAINTS[index % PAINTS.len()];
            let mut series = Series::new(name, paint, Shape::numbered(index), points);
            series.line = Some(Line::Solid);
            panel.series.push(series);
        }
        if panel.series.is_empty() || panels.len() >= PANELS_MAX {
            continue;
        }
        panel.x.ticks = ticks_at(decays);
        panels.push(panel);
    }
    if panels.is_empty() {
        return Err(lack(NAME, "three or more weight decays of a size at the same epochs and lr"));
    }
    half_height_if_several(&mut panels);
    let caption = format!(
        "Loss over weight decay at fixed epochs, each curve at its commonest lr; sizes and budgets \
         with the most settings, at most {PANELS_MAX}. {}",
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Loss over weight decay", caption);
    sheet.blocks.push(Block::Panels(panels));
    Ok((sheet, findings))
}

/// Ticks where there were runs.
fn ticks_at(mut values: Vec<f64>) -> Ticks {
    values.sort_by(f64::total_cmp);
    values.dedup_by(|a, b| same(*a, *b));
    Ticks::At(values.into_iter().map(|value| (value, value.to_string())).collect())
}

/// More curves than can be told apart are left to the table of data of other figures.
fn keep_longest(series: &mut Vec<Series>) {
    series.sort_by_key(|series| std::cmp::Reverse(series.points.len()));
    series.truncate(8);
}

/// A batch size, and what its curve holds fixed: size, budget, epochs, lr, weight decay.
type BatchKey = ([u64; 5], u64);

/// P7: loss over batch size at equal tokens, all else fixed.
pub(super) fn batch_size(scope: &Scope) -> Part {
    const NAME: &str = "batch-size";
    let mut groups: BTreeMap<BatchKey, Vec<&Run>> = BTreeMap::new();
    let main = scope.runs.main_variant();
    let usable = |run: &&Run| run.is_plain() && run.loss.is_some() && run.is_main(main);
    for run in scope.runs.runs.iter().filter(usable) {
        let numbers = [run.parameters, run.budget_tokens, run.epochs, run.lr, run.weight_decay];
        let known: Vec<u64> = numbers.iter().flatten().map(|number| number.to_bits()).collect();
        if let (Ok(fixed), Some(batch)) = (<[u64; 5]>::try_from(known), run.batch_sequences) {
            groups.entry((fixed, batch.to_bits())).or_default().push(run);
        }
    }
    let mut curves: BTreeMap<[u64; 5], Vec<Point>> = BTreeMap::new();
    for ((fixed, batch), runs) in groups {
        let point = point(&Measured::mean(f64::from_bits(batch), &runs));
        curves.entry(fixed).or_default().push(point);
    }
    curves.retain(|_, points| points.len() >= 2);
    let mut panel = Panel::new("", Scale::logarithmic("batch (sequences)"), scope.loss_scale());
    let mut findings = Vec::new();
    let mut batches = Vec::new();
    for (fixed, points) in curves {
        let [n, d, epochs, lr, decay] = fixed.map(f64::from_bits);
        let size = scope.size_name(n);
        let name = format!("{size}, {epochs} epochs, lr {lr}, wd {decay}");
        let what = format!("{name}, D = {}", amount(d));
        findings.extend(lowest(what, "batch", &points));
        batches.extend(points.iter().map(|point| point.x));
        let shape = Shape::numbered(panel.series.len());
        let mut series = Series::new(name, scope.size_paint(n), shape, points);
        series.line = Some(Line::Solid);
        panel.series.push(series);
    }
    if panel.series.is_empty() {
        return Err(lack(NAME, "two or more batch sizes with all else equal"));
    }
    keep_longest(&mut panel.series);
    panel.x.ticks = ticks_at(batches);
    let caption = format!("Loss over batch size at equal training tokens. {}", scope.bars());
    let mut sheet = Sheet::new(NAME, "Loss over batch size", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}
