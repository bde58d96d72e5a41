//! Draws a panel.

use super::axis::{Axis, Tick};
use super::legend::{Entry, Sample};
use super::panel::{
    Arrow, Label, LawCurve, Line, Panel, Point, Scale, Series, Swath, Ticks, stroke,
};
use super::space::{self, Box4, Crowd, Place, Wish};
use super::{LABEL_SIZE, SMALL_SIZE};
use crate::draw::font;
use crate::draw::palette::Paint;
use crate::draw::svg::{Anchor, Scene, Stroke, TextStyle};
use crate::number::{amount, with_true_minus};

const LINE: f64 = 17.0;
/// Between a tick label and the plot.
const TICK_GAP: f64 = 6.0;
const TICK_SPACING: f64 = 30.0;
const MINOR_LENGTH: f64 = 3.0;
const MAJOR_LENGTH: f64 = 5.0;
const BAND_OPACITY: f64 = 0.16;
/// Levels farther from the data than this many times their range are not drawn but said.
const LEVEL_REACH: f64 = 1.6;
/// A label whose best place costs more than this is in the legend; see [`space`].
const LABEL_COST_MAX: f64 = 24.0;
/// Room for the numbers of the second axis.
const RIGHT_WIDTH: f64 = 46.0;

/// Both axes of a panel and the plot's frame.
pub(super) struct Frame {
    x: Axis,
    y: Axis,
    plot: Box4,
}

fn style(paint: Paint, anchor: Anchor) -> TextStyle {
    TextStyle { size: SMALL_SIZE, paint, anchor, halo: false }
}

/// Height of everything but the plot itself.
fn head_height(panel: &Panel) -> f64 {
    let title = if panel.title.is_empty() { 0.0 } else { LINE };
    title + LINE + 2.0
}

/// Height of the whole panel.
pub(super) fn height(panel: &Panel) -> f64 {
    head_height(panel) + panel.height + 2.0 * LINE + 4.0
}

/// Draws a panel between `left` and `right` from `top` downwards; what found no room for its label
/// is returned for the legend.
pub(super) fn draw(
    scene: &mut Scene,
    panel: &Panel,
    (left, right): (f64, f64),
    top: f64,
) -> Vec<Entry> {
    let mut line = top + LABEL_SIZE * font::CAP_HEIGHT;
    if !panel.title.is_empty() {
        let heading = TextStyle { size: LABEL_SIZE, ..style(Paint::Ink, Anchor::Start) };
        scene.text((left, line), font::fit(&panel.title, LABEL_SIZE, right - left), heading);
        line += LINE;
    }
    let half = (right - left) / 2.0 - 6.0;
    let room = if panel.right.is_some() { half } else { right - left };
    let name = font::fit(&panel.y.name, SMALL_SIZE, room);
    scene.text((left, line), name, style(Paint::Muted, Anchor::Start));
    let plot_top = top + head_height(panel);
    let frame = frame(panel, (left, right), plot_top);
    draw_axes(scene, panel, &frame, (left, right));
    if let Some(axis) = &panel.right {
        let name = font::fit(&axis.name, SMALL_SIZE, half);
        scene.text((right, line), name, style(Paint::Muted, Anchor::End));
        draw_right(scene, panel, &frame);
    }
    draw_laws(scene, panel, &frame);
    for upright in &panel.uprights {
        let x = frame.x.place(upright.x);
        let ends = ((x, frame.plot[1]), (x, frame.plot[3]));
        scene.line(ends.0, ends.1, Stroke::dashed(Paint::Muted, 1.0));
    }
    draw_series(scene, panel, &frame);
    for arrow in &panel.arrows {
        draw_arrow(scene, &frame, arrow);
    }
    draw_labels(scene, panel, &frame)
}

