//! What chance does: laws refitted with other seeds (P1 g), the spread over seeds (P1 h), and
//! ensembles whose members differ in one seed only (P4).

use std::collections::BTreeMap;

use super::laws::add_with_law;
use super::scope::{drawn, lack};
use super::{Finding, Part};
use crate::analysis::{Measured, Run, Scope, Setting, deviation};
use crate::draw::chart::{
    Block, Datum, Grid, Label, Level, Line, Panel, Point, Scale, Series, Shape, Sheet,
};
use crate::draw::palette::Paint;
use crate::draw::table::{Align, Table};
use crate::number::amount;

/// P1 (g): the law in N from the first seed of every size, from the second, and so on. A seed is
/// taken within the tuned setting of its size and never across settings (B14).
pub(super) fn sensitivity(scope: &Scope) -> Part {
    const NAME: &str = "seed-sensitivity";
    let needs =
        || lack(NAME, "the tuned setting of four or more sizes with two or more seeds each");
    let d = scope.budget().ok_or_else(needs)?;
    let tuned = scope.regularized(d);
    let seeds = tuned.iter().map(|setting| setting.runs.len()).min().unwrap_or(0);
    if tuned.len() < 4 || seeds < 2 {
        return Err(needs());
    }
    let mut panel = Panel::new("", scope.n_scale(), scope.loss_scale());
    let mut findings = Vec::new();
    let mut asymptotes = Vec::new();
    for seed in 0..seeds.min(5) {
        let (losses, law) = scope.law_of_seed(d, seed);
        let paint =
            [Paint::Purple, Paint::Blue, Paint::Green, Paint::Gold, Paint::Vermillion][seed];
        let name = format!("seed {}", seed + 1);
        let mut series = Series::new(name.clone(), paint, Shape::numbered(seed), drawn(&losses));
        if let Ok(law) = &law {
            asymptotes.push(law.asymptote());
            series.label = Label::None;
        }
        let what = format!("{name}, N to infinity");
        findings.push(add_with_law(&mut panel, what, (series, &law), 2.5));
    }
    // The bands of several seeds would cover each other.
    panel.laws.iter_mut().for_each(|law| law.band = false);
    if let Some(spread) = deviation(&asymptotes) {
        let range = asymptotes.iter().copied().fold(f64::NEG_INFINITY, f64::max)
            - asymptotes.iter().copied().fold(f64::INFINITY, f64::min);
        let text = format!("{range:.4} from lowest to highest, standard deviation {spread:.4}");
        findings.push(Finding::text("asymptote over seeds", text));
    }
    let caption = format!(
        "The law in N at D = {} fitted to one seed of each size at a time; runs of a size have \
         equal settings. {}",
        amount(d),
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "The law in parameters with other seeds", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}

/// What differs between the runs of a setting.
fn family(runs: &[&Run]) -> &'static str {
    let distinct = |seed: fn(&Run) -> Option<u64>| {
        let mut seeds: Vec<Option<u64>> = runs.iter().map(|run| seed(run)).collect();
        seeds.sort_unstable();
        seeds.dedup();
        seeds.len()
    };
    match (distinct(|run| run.seeds.init) > 1, distinct(|run| run.seeds.order) > 1) {
        (true, true) => "both seeds",
        (true, false) => "init only",
        (false, true) => "order only",
        (false, false) => "unknown",
    }
}

/// The spread of a setting's losses over its seeds.
struct Spread {
    /// Standard deviation with n - 1.
    deviation: f64,
    seeds: usize,
    kind: &'static str,
    point: Point,
    row: [String; 6],
    data: [Datum; 3],
}

impl Spread {
    fn of(scope: &Scope, setting: &Setting) -> Option<Self> {
        let losses = setting.losses();
        let deviation = deviation(&losses)?;
        let count = losses.len() as f64;
        let kind = family(&setting.runs);
        let (size, d) = (scope.size_name(setting.n), amount(setting.d));
        let row = [
            size.clone(),
            d.clone(),
            format!("{} / {} / {}", setting.epochs, setting.lr, setting.weight_decay),
            kind.to_owned(),
            losses.len().to_string(),
            format!("{deviation:.4}"),
        ];
        let datum = |what: &str, value: f64| Datum {
            series: format!("{size}, D = {d}, {}, {kind}", setting.text()),
            kind: "text",
            y_name: what.to_owned(),
            y: Some(value),
            records: setting.records(),
            ..Datum::default()
        };
        let population = deviation * ((count - 1.0) / count).sqrt();
        let data = [
            datum("standard deviation (n - 1)", deviation),
            datum("standard deviation (n), the paper's", population),
            datum("seeds", count),
        ];
        let records = setting.records();
        let point = Point { x: setting.n, y: deviation, records, ..Point::default() };
        Some(Self { deviation, seeds: losses.len(), kind, point, row, data })
    }
}

