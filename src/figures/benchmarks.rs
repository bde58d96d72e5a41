//! P5: errors on benchmarks over all parameters of an ensemble.

use std::collections::BTreeMap;

use super::scope::{bar, lack};
use super::{Finding, Part};
use crate::analysis::{Run, Scope, same};
use crate::draw::chart::{Block, Line, Panel, Point, Scale, Series, Shape, Sheet};
use crate::draw::palette::Paint;
use crate::laws::{Doubt, LossError};
use crate::number::amount;

/// The mean of 1 - accuracy over a run's tasks, and its standard error: tasks are independent.
fn mean_error(run: &Run) -> Option<(f64, Option<LossError>)> {
    let count = run.accuracies.len() as f64;
    if run.accuracies.is_empty() {
        return None;
    }
    let sum = run.accuracies.values().fold(0.0, |sum, accuracy| sum + accuracy.share);
    let squares = run
        .accuracies
        .values()
        .map(|accuracy| accuracy.standard_error.map(|error| error * error))
        .try_fold(0.0, |sum, square| Some(sum + square?));
    let error = |squares: f64| LossError { nats: squares.sqrt() / count, over: Doubt::Tasks };
    Some((1.0 - sum / count, squares.map(error)))
}

pub(super) fn error_point(x: f64, run: &Run) -> Option<Point> {
    let (error, off) = mean_error(run)?;
    Some(Point {
        x,
        y: error,
        bar: off.map(bar),
        records: vec![run.origin.id().to_owned()],
        ..Point::default()
    })
}

/// The run with the lowest error of each size.
fn lowest<'r>(runs: impl Iterator<Item = &'r Run>) -> Vec<Point> {
    let mut best: BTreeMap<u64, Point> = BTreeMap::new();
    for run in runs {
        let Some(found) = run.parameters.and_then(|n| error_point(n, run)) else { continue };
        match best.get_mut(&found.x.to_bits()) {
            Some(known) if known.y <= found.y => {}
            _ => {
                best.insert(found.x.to_bits(), found);
            }
        }
    }
    best.into_values().collect()
}

/// Ensembles of each size over K, with their color.
fn ensembles(runs: &[Run]) -> Vec<(String, Paint, Vec<Point>)> {
    let mut ensembles: BTreeMap<u64, BTreeMap<u32, Point>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.ensemble.is_some() && run.taught.is_none()) {
        let Some(n) = run.parameters else { continue };
        let k = run.members();
        let Some(found) = error_point(n * f64::from(k), run) else { continue };
        ensembles.entry(n.to_bits()).or_default().entry(k).or_insert(found);
    }
    let paints = [Paint::Blue, Paint::Green, Paint::Sky, Paint::Gold];
    let series = |(index, (n, by_k)): (usize, (u64, BTreeMap<u32, Point>))| {
        let name = format!("ensembles of {}", amount(f64::from_bits(n)));
        (name, paints[index % 4], by_k.into_values().collect())
    };
    ensembles.into_iter().enumerate().map(series).collect()
}

/// What is drawn lowest.
fn lowest_error(panel: &Panel) -> Vec<Finding> {
    let all = panel.series.iter().flat_map(|series| series.points.iter().map(move |p| (series, p)));
    let best = all.min_by(|a, b| a.1.y.total_cmp(&b.1.y));
    let found = best.map(|(series, point)| {
        let bar = point.error().map_or_else(String::new, |error| format!(" ± {error:.4}"));
        let by = format!("by {} with {} parameters", series.name, amount(point.x));
        Finding::text("lowest mean error", format!("{:.4}{bar} {by}", point.y))
    });
    found.into_iter().collect()
}

pub(super) fn errors(scope: &Scope) -> Part {
    const NAME: &str = "benchmarks";
    let all = || scope.runs.runs.iter().filter(|run| !run.accuracies.is_empty());
    // An ensemble of one is a member: it counts among the ensembles, as in the reference.
    let singles = || all().filter(|run| run.is_plain());
    let is_standard = |run: &Run| {
        run.weight_decay.is_some_and(|decay| same(decay, scope.options.standard_weight_decay))
    };
    let x = Scale { name: "total parameters K x N".to_owned(), ..scope.n_scale() };
    let mut panel = Panel::new("", x, Scale::linear("mean error on the benchmarks"));
    panel.height = 240.0;
    let mut push = |name: &str, paint, shape, points: Vec<Point>| {
        if !points.is_empty() {
            let mut series = Series::new(name, paint, shape, points);
            series.line = Some(Line::Solid);
            panel.series.push(series);
        }
    };
    let standard = lowest(singles().filter(|run| is_standard(run)));
    let tuned = lowest(singles().filter(|run| !is_standard(run)));
    push("standard", Paint::Vermillion, Shape::Circle, standard);
    push("regularized", Paint::Purple, Shape::Circle, tuned);
    for (name, paint, points) in ensembles(&scope.runs.runs) {
        push(&name, paint, Shape::Triangle, points);
    }
    for (index, run) in all().filter(|run| run.taught.is_some()).enumerate() {
        let teacher = run.taught.as_ref().map_or("", |taught| &taught.teacher);
        let star = run.parameters.and_then(|n| error_point(n, run));
        push(
            &format!("student of {teacher}"),
            super::distillation::student_paint(index),
            Shape::Star,
            star.into_iter().collect(),
        );
    }
    if panel.series.is_empty() {
        return Err(lack(NAME, "benchmark results (JSON of the reference): `scarce import runs`"));
    }
    let mut tasks: Vec<&str> =
        all().flat_map(|run| run.accuracies.keys().map(String::as_str)).collect();
    tasks.sort_unstable();
    tasks.dedup();
    let findings = lowest_error(&panel);
    let caption = format!(
        "Mean of 1 - accuracy over {} (plain mean of the tasks). Bars: one standard error over \
         items. Lines only guide the eye.",
        tasks.join(", ")
    );
    let mut sheet = Sheet::new(NAME, "Errors on benchmarks", caption);
    sheet.blocks.push(Block::Panels(vec![panel]));
    Ok((sheet, findings))
}