fn frame(panel: &Panel, (left, right): (f64, f64), top: f64) -> Frame {
    let bottom = top + panel.height;
    let (x_range, y_range) = ranges(panel);
    let axis = |scale: &Scale, (low, high): (f64, f64), from, to| match scale.logarithmic {
        true => Axis::logarithmic(low, high, from, to),
        false => Axis::linear(low, high, 0.05, from, to),
    };
    let y = axis(&panel.y, y_range, bottom, top);
    let widest = y_ticks(&panel.y, &y)
        .iter()
        .map(|(_, label)| font::text_width(&with_true_minus(label), SMALL_SIZE))
        .fold(0.0, f64::max);
    let plot_left = left + (widest + TICK_GAP).min((right - left) / 3.0);
    let plot_right = right - if panel.right.is_some() { RIGHT_WIDTH } else { 2.0 };
    let x = axis(&panel.x, x_range, plot_left, plot_right);
    Frame { x, y, plot: [plot_left, top, plot_right, bottom] }
}

/// The ranges of both axes: everything measured, laws between, levels that are not far away.
fn ranges(panel: &Panel) -> ((f64, f64), (f64, f64)) {
    let widen = |range: &mut (f64, f64), value: f64| {
        *range = (range.0.min(value), range.1.max(value));
    };
    let none = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut x, mut y) = (none, none);
    for point in panel.series.iter().flat_map(|series| panel.points(series)) {
        widen(&mut x, point.x);
        let (low, high) = point.ends().unwrap_or_default();
        let ends = [low, high].into_iter().flatten();
        ends.filter(|&end| panel.y.can_show(end)).for_each(|end| widen(&mut y, end));
        widen(&mut y, point.y);
    }
    let asked = |scale: &Scale| -> Vec<f64> {
        scale.include.iter().copied().filter(|&value| scale.can_show(value)).collect()
    };
    asked(&panel.x).into_iter().for_each(|value| widen(&mut x, value));
    asked(&panel.y).into_iter().for_each(|value| widen(&mut y, value));
    for upright in panel.uprights.iter().filter(|upright| panel.x.can_show(upright.x)) {
        widen(&mut x, upright.x);
    }
    for arrow in &panel.arrows {
        for place in [arrow.from, arrow.to].into_iter().filter(|&place| panel.can_show(place)) {
            widen(&mut x, place.0);
            widen(&mut y, place.1);
        }
    }
    let laws = || panel.laws.iter().flat_map(|law| &law.points);
    for swath in laws().filter(|swath| panel.can_show((swath.x, swath.y))) {
        if x.0 > x.1 || panel.series.is_empty() {
            widen(&mut x, swath.x);
        }
        if swath.x >= x.0 && swath.x <= x.1 {
            widen(&mut y, swath.y);
        }
    }
    let reach = LEVEL_REACH * (y.1 - y.0).max(0.02 * y.1.abs());
    let (low, high) = (y.0 - reach, y.1 + reach);
    for level in panel.levels.iter().filter(|level| panel.y.can_show(level.y)) {
        if y.0 > y.1 || (level.y >= low && level.y <= high) {
            widen(&mut y, level.y);
        }
    }
    let or_unit = |range: (f64, f64)| if range.0 <= range.1 { range } else { (1.0, 2.0) };
    (or_unit(x), or_unit(y))
}

fn y_ticks(scale: &Scale, axis: &Axis) -> Vec<Tick> {
    match &scale.ticks {
        Ticks::At(ticks) => {
            let shown =
                ticks.iter().filter(|(value, _)| scale.can_show(*value) && axis.holds(*value));
            apart(shown.cloned().collect(), |tick| (axis.place(tick.0), SMALL_SIZE))
        }
        _ => axis.ticks_apart(TICK_SPACING),
    }
}

