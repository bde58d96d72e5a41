//! The lower panel: validation loss during training, over a logarithmic axis of tokens.
//!
//! Every curve is labeled where it ends. A label tries places around that point, near ones first,
//! and takes the one that covers the fewest curves and no other label.

use super::super::font;
use super::super::number;
use super::super::palette::Paint;
use super::super::quickstart::Trajectory;
use super::super::svg::{Anchor, Scene, Stroke, TextStyle};
use super::axis::Axis;
use super::{MARGIN, SMALL_SIZE, TITLE_SIZE, WIDTH, mark, paint, text};

const PLOT_HEIGHT: f64 = 190.0;
const TICK_SPACING: f64 = 30.0;
const CURVE_WIDTH: f64 = 1.8;
const LABEL_WIDTH_MAX: f64 = 110.0;
const LABEL_HEIGHT: f64 = SMALL_SIZE * 1.15;

/// Share of a run after which its losses must fit into the panel: the first steps of training start
/// so high that they would press everything else together.
const SHOWN_FROM_SHARE: f64 = 0.25;

/// A label farther than this from the end of its curve gets a line that leads to it.
const LEADER_FROM: f64 = 14.0;

/// The plot: both axes and their ends in the picture.
struct Plot {
    x: Axis,
    y: Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

/// A box (left, top, right, bottom).
type Box4 = [f64; 4];

/// Draws the panel from `top` downwards and returns where it ends.
pub(super) fn draw(scene: &mut Scene, trajectories: &[Trajectory], top: f64) -> f64 {
    let curves: Vec<(&Trajectory, Vec<(f64, f64)>)> = trajectories
        .iter()
        .map(|trajectory| (trajectory, drawable(&trajectory.points)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let title_line = top + TITLE_SIZE * font::CAP_HEIGHT;
    let title = "Validation loss during training";
    scene.text((MARGIN, title_line), title, text(TITLE_SIZE, Paint::Ink, Anchor::Start));
    let unit_line = title_line + 18.0;
    let unit = "nats per token";
    scene.text((MARGIN, unit_line), unit, text(SMALL_SIZE, Paint::Muted, Anchor::Start));
    let plot = plot(&curves, unit_line + 8.0);
    draw_axes(scene, &plot);
    let paths: Vec<Vec<(f64, f64)>> =
        curves.iter().map(|(_, points)| clipped(points, &plot)).collect();
    for ((trajectory, _), path) in curves.iter().zip(&paths) {
        let stroke = Stroke::solid(paint(trajectory.family), CURVE_WIDTH);
        scene.path(path.clone(), stroke);
    }
    let ends: Vec<(f64, f64)> =
        paths.iter().map(|path| *path.last().expect("a clipped curve keeps its end")).collect();
    for ((trajectory, _), end) in curves.iter().zip(&ends) {
        mark(scene, *end, trajectory.family);
    }
    let labels: Vec<String> = curves
        .iter()
        .map(|(trajectory, _)| font::fit(&trajectory.label, SMALL_SIZE, LABEL_WIDTH_MAX))
        .collect();
    let places = place_labels(&labels, &ends, &paths, &plot);
    for (end, place) in ends.iter().zip(&places) {
        if distance(place, *end) > LEADER_FROM {
            scene.line(*end, nearest(place, *end), Stroke::solid(Paint::Muted, 0.8));
        }
    }
    let style = TextStyle { halo: true, ..text(SMALL_SIZE, Paint::Ink, Anchor::Start) };
    for (label, place) in labels.into_iter().zip(places) {
        scene.text_beside((place[0], (place[1] + place[3]) / 2.0), label, style);
    }
    plot.bottom + 36.0
}

/// Points that a logarithmic axis can show.
fn drawable(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let shown = |point: &&(f64, f64)| point.0 > 0.0 && point.0.is_finite() && point.1.is_finite();
    points.iter().filter(shown).copied().collect()
}

fn plot(curves: &[(&Trajectory, Vec<(f64, f64)>)], top: f64) -> Plot {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (_, points) in curves {
        let end = points[points.len() - 1].0;
        for &(tokens, loss) in points {
            low = low.min(loss);
            if tokens >= SHOWN_FROM_SHARE * end {
                high = high.max(loss);
            }
        }
    }
    let all = || curves.iter().flat_map(|(_, points)| points);
    let shown = || all().filter(|point| point.1 <= high).map(|point| point.0);
    let (first, last) = (shown().fold(f64::INFINITY, f64::min), shown().fold(0.0, f64::max));
    let bottom = top + PLOT_HEIGHT;
    let y = Axis::linear(low, high, 0.06, bottom, top);
    let widest = y
        .linear_ticks(TICK_SPACING)
        .iter()
        .map(|(_, label)| font::text_width(&number::with_true_minus(label), SMALL_SIZE))
        .fold(0.0, f64::max);
    let (left, right) = (MARGIN + widest + 8.0, WIDTH - MARGIN);
    // Room for the labels of the curves that end last.
    let room = curves
        .iter()
        .map(|(t, _)| font::text_width(&t.label, SMALL_SIZE).min(LABEL_WIDTH_MAX))
        .fold(0.0, f64::max);
    let x = Axis::logarithmic(first, last, left, right - room - 10.0);
    Plot { x, y, left, right, top, bottom }
}

fn draw_axes(scene: &mut Scene, plot: &Plot) {
    let style = |anchor| text(SMALL_SIZE, Paint::Muted, anchor);
    for (value, label) in plot.y.linear_ticks(TICK_SPACING) {
        let y = plot.y.place(value);
        scene.line((plot.left, y), (plot.right, y), Stroke::solid(Paint::Grid, 0.8));
        let label = number::with_true_minus(&label);
        scene.text_beside((plot.left - 8.0, y), label, style(Anchor::End));
    }
    for (value, label) in plot.x.logarithmic_ticks(SMALL_SIZE, number::short_tokens) {
        let x = plot.x.place(value);
        scene.line((x, plot.bottom), (x, plot.bottom + 4.0), Stroke::solid(Paint::Muted, 0.8));
        scene.text((x, plot.bottom + 16.0), label, style(Anchor::Middle));
    }
    let ends = ((plot.left, plot.bottom), (plot.right, plot.bottom));
    scene.line(ends.0, ends.1, Stroke::solid(Paint::Muted, 0.8));
    let unit = "tokens trained on (logarithmic)";
    let center = (plot.left + plot.right) / 2.0;
    scene.text((center, plot.bottom + 32.0), unit, style(Anchor::Middle));
}

/// The part of a curve that lies below the upper rim of the panel; its end always does.
fn clipped(points: &[(f64, f64)], plot: &Plot) -> Vec<(f64, f64)> {
    let places: Vec<(f64, f64)> =
        points.iter().map(|&(tokens, loss)| (plot.x.place(tokens), plot.y.place(loss))).collect();
    let above = |place: (f64, f64)| place.1 < plot.top;
    let mut path = Vec::new();
    for (index, &place) in places.iter().enumerate() {
        let before = if index > 0 { places[index - 1] } else { place };
        if above(before) != above(place) {
            let at = |share: f64| {
                let between = |from: f64, to: f64| from + share * (to - from);
                (between(before.0, place.0), between(before.1, place.1))
            };
            let crossing = at((plot.top - before.1) / (place.1 - before.1));
            // The axis begins with the first visible point; what comes before is cut off as well.
            let at_left = at((plot.left - before.0) / (place.0 - before.0));
            path.push(if crossing.0 >= plot.left { crossing } else { at_left });
        }
        if !above(place) {
            path.push(place);
        }
    }
    path
}

/// A box for every label, chosen in order and then once more with all others known.
fn place_labels(
    labels: &[String],
    ends: &[(f64, f64)],
    paths: &[Vec<(f64, f64)>],
    plot: &Plot,
) -> Vec<Box4> {
    let dense: Vec<(f64, f64)> = paths.iter().flat_map(|path| sampled(path)).collect();
    let mut places: Vec<Option<Box4>> = vec![None; labels.len()];
    for _ in 0..2 {
        for index in 0..labels.len() {
            places[index] = None;
            let width = font::text_width(&labels[index], SMALL_SIZE);
            let cost = |place: &Box4| {
                let covers = |point: &&(f64, f64)| inside(place, **point, 2.0);
                let curves = dense.iter().filter(covers).count() as f64;
                let marks = ends.iter().filter(|end| inside(place, **end, 5.0)).count() as f64;
                let others = places.iter().flatten().filter(|other| overlap(place, other)).count();
                curves + 20.0 * marks + 1000.0 * others as f64
            };
            let mut best: Option<(f64, Box4)> = None;
            for (distance, place) in candidates(ends[index], width, plot) {
                let total = cost(&place) + 0.25 * distance;
                if best.is_none_or(|(lowest, _)| total < lowest) {
                    best = Some((total, place));
                }
            }
            places[index] = best.map(|(_, place)| place);
        }
    }
    places.into_iter().flatten().collect()
}

/// Boxes within the panel around the end of a curve, with their distances from it.
fn candidates(end: (f64, f64), width: f64, plot: &Plot) -> Vec<(f64, Box4)> {
    let mut found = Vec::new();
    let steps = (2.0 * PLOT_HEIGHT / LABEL_HEIGHT) as i32;
    for step in 0..=2 * steps {
        // 0, +1, -1, +2, -2, ... half lines below and above.
        let half_lines = if step % 2 == 1 { (step + 1) / 2 } else { -(step / 2) };
        let middle = end.1 + f64::from(half_lines) * LABEL_HEIGHT / 2.0;
        for left in [end.0 + 8.0, end.0 - width / 2.0, end.0 - width - 8.0] {
            let place =
                [left, middle - LABEL_HEIGHT / 2.0, left + width, middle + LABEL_HEIGHT / 2.0];
            // A line that leads from above or below would cross the labels in between.
            let beside = place[0] > end.0 || place[2] < end.0;
            let fits = (beside || distance(&place, end) <= LEADER_FROM)
                && place[0] >= plot.left
                && place[2] <= plot.right
                && place[1] >= plot.top
                && place[3] <= plot.bottom;
            if fits {
                found.push((distance(&place, end), place));
            }
        }
    }
    found
}

/// Points along a path, close enough that no label slips between them.
fn sampled(path: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut points = path.to_vec();
    for pair in path.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let pieces = ((to.0 - from.0).hypot(to.1 - from.1) / 2.0).ceil() as usize;
        points.extend((1..pieces).map(|piece| {
            let share = piece as f64 / pieces as f64;
            (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
        }));
    }
    points
}

fn inside(place: &Box4, point: (f64, f64), margin: f64) -> bool {
    point.0 > place[0] - margin
        && point.0 < place[2] + margin
        && point.1 > place[1] - margin
        && point.1 < place[3] + margin
}

fn overlap(a: &Box4, b: &Box4) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

/// From a box to a point, zero if it lies within.
fn distance(place: &Box4, point: (f64, f64)) -> f64 {
    let (x, y) = nearest(place, point);
    (x - point.0).hypot(y - point.1)
}

/// The point of a box that is nearest to another point.
fn nearest(place: &Box4, point: (f64, f64)) -> (f64, f64) {
    (point.0.clamp(place[0], place[2]), point.1.clamp(place[1], place[3]))
}
