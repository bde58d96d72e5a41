//! The lower panel: validation loss during training, over a logarithmic axis of tokens.
//!
//! Every curve is labeled where it ends. A label tries places around that point, near ones first,
//! and takes the one that covers the fewest curves and no other label.

use super::{MARGIN, SMALL_SIZE, TITLE_SIZE, WIDTH, mark, paint, text};
use crate::report::chart::axis::Axis;
use crate::report::chart::space::{self, Crowd, Place, Wish};
use crate::report::font;
use crate::report::number;
use crate::report::palette::Paint;
use crate::report::quickstart::Trajectory;
use crate::report::svg::{Anchor, Scene, Stroke, TextStyle};

const PLOT_HEIGHT: f64 = 190.0;
const TICK_SPACING: f64 = 30.0;
const CURVE_WIDTH: f64 = 1.8;
const LABEL_WIDTH_MAX: f64 = 110.0;

/// Share of a run after which its losses must fit into the panel: the first steps of training start
/// so high that they would press everything else together.
const SHOWN_FROM_SHARE: f64 = 0.25;

/// The plot: both axes and their ends in the picture.
struct Plot {
    x: Axis,
    y: Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

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
    let wishes: Vec<Wish> = (labels.into_iter().zip(&ends))
        .enumerate()
        .map(|(owner, (text, &end))| Wish { text, anchors: vec![end], owner })
        .collect();
    let frame = [plot.left, plot.top, plot.right, plot.bottom];
    let marks: Vec<(usize, (f64, f64))> = ends.iter().copied().enumerate().collect();
    let crowd = Crowd { curves: &paths, marks: &marks, frame: &frame, cost_max: f64::INFINITY };
    let places = space::place(&wishes, SMALL_SIZE, crowd);
    for Place { area, anchor } in places.iter().flatten() {
        if space::distance(area, *anchor) > space::LEADER_FROM {
            scene.line(*anchor, space::nearest(area, *anchor), Stroke::solid(Paint::Muted, 0.8));
        }
    }
    let style = TextStyle { halo: true, ..text(SMALL_SIZE, Paint::Ink, Anchor::Start) };
    for (wish, place) in wishes.into_iter().zip(places) {
        let Some(Place { area, .. }) = place else { continue };
        scene.text_beside((area[0], (area[1] + area[3]) / 2.0), wish.text, style);
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