/// Ticks in their order, without those that come too near to one before.
fn apart(ticks: Vec<Tick>, extent: impl Fn(&Tick) -> (f64, f64)) -> Vec<Tick> {
    let mut kept: Vec<Tick> = Vec::new();
    for tick in ticks {
        let (place, width) = extent(&tick);
        let free = |other: &Tick| {
            let (other_place, other_width) = extent(other);
            (place - other_place).abs() >= (width + other_width) / 2.0 + 5.0
        };
        if kept.iter().all(free) {
            kept.push(tick);
        }
    }
    kept
}

fn x_ticks(scale: &Scale, axis: &Axis) -> Vec<Tick> {
    let ticks = match &scale.ticks {
        Ticks::Round => axis.ticks_for_labels(SMALL_SIZE),
        Ticks::Short if axis.is_logarithmic() => axis.logarithmic_ticks(SMALL_SIZE, amount),
        Ticks::Short => {
            let short = |(value, _): Tick| (value, amount(value));
            axis.linear_ticks_for_labels(SMALL_SIZE).into_iter().map(short).collect()
        }
        Ticks::At(ticks) => {
            let shown =
                ticks.iter().filter(|(value, _)| scale.can_show(*value) && axis.holds(*value));
            shown.cloned().collect()
        }
    };
    let ticks = ticks.into_iter().map(|(value, label)| (value, with_true_minus(&label))).collect();
    apart(ticks, |tick| (axis.place(tick.0), font::text_width(&tick.1, SMALL_SIZE)))
}

fn draw_axes(scene: &mut Scene, panel: &Panel, frame: &Frame, (left, right): (f64, f64)) {
    let [plot_left, top, plot_right, bottom] = frame.plot;
    for (value, label) in y_ticks(&panel.y, &frame.y) {
        let y = frame.y.place(value);
        scene.line((plot_left, y), (plot_right, y), Stroke::solid(Paint::Grid, 0.8));
        let label = font::fit(&with_true_minus(&label), SMALL_SIZE, plot_left - left - TICK_GAP);
        scene.text_beside((plot_left - TICK_GAP, y), label, style(Paint::Muted, Anchor::End));
    }
    let mut tick = |from: (f64, f64), to: (f64, f64), width| {
        scene.line(from, to, Stroke::solid(Paint::Muted, width));
    };
    for value in frame.y.minor_ticks(90.0) {
        let y = frame.y.place(value);
        tick((plot_left, y), (plot_left + MINOR_LENGTH, y), 0.6);
    }
    if !matches!(panel.x.ticks, Ticks::At(_)) {
        for value in frame.x.minor_ticks(60.0) {
            let x = frame.x.place(value);
            tick((x, bottom), (x, bottom - MINOR_LENGTH), 0.6);
        }
    }
    let ticks = x_ticks(&panel.x, &frame.x);
    for (value, _) in &ticks {
        let x = frame.x.place(*value);
        tick((x, bottom), (x, bottom - MAJOR_LENGTH), 0.8);
    }
    tick((plot_left, bottom), (plot_right, bottom), 0.8);
    tick((plot_left, top), (plot_left, bottom), 0.8);
    for (value, label) in ticks {
        let half = font::text_width(&label, SMALL_SIZE) / 2.0;
        // A label at an end of the axis stays within its panel.
        let x = frame.x.place(value).clamp(left + half, (right - half).max(left + half));
        scene.text((x, bottom + 14.0), label, style(Paint::Muted, Anchor::Middle));
    }
    let name = font::fit(&panel.x.name, SMALL_SIZE, right - left);
    let half = font::text_width(&name, SMALL_SIZE) / 2.0;
    let center =
        ((plot_left + plot_right) / 2.0).clamp(left + half, (right - half).max(left + half));
    scene.text((center, bottom + 14.0 + LINE), name, style(Paint::Muted, Anchor::Middle));
}

