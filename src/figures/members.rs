//! P2: ensembles of every setting over K, heat maps of which setting is best for one model and
//! which for infinitely many, and laws from the first half of the points (mission L7).

use super::asymptotes::k_ticks;
use super::scope::{drawn, lack, point, refused};
use super::{Finding, Part};
use crate::analysis::{Fitted, Measured, Members, Scope, same};
use crate::draw::chart::{
    Block, HeatCell, HeatMap, Label, Line, Panel, Scale, Series, Shape, Sheet,
};
use crate::draw::palette::Paint;
use crate::number::amount;

/// More curves in a panel cannot be told apart.
const CURVES_MAX: usize = 8;
/// More sizes and budgets in one figure are not read.
const CELLS_MAX: usize = 4;

const PAINTS: [Paint; 8] = [
    Paint::Blue,
    Paint::Vermillion,
    Paint::Green,
    Paint::Purple,
    Paint::Gold,
    Paint::Sky,
    Paint::Ink,
    Paint::Muted,
];

/// Sets of ensembles of one size and budget, three members or more, most sets first.
fn cells<'s>(scope: &'s Scope) -> Vec<(f64, f64, Vec<&'s Members>)> {
    let mut cells: Vec<(f64, f64, Vec<&Members>)> = Vec::new();
    for set in scope.members.iter().filter(|set| set.losses.len() >= 3) {
        match cells.iter_mut().find(|(n, d, _)| same(*n, set.n) && same(*d, set.d)) {
            Some((_, _, sets)) => sets.push(set),
            None => cells.push((set.n, set.d, vec![set])),
        }
    }
    // Of as many sets, those at the budget that other figures show.
    let main = scope.budget().unwrap_or(f64::NAN);
    cells.sort_by_key(|(_, d, sets)| (std::cmp::Reverse(sets.len()), !same(*d, main)));
    cells
}

fn needs(figure: &str) -> super::Lack {
    lack(figure, "ensembles of a setting with K >= 3: run `scarce scale` or `scarce ensemble`")
}