/// P1 (h): the spread of single losses over seeds.
pub(super) fn spread(scope: &Scope) -> Part {
    const NAME: &str = "seed-spread";
    let mut spreads: Vec<Spread> =
        scope.settings.iter().filter_map(|setting| Spread::of(scope, setting)).collect();
    spreads.sort_by_key(|spread| std::cmp::Reverse(spread.seeds));
    if spreads.is_empty() {
        return Err(lack(NAME, "settings with two or more seeds"));
    }
    let degrees: usize = spreads.iter().map(|spread| spread.seeds - 1).sum();
    let square = |spread: &Spread| spread.deviation.powi(2) * (spread.seeds as f64 - 1.0);
    let squares = spreads.iter().fold(0.0, |sum, spread| sum + square(spread));
    let pooled = (squares / degrees as f64).sqrt();
    let text = format!("{pooled:.4} nats per token with {degrees} degrees of freedom");
    let mut table = Table::new(&[
        ("size", Align::Left),
        ("D", Align::Left),
        ("epochs / lr / wd", Align::Left),
        ("differ in", Align::Left),
        ("seeds", Align::Right),
        ("sd", Align::Right),
    ]);
    let mut data = Vec::new();
    let mut points: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    for spread in spreads {
        table.push(spread.row);
        data.extend(spread.data);
        points.entry(spread.kind).or_default().push(spread.point);
    }
    let y = Scale::linear("standard deviation over seeds (nats per token)");
    let mut panel = Panel::new("", scope.n_scale(), y);
    panel.y.include = vec![0.0];
    for (index, (kind, points)) in points.into_iter().enumerate() {
        let paint = [Paint::Blue, Paint::Vermillion, Paint::Green, Paint::Purple][index % 4];
        panel.series.push(Series::new(kind, paint, Shape::numbered(index), points));
    }
    let caption = format!(
        "Standard deviation of single losses over seeds, all else equal; the paper's, which \
         divides by n and not by n - 1, is in the table of data. Pooled: {text}."
    );
    let findings = vec![Finding::text("standard deviation over seeds, pooled", text)];
    let mut sheet = Sheet::new(NAME, "What a seed changes", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    sheet.blocks.push(Block::Table(String::new(), Grid { table, data }));
    Ok((sheet, findings))
}

/// The tag of the reference's seed study.
const SEED_STUDY: &str = "seed-science-8-7";

/// Ensembles over K of a seed family.
fn family_losses(runs: &[Run], family: &str) -> Vec<Measured> {
    let mut by_k: BTreeMap<u32, Vec<&Run>> = BTreeMap::new();
    for run in runs {
        let member = run.seed_families.iter().any(|own| own == family);
        if member && run.loss.is_some() {
            by_k.entry(run.members()).or_default().push(run);
        }
    }
    // Of several settings the tagged one is meant; without tags, all are of one study.
    for runs in by_k.values_mut() {
        if runs.iter().any(|run| run.is_tagged(SEED_STUDY)) {
            runs.retain(|run| run.is_tagged(SEED_STUDY));
        }
    }
    by_k.iter().map(|(k, runs)| Measured::mean(f64::from(*k), runs)).collect()
}

/// P4: ensembles over K whose members differ in the init seed, in the order seed, or in both.
pub(super) fn families(scope: &Scope) -> Part {
    const NAME: &str = "seed-families";
    let k_scale = Scale::logarithmic("members K").with_ticks(super::asymptotes::k_ticks(scope));
    let mut panel = Panel::new("", k_scale, scope.loss_scale());
    let mut findings = Vec::new();
    let shown = [
        ("train", "init seed only", Paint::Blue, Shape::Circle),
        ("data", "order seed only", Paint::Gold, Shape::Triangle),
        ("both", "both seeds", Paint::Green, Shape::Square),
    ];
    let mut single: Option<Measured> = None;
    for (family, name, paint, shape) in shown {
        let losses = family_losses(&scope.runs.runs, family);
        if losses.is_empty() {
            continue;
        }
        single = single.or_else(|| losses.iter().find(|m| (m.x - 1.0).abs() < 0.5).cloned());
        let series = Series::new(name, paint, shape, drawn(&losses));
        let what = format!("{name}, K to infinity");
        let law = scope.k_law_of(name, &losses);
        findings.push(add_with_law(&mut panel, what, (series, &law), 2.0));
    }
    if panel.series.is_empty() {
        return Err(lack(
            NAME,
            "ensembles of one setting whose members differ in the init seed, the order seed, or \
             both",
        ));
    }
    let largest = panel.series.iter().flat_map(|series| &series.points).map(|p| p.x);
    let largest = largest.fold(1.0, f64::max);
    panel.x = panel.x.with_ticks(crate::draw::chart::Ticks::At(
        (1..=largest as u32).map(|k| (f64::from(k), k.to_string())).collect(),
    ));
    if let Some(single) = single {
        panel.levels.push(Level {
            name: "no seed differs".to_owned(),
            label: Label::Direct("no seed differs: equal members".to_owned()),
            y: single.loss,
            low: None,
            high: None,
            band: false,
            paint: Paint::Muted,
            line: Line::Solid,
            records: single.records,
        });
    }
    let caption = format!(
        "Ensembles of one setting whose members differ in one seed or in both. {}",
        scope.bars()
    );
    let mut sheet = Sheet::new(NAME, "Which seed makes an ensemble?", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}