/// The second axis: ticks at given heights, their texts pushed apart.
fn draw_right(scene: &mut Scene, panel: &Panel, frame: &Frame) {
    let Some(axis) = &panel.right else { return };
    let [_, top, right, bottom] = frame.plot;
    let mut ticks: Vec<(f64, &super::panel::RightTick)> = axis
        .ticks
        .iter()
        .filter(|tick| panel.y.can_show(tick.y) && frame.y.holds(tick.y))
        .map(|tick| (frame.y.place(tick.y), tick))
        .collect();
    ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
    let spacing = SMALL_SIZE * 1.2;
    ticks.truncate(((bottom - top) / spacing) as usize);
    let mut places: Vec<f64> = ticks.iter().map(|(place, _)| *place).collect();
    for index in 1..places.len() {
        places[index] = places[index].max(places[index - 1] + spacing);
    }
    let mut limit = bottom;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - spacing;
    }
    for ((at, tick), place) in ticks.iter().zip(places) {
        let stroke = Stroke::solid(tick.paint, 1.6);
        scene.path(vec![(right, *at), (right + 4.0, *at), (right + 8.0, place)], stroke);
        let text = font::fit(&tick.text, SMALL_SIZE, RIGHT_WIDTH - 10.0);
        scene.text_beside((right + 10.0, place), text, style(Paint::Ink, Anchor::Start));
    }
    scene.line((right, top), (right, bottom), Stroke::solid(Paint::Muted, 0.8));
}

/// Bands, levels and curves; the bands lie below all lines.
fn draw_laws(scene: &mut Scene, panel: &Panel, frame: &Frame) {
    let [left, top, right, bottom] = frame.plot;
    let height = |value: f64| frame.y.place(value).clamp(top, bottom);
    for level in panel.levels.iter().filter(|level| level.band) {
        let low = level.low.filter(|&low| panel.y.can_show(low)).map_or(bottom, height);
        let high = level.high.filter(|&high| panel.y.can_show(high)).map_or(top, height);
        if low - high > 0.5 {
            let area = vec![(left, high), (right, high), (right, low), (left, low)];
            scene.veil(area, level.paint, BAND_OPACITY * 0.7);
        }
    }
    for law in panel.laws.iter().filter(|law| law.band) {
        let end = |value: Option<f64>, open: f64| {
            value.filter(|&value| panel.y.can_show(value)).map_or(open, height)
        };
        let edge = |end: &dyn Fn(&Swath) -> f64| {
            let shown = law.points.iter().filter(|swath| panel.x.can_show(swath.x));
            let places: Vec<(f64, f64)> = shown.map(|s| (frame.x.place(s.x), end(s))).collect();
            let parts = clipped(&places, &[left, top - 1.0, right, bottom + 1.0]);
            parts.into_iter().flatten().collect::<Vec<(f64, f64)>>()
        };
        let mut outline = edge(&|swath| end(swath.high, top));
        let lower = edge(&|swath| end(swath.low, bottom));
        if lower.len() > 1 {
            outline.extend(lower.into_iter().rev());
            // Many bands on top of each other would hide the points.
            let opacity = if panel.laws.len() > 2 { 0.6 * BAND_OPACITY } else { BAND_OPACITY };
            scene.veil(outline, law.paint, opacity);
        }
    }
    for level in &panel.levels {
        if panel.y.can_show(level.y) && frame.y.holds(level.y) {
            let y = frame.y.place(level.y);
            scene.line((left, y), (right, y), stroke(level.paint, level.line));
        }
    }
    for law in &panel.laws {
        for path in law_paths(panel, frame, law) {
            scene.path(path, stroke(law.paint, Line::Dashed));
        }
    }
}

fn law_paths(panel: &Panel, frame: &Frame, law: &LawCurve) -> Vec<Vec<(f64, f64)>> {
    let shown = law.points.iter().filter(|swath| panel.can_show((swath.x, swath.y)));
    let places: Vec<(f64, f64)> =
        shown.map(|swath| (frame.x.place(swath.x), frame.y.place(swath.y))).collect();
    clipped(&places, &frame.plot)
}

