//! P1 (k): how a run with the usual weight decay and one with the tuned one go on. The tuned one
//! looks worse for most of the way (F5), which is why nothing here may prune.

use super::scope::lack;
use super::{Finding, Part};
use crate::analysis::{Moment, Run, Scope, Setting, same};
use crate::draw::chart::{Block, Line, Panel, Point, Scale, Series, Shape, Sheet, Ticks};
use crate::draw::palette::Paint;
use crate::number::amount;

/// A curve of more points than this looks the same.
const POINTS_MAX: usize = 400;
/// Share of a run after which losses must fit into the panel: the first steps start so high that
/// they would press everything else together.
const SHOWN_FROM: f64 = 0.1;

pub(super) fn trajectories(scope: &Scope) -> Part {
    const NAME: &str = "trajectories";
    let needs = || {
        lack(
            NAME,
            "the course of a run at the standard weight decay and of the tuned run of the same \
             size and budget",
        )
    };
    let with_course = |setting: &&Setting| course(setting).is_some();
    let mut found = None;
    // The largest size shows it best: small ones hardly overfit.
    for &d in &scope.budgets {
        for (n, _) in scope.sizes.iter().rev() {
            let all = || scope.settings.iter().filter(|s| same(s.n, *n) && same(s.d, d));
            let best = |standard: bool| {
                let own = all().filter(|s| scope.is_standard(s) == standard).filter(with_course);
                own.min_by(|a, b| a.loss().total_cmp(&b.loss()))
            };
            if let (None, Some(usual), Some(tuned)) = (&found, best(true), best(false)) {
                found = Some((usual, tuned));
            }
        }
    }
    let (usual, tuned) = found.ok_or_else(needs)?;
    let tokens =
        Scale::logarithmic("training tokens, repetitions counted").with_ticks(Ticks::Short);
    let mut train = Panel::new("Training loss", tokens.clone(), Scale::linear("nats per token"));
    let mut held = Panel::new("Held-out loss", tokens, Scale::linear("nats per token"));
    let mut paths = Vec::new();
    for (setting, paint) in [(usual, Paint::Vermillion), (tuned, Paint::Purple)] {
        let Some(run) = course(setting) else { continue };
        let name = format!("wd {}, {} epochs", setting.weight_decay, setting.epochs);
        let line = |value: fn(&Moment) -> Option<f64>| curve(&name, paint, run, value);
        train.series.push(line(|moment| moment.train_loss_nats));
        let of_held = line(|moment| moment.loss_nats);
        paths.push(of_held.points.clone());
        held.series.push(of_held);
    }
    train.height = 170.0;
    held.height = 190.0;
    let findings = vec![crossing(&paths, usual, tuned)];
    let caption = format!(
        "Course of {} at D = {}: the standard weight decay against the tuned one. The beginning of \
         a run, first {:.0} %, may leave the frame.",
        scope.size_name(usual.n),
        amount(usual.d),
        100.0 * SHOWN_FROM
    );
    let mut sheet = Sheet::new(NAME, "How weight decay changes the course of a run", caption);
    sheet.blocks.push(Block::Panels(vec![train]));
    sheet.blocks.push(Block::Panels(vec![held]));
    Ok((sheet, findings))
}

/// The first run of a setting that has a course.
fn course<'r>(setting: &Setting<'r>) -> Option<&'r Run> {
    let has = |run: &&&Run| run.trajectory.iter().filter(|m| m.loss_nats.is_some()).count() > 1;
    setting.runs.iter().find(has).copied()
}

fn curve(name: &str, paint: Paint, run: &Run, value: fn(&Moment) -> Option<f64>) -> Series {
    let records = vec![run.origin.id().to_owned()];
    let last = run.trajectory.iter().map(|moment| moment.tokens).fold(0.0, f64::max);
    let shown = run.trajectory.iter().filter_map(|m| Some((m.tokens, value(m)?)));
    let shown: Vec<(f64, f64)> = shown.filter(|(tokens, _)| *tokens >= SHOWN_FROM * last).collect();
    let every = shown.len().div_ceil(POINTS_MAX).max(1);
    let kept = shown.iter().enumerate().filter(|(i, _)| i % every == 0 || i + 1 == shown.len());
    let points =
        kept.map(|(_, &(x, y))| Point { x, y, records: records.clone(), ..Point::default() });
    let mut series = Series::new(name, paint, Shape::Circle, points.collect());
    series.line = Some(Line::Solid);
    series.marked = false;
    series
}

/// How long the tuned run lies above the usual one, as a share of its own course.
fn crossing(paths: &[Vec<Point>], usual: &Setting, tuned: &Setting) -> Finding {
    let what = format!("weight decay {} against {}", tuned.weight_decay, usual.weight_decay);
    let [usual, tuned] = paths else { return Finding::text(what, "no course") };
    let (Some(last), Some(end)) = (usual.last(), tuned.last()) else {
        return Finding::text(what, "no course");
    };
    let at = |tokens: f64| {
        let before = usual.iter().take_while(|point| point.x <= tokens).last();
        before.or(usual.first()).map_or(f64::NAN, |point| point.y)
    };
    let behind = tuned.iter().filter(|point| point.y > at(point.x)).map(|point| point.x);
    let text = match behind.fold(None, |_, x| Some(x)) {
        Some(x) => format!(
            "the held-out loss of the stronger decay lies above until {:.0} % of its run, and \
             ends {:.4} against {:.4}",
            100.0 * x / end.x,
            end.y,
            last.y
        ),
        None => format!(
            "the stronger decay lies below from the start: {:.4} against {:.4}",
            end.y, last.y
        ),
    };
    Finding::text(what, text)
}