/// The settings with the lowest asymptote and with the lowest single loss, and whether the former
/// is the paper's guess from the latter (mission R5).
fn choices(scope: &Scope, (n, d): (f64, f64), sets: &[(&Members, Fitted)]) -> Vec<Finding> {
    let place = format!("{}, D = {}", scope.size_name(n), amount(d));
    let single = |set: &Members| alone(set).map(|measured| measured.loss);
    let ensemble = sets.iter().min_by(|a, b| a.1.asymptote().total_cmp(&b.1.asymptote()));
    let lowest = sets
        .iter()
        .filter_map(|(set, _)| Some((*set, single(set)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    let (Some((best, law)), Some((one, loss))) = (ensemble, lowest) else { return Vec::new() };
    let guess =
        same(best.epochs, 2.0 * one.epochs) && same(best.weight_decay, 0.5 * one.weight_decay);
    let rule = match (guess, std::ptr::eq(*best, one)) {
        (true, _) => "which is twice the epochs and half the decay of the latter",
        (_, true) => "the same",
        _ => "not twice the epochs and half the decay of the latter",
    };
    let text = format!(
        "for infinitely many members {} ({}), for one {} ({loss:.4}); {rule}",
        best.text(),
        law.short_claim(),
        one.text()
    );
    vec![Finding::text(format!("best setting of {place}"), text)]
}

/// The ensembles of one.
fn alone(set: &Members) -> Option<&Measured> {
    set.losses.iter().find(|measured| (measured.x - 1.0).abs() < 0.5)
}

/// Laws in K of every setting, a panel per size and budget.
pub(super) fn curves(scope: &Scope) -> Part {
    const NAME: &str = "members";
    let cells = cells(scope);
    if cells.is_empty() {
        return Err(needs(NAME));
    }
    let mut panels = Vec::new();
    let mut findings = Vec::new();
    for (n, d, sets) in &cells {
        let title = format!("{}, D = {}", scope.size_name(*n), amount(*d));
        let k_scale = Scale::logarithmic("members K").with_ticks(k_ticks(scope));
        let mut panel = Panel::new(title.clone(), k_scale, scope.loss_scale());
        let mut fitted: Vec<(&Members, Fitted)> = Vec::new();
        for &set in sets {
            let what = format!("{title}, {}, K to infinity", set.text());
            match scope.k_law(set) {
                Ok(law) => {
                    findings.push(law.finding(what));
                    fitted.push((set, law));
                }
                Err(why) => findings.push(refused(what, why)),
            }
        }
        findings.extend(choices(scope, (*n, *d), &fitted));
        if panels.len() >= CELLS_MAX {
            continue;
        }
        fitted.sort_by(|a, b| a.1.asymptote().total_cmp(&b.1.asymptote()));
        let law_of = |set: &Members| fitted.iter().position(|(own, _)| std::ptr::eq(*own, set));
        let mut shown: Vec<&Members> = sets.clone();
        shown.sort_by_key(|set| law_of(set).unwrap_or(usize::MAX));
        for (index, set) in shown.into_iter().take(CURVES_MAX).enumerate() {
            let (paint, shape) = (PAINTS[index], Shape::numbered(index));
            let mut series = Series::new(brief(set), paint, shape, drawn(&set.losses));
            series.label = Label::None;
            match law_of(set).map(|at| &fitted[at].1) {
                Some(law) => {
                    let label = Label::Legend(format!("{}: {}", brief(set), law.text()));
                    let mut layer = law.layer(paint, label, 2.0);
                    layer.band = index < 2;
                    panel.laws.push(layer);
                }
                None => {
                    series.line = Some(Line::Solid);
                    series.label = Label::Legend(brief(set));
                }
            }
            panel.series.push(series);
        }
        panel.height = 180.0;
        panels.push(Block::Panels(vec![panel]));
    }
    let caption = format!(
        "Ensembles over K for every setting (epochs / lr / weight decay), {} averaged; the {} \
         lowest asymptotes of each size and budget, bands for the lowest two; {} of {} sizes and \
         budgets. {}",
        scope.options.averaging.name(),
        CURVES_MAX,
        panels.len(),
        cells.len(),
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Ensembles over their members", caption);
    sheet.blocks.extend(panels);
    Ok((sheet, findings))
}

/// "16 / 0.003 / 1.6": epochs, lr, weight decay.
fn brief(set: &Members) -> String {
    format!("{} / {} / {}", set.epochs, set.lr, set.weight_decay)
}

fn ascending(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup_by(|a, b| same(*a, *b));
    values
}

/// Heat maps over epochs and weight decay for every learning rate: one model, infinitely many.
pub(super) fn heat_maps(scope: &Scope) -> Part {
    const NAME: &str = "heat-maps";
    let mut blocks = Vec::new();
    let mut findings = Vec::new();
    for (n, d, sets) in cells(scope) {
        for lr in ascending(sets.iter().map(|set| set.lr)) {
            let own: Vec<&Members> = sets.iter().copied().filter(|set| same(set.lr, lr)).collect();
            if own.len() < 2 || blocks.len() >= 2 * CELLS_MAX {
                continue;
            }
            let place = format!("{}, D = {}, lr {lr}", scope.size_name(n), amount(d));
            let epochs = ascending(own.iter().map(|set| set.epochs));
            let decays = ascending(own.iter().map(|set| set.weight_decay));
            let cell = |epochs: f64, decay: f64, value: &dyn Fn(&Members) -> Option<HeatCell>| {
                let set = own
                    .iter()
                    .find(|set| same(set.epochs, epochs) && same(set.weight_decay, decay))?;
                value(set)
            };
            let map = |title: String, what: &str, value: &dyn Fn(&Members) -> Option<HeatCell>| {
                let row = |&decay: &f64| epochs.iter().map(|&e| cell(e, decay, value)).collect();
                HeatMap {
                    title,
                    row_name: "weight decay".to_owned(),
                    column_name: "epochs".to_owned(),
                    value_name: what.to_owned(),
                    rows: decays.iter().map(ToString::to_string).collect(),
                    columns: epochs.iter().map(ToString::to_string).collect(),
                    cells: decays.iter().map(row).collect(),
                }
            };
            let single = |set: &Members| {
                let point = point(alone(set)?);
                let (low, high) = point.ends().unwrap_or_default();
                let records = point.records;
                Some(HeatCell { value: point.y, low, high, text: None, records })
            };
            let limit = |set: &Members| Some(asymptote_cell(scope, set, &place, &mut Vec::new()));
            for set in &own {
                asymptote_cell(scope, set, &place, &mut findings);
            }
            blocks.push(Block::Heading(place.clone()));
            blocks.push(Block::Heats(vec![
                map("One member".to_owned(), "loss of one member", &single),
                map("K to infinity".to_owned(), "asymptote in K", &limit),
            ]));
        }
    }
    if blocks.is_empty() {
        return Err(lack(NAME, "ensembles of two or more settings at one lr, K >= 3"));
    }
    let caption = "Losses over epochs and weight decay (nats per token): of one member, and the \
                   asymptotes of the laws in K, whose intervals are in the table of data. The \
                   lowest is boxed; N/A was not measured, `none` has no law.";
    let mut sheet = Sheet::new(NAME, "Settings for one member and for many", caption);
    sheet.blocks = blocks;
    Ok((sheet, findings))
}

fn asymptote_cell(
    scope: &Scope,
    set: &Members,
    place: &str,
    findings: &mut Vec<Finding>,
) -> HeatCell {
    let what = format!("{place}, {} epochs, wd {}, K to infinity", set.epochs, set.weight_decay);
    let records = set.records();
    match scope.k_law(set) {
        Ok(law) => {
            let (low, high) = super::laws::ends(law.claim().interval);
            findings.push(law.finding(what));
            HeatCell { value: law.asymptote(), low, high, text: None, records }
        }
        Err(why) => {
            findings.push(refused(what, why));
            let text = Some("none".to_owned());
            HeatCell { value: f64::NAN, low: None, high: None, text, records }
        }
    }
}

/// P3 (f): the law in K from the first half of the points, against all of them.
pub(super) fn first_half(scope: &Scope) -> Part {
    const NAME: &str = "members-first-half";
    let longest = scope.members.iter().max_by_key(|set| set.losses.len());
    let set = longest.filter(|set| set.losses.len() >= 5);
    let set = set.ok_or_else(|| lack(NAME, "an ensemble of a setting with K = 1 to 5 or more"))?;
    let half = (set.losses.len() / 2).max(4);
    let k_scale = Scale::logarithmic("members K").with_ticks(k_ticks(scope));
    let mut panel = Panel::new("", k_scale, scope.loss_scale());
    let mut findings = Vec::new();
    let parts = [
        (half, Paint::Gold, format!("first {half}")),
        (set.losses.len(), Paint::Blue, format!("all {}", set.losses.len())),
    ];
    for (count, paint, name) in parts {
        match scope.first_k_law(set, count) {
            Ok(law) => {
                let label = Label::Legend(format!("{name}: {}", law.text()));
                panel.laws.push(law.layer(
                    paint,
                    label,
                    3.0 * set.losses.len() as f64 / count as f64,
                ));
                findings.push(law.finding(format!("law in K of the {name} points")));
            }
            Err(why) => findings.push(refused(format!("law in K of the {name} points"), why)),
        }
    }
    let mut series = Series::new("measured", Paint::Ink, Shape::Circle, drawn(&set.losses));
    series.label = Label::None;
    panel.series.push(series);
    let caption = format!(
        "Ensembles of {} at D = {} ({}): the law in K from the first {half} points against the one \
         from all. {}",
        scope.size_name(set.n),
        amount(set.d),
        set.text(),
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Does the first half foretell the rest?", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}