fn series_places(panel: &Panel, frame: &Frame, series: &Series) -> Vec<(f64, f64)> {
    let points = panel.points(series);
    points.map(|point| (frame.x.place(point.x), frame.y.place(point.y))).collect()
}

fn draw_series(scene: &mut Scene, panel: &Panel, frame: &Frame) {
    for series in &panel.series {
        let Some(line) = series.line else { continue };
        for path in clipped(&series_places(panel, frame, series), &frame.plot) {
            scene.path(path, stroke(series.paint, line));
        }
    }
    for series in panel.series.iter().filter(|series| series.marked) {
        for point in panel.points(series) {
            if let Some((from, to)) = bar(panel, frame, point) {
                scene.line(from, to, Stroke::solid(series.paint, 1.4));
            }
        }
    }
    for series in panel.series.iter().filter(|series| series.marked) {
        for point in panel.points(series) {
            let center = (frame.x.place(point.x), frame.y.place(point.y));
            series.shape.draw(scene, center, series.paint, point.hollow);
            scene.spot(center, point.in_words(&series.name, &panel.y.name), &point.records);
            if point.ring {
                let ring = (0..=24).map(|step| {
                    let angle = std::f64::consts::TAU * f64::from(step) / 24.0;
                    (center.0 + 8.0 * libm::cos(angle), center.1 + 8.0 * libm::sin(angle))
                });
                scene.path(ring.collect(), Stroke::solid(Paint::Muted, 1.2));
            }
        }
    }
}

/// Both ends of a point's error bar; an open end reaches the frame.
fn bar(panel: &Panel, frame: &Frame, point: &Point) -> Option<((f64, f64), (f64, f64))> {
    let (low, high) = point.ends()?;
    let x = frame.x.place(point.x);
    let place = |end: Option<f64>, open: f64| match end.filter(|&end| panel.y.can_show(end)) {
        Some(end) => frame.y.place(end).clamp(frame.plot[1], frame.plot[3]),
        None => open,
    };
    Some(((x, place(low, frame.plot[3])), (x, place(high, frame.plot[1]))))
}

fn draw_arrow(scene: &mut Scene, frame: &Frame, arrow: &Arrow) {
    let place = |(x, y): (f64, f64)| (frame.x.place(x), frame.y.place(y));
    let (from, to) = (place(arrow.from), place(arrow.to));
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy);
    if !length.is_finite() || length < 14.0 {
        return;
    }
    let (dx, dy) = (dx / length, dy / length);
    // Head and tail keep off the marks.
    let (from, to) = ((from.0 + 7.0 * dx, from.1 + 7.0 * dy), (to.0 - 7.0 * dx, to.1 - 7.0 * dy));
    scene.line(from, to, Stroke::solid(arrow.paint, 1.4));
    let back = (to.0 - 6.0 * dx, to.1 - 6.0 * dy);
    let wings = [(back.0 - 3.0 * dy, back.1 + 3.0 * dx), (back.0 + 3.0 * dy, back.1 - 3.0 * dx)];
    scene.polygon(vec![to, wings[0], wings[1]], arrow.paint, None);
}

/// What wants a label, and what is in the way of it.
#[derive(Default)]
struct Wanted {
    wishes: Vec<Wish>,
    /// For the legend, in the order of the wishes.
    entries: Vec<Entry>,
    /// What stands in the legend in any case.
    legend: Vec<Entry>,
    curves: Vec<Vec<(f64, f64)>>,
    marks: Vec<(usize, (f64, f64))>,
    owners: usize,
}

impl Wanted {
    fn ask(&mut self, label: &Label, sample: Sample, anchors: Vec<(f64, f64)>) {
        match label {
            Label::None => {}
            Label::Direct(text) if !anchors.is_empty() => {
                self.entries.push(Entry { sample, text: text.clone() });
                self.wishes.push(Wish { text: text.clone(), anchors, owner: self.owners });
            }
            Label::Direct(text) | Label::Legend(text) => {
                self.legend.push(Entry { sample, text: text.clone() });
            }
        }
        self.owners += 1;
    }
}

/// Labels beside what they name; those without room go to the legend.
fn draw_labels(scene: &mut Scene, panel: &Panel, frame: &Frame) -> Vec<Entry> {
    let mut wanted = Wanted::default();
    for series in &panel.series {
        let places = series_places(panel, frame, series);
        let hollow = !series.points.is_empty() && series.points.iter().all(|point| point.hollow);
        let sample = match (series.marked, series.line) {
            (true, Some(line)) => Sample::Both(series.paint, series.shape, line),
            (true, None) => Sample::Mark(series.paint, series.shape, hollow),
            (false, line) => Sample::Stroke(series.paint, line.unwrap_or(Line::Solid)),
        };
        if series.line.is_some() {
            wanted.curves.extend(clipped(&places, &frame.plot));
        }
        if series.marked {
            let owner = wanted.owners;
            wanted.marks.extend(places.iter().map(|&place| (owner, place)));
            let bars = panel.points(series).filter_map(|point| bar(panel, frame, point));
            wanted.curves.extend(bars.map(|(from, to)| vec![from, to]));
        }
        // A course is named where it ends: before that, courses lie on each other.
        let last = places.len().saturating_sub(1);
        let named = if series.marked { anchors(&places) } else { places[last..].to_vec() };
        if !places.is_empty() {
            wanted.ask(&series.label, sample, named);
        }
    }
    for law in &panel.laws {
        let own = law_paths(panel, frame, law);
        let all: Vec<(f64, f64)> = own.iter().flatten().copied().collect();
        wanted.ask(&law.label, Sample::Stroke(law.paint, Line::Dashed), anchors(&all));
        wanted.curves.extend(own);
    }
    ask_lines(panel, frame, &mut wanted);
    for arrow in &panel.arrows {
        let ends = [arrow.from, arrow.to].map(|(x, y)| (frame.x.place(x), frame.y.place(y)));
        wanted.curves.extend(clipped(&ends, &frame.plot));
    }
    let mut legend = write_labels(scene, wanted, frame);
    // A law in the legend shows the marks of its points, too, and names them.
    for series in &panel.series {
        let beginning = format!("{}: ", series.name);
        let mut named = false;
        for entry in legend.iter_mut().filter(|entry| entry.text.starts_with(&beginning)) {
            entry.sample = Sample::Both(series.paint, series.shape, Line::Dashed);
            named = true;
        }
        legend.retain(|entry| !named || entry.text != series.name);
    }
    legend
}

/// Labels of horizontal and vertical lines.
fn ask_lines(panel: &Panel, frame: &Frame, wanted: &mut Wanted) {
    let [left, top, right, bottom] = frame.plot;
    for level in &panel.levels {
        let shown = panel.y.can_show(level.y) && frame.y.holds(level.y);
        let y = if shown { frame.y.place(level.y) } else { f64::NAN };
        let shares = [0.75, 0.25, 0.5, 0.97, 0.03, 0.12, 0.4, 0.6, 0.88];
        let places = shares.map(|share| (left + share * (right - left), y));
        let places = if shown { places.to_vec() } else { Vec::new() };
        wanted.ask(&level.label, Sample::Stroke(level.paint, level.line), places);
        if shown {
            wanted.curves.push(vec![(left, y), (right, y)]);
        }
    }
    for upright in panel.uprights.iter().filter(|upright| panel.x.can_show(upright.x)) {
        let x = frame.x.place(upright.x);
        let places = [0.1, 0.3, 0.6, 0.9].map(|share| (x, top + share * (bottom - top)));
        let sample = Sample::Stroke(Paint::Muted, Line::Dashed);
        wanted.ask(&Label::Direct(upright.label.clone()), sample, places.to_vec());
        wanted.curves.push(vec![(x, top), (x, bottom)]);
    }
}

fn write_labels(scene: &mut Scene, wanted: Wanted, frame: &Frame) -> Vec<Entry> {
    let Wanted { wishes, entries, mut legend, curves, marks, .. } = wanted;
    let [left, top, right, bottom] = frame.plot;
    // Labels keep off the axes.
    let inner = [left + 3.0, top, right, bottom - MAJOR_LENGTH];
    let crowd = Crowd { curves: &curves, marks: &marks, frame: &inner, cost_max: LABEL_COST_MAX };
    let places = space::place(&wishes, SMALL_SIZE, crowd);
    for Place { area, anchor } in places.iter().flatten() {
        if space::distance(area, *anchor) > space::LEADER_FROM {
            scene.line(*anchor, space::nearest(area, *anchor), Stroke::solid(Paint::Muted, 0.8));
        }
    }
    let halo = TextStyle { halo: true, ..style(Paint::Ink, Anchor::Start) };
    for ((wish, entry), place) in wishes.into_iter().zip(entries).zip(places) {
        match place {
            Some(Place { area, .. }) => {
                scene.text_beside((area[0], (area[1] + area[3]) / 2.0), wish.text, halo);
            }
            None => legend.push(entry),
        }
    }
    legend
}

/// Where a label of these places may stand: at the end, the beginning, and between.
fn anchors(places: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if places.is_empty() {
        return Vec::new();
    }
    let last = places.len() - 1;
    let mut indices = vec![last, 0, last / 2, last / 4, 3 * last / 4];
    let mut seen = std::collections::BTreeSet::new();
    indices.retain(|&index| seen.insert(index));
    indices.into_iter().map(|index| places[index]).collect()
}

/// The parts of a path within a box.
fn clipped(path: &[(f64, f64)], area: &Box4) -> Vec<Vec<(f64, f64)>> {
    let mut parts: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut current: Vec<(f64, f64)> = Vec::new();
    for pair in path.windows(2) {
        match segment(pair[0], pair[1], area) {
            Some((from, to)) => {
                if current.last().is_none_or(|end| distance(*end, from) > 1e-6) {
                    parts.push(std::mem::take(&mut current));
                    current.push(from);
                }
                current.push(to);
            }
            None => parts.push(std::mem::take(&mut current)),
        }
    }
    parts.push(current);
    parts.retain(|part| part.len() > 1);
    parts
}

fn distance(a: (f64, f64), b: (f64, f64)) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

/// The part of a straight line within a box (Liang and Barsky 1984).
fn segment(
    from: (f64, f64),
    to: (f64, f64),
    [left, top, right, bottom]: &Box4,
) -> Option<((f64, f64), (f64, f64))> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut start, mut end) = (0.0_f64, 1.0_f64);
    let sides =
        [(-dx, from.0 - left), (dx, right - from.0), (-dy, from.1 - top), (dy, bottom - from.1)];
    for (direction, room) in sides {
        if direction.abs() < 1e-12 {
            if room < 0.0 {
                return None;
            }
        } else if direction < 0.0 {
            start = start.max(room / direction);
        } else {
            end = end.min(room / direction);
        }
    }
    let at = |share: f64| (from.0 + share * dx, from.1 + share * dy);
    (start <= end).then(|| (at(start), at(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_at_the_frame() {
        let area = [0.0, 0.0, 10.0, 10.0];
        let parts =
            clipped(&[(-5.0, 5.0), (5.0, 5.0), (5.0, 20.0), (8.0, 20.0), (8.0, 5.0)], &area);
        let expected =
            vec![vec![(0.0, 5.0), (5.0, 5.0), (5.0, 10.0)], vec![(8.0, 10.0), (8.0, 5.0)]];
        assert_eq!(parts, expected);
        assert!(clipped(&[(20.0, 0.0), (30.0, 5.0)], &area).is_empty());
    }
}
