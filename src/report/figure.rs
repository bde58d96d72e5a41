//! The quick start's figure: what every recipe reached, and how the standard one got there.
//!
//! Two panels under each other at the width of a journal column. The upper is a dot plot, a row per
//! recipe, with 95 % intervals and the numbers beside them; the lower shows validation losses
//! during training over a logarithmic axis of tokens. Names and values stand in columns of their
//! own and labels of curves look for free space, so nothing overlaps for any numbers.

mod dots;
mod trajectories;

use super::palette::Paint;
use super::quickstart::{Family, QuickstartReport};
use super::svg::{Anchor, Scene, Stroke, TextStyle};

/// Width of every picture, in picture units; see [`super::svg`].
pub const WIDTH: f64 = 480.0;

const MARGIN: f64 = 8.0;
const PANEL_GAP: f64 = 22.0;
const TITLE_SIZE: f64 = 15.0;
const LABEL_SIZE: f64 = 13.0;
const SMALL_SIZE: f64 = 12.5;
const MARK_RADIUS: f64 = 4.0;

/// Draws the figure; the lower panel is left out if no trajectory is given.
#[must_use]
pub fn quickstart(report: &QuickstartReport) -> Scene {
    let mut scene = Scene::new(WIDTH, 0.0, description(report));
    let mut bottom = dots::draw(&mut scene, report, MARGIN);
    if report.trajectories.iter().any(|trajectory| !trajectory.points.is_empty()) {
        bottom = trajectories::draw(&mut scene, &report.trajectories, bottom + PANEL_GAP);
    }
    scene.set_height(bottom + MARGIN);
    scene
}

/// The figure in words.
fn description(report: &QuickstartReport) -> String {
    let results: Vec<String> = report
        .recipes
        .iter()
        .map(|row| match row.loss {
            Some(loss) => format!("{} {:.4}", row.name, loss.mean),
            None => format!("{} diverged", row.name),
        })
        .collect();
    format!("Test loss in nats per token: {}.", results.join(", "))
}

fn paint(family: Family) -> Paint {
    match family {
        Family::Standard => Paint::Vermillion,
        Family::Regularized => Paint::Blue,
        Family::Larger => Paint::Purple,
        Family::Ensemble => Paint::Green,
        Family::Ngram => Paint::Muted,
    }
}

/// Draws the mark of a family; the rim keeps it apart from lines below it.
fn mark(scene: &mut Scene, center: (f64, f64), family: Family) {
    let (x, y) = center;
    let fill = paint(family);
    let rim = Some(Stroke::solid(Paint::Surface, 1.0));
    // Shapes of equal weight to the eye have a little more or less reach than the circle.
    let (square, diamond, triangle) = (MARK_RADIUS * 0.9, MARK_RADIUS * 1.3, MARK_RADIUS * 1.25);
    match family {
        Family::Standard => scene.circle(center, MARK_RADIUS, fill, rim),
        Family::Regularized => {
            let (left, right, top, bottom) = (x - square, x + square, y - square, y + square);
            let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom)];
            scene.polygon(corners, fill, rim);
        }
        Family::Larger => {
            let (left, right, top, bottom) = (x - diamond, x + diamond, y - diamond, y + diamond);
            scene.polygon(vec![(left, y), (x, top), (right, y), (x, bottom)], fill, rim);
        }
        Family::Ensemble => {
            let (top, base) = (y - triangle, y + triangle * 0.75);
            scene.polygon(vec![(x - triangle, base), (x, top), (x + triangle, base)], fill, rim);
        }
        Family::Ngram => {
            let ring = Some(Stroke::solid(fill, 1.8));
            scene.circle(center, MARK_RADIUS * 0.85, Paint::Surface, ring);
        }
    }
}

fn text(size: f64, paint: Paint, anchor: Anchor) -> TextStyle {
    TextStyle { size, paint, anchor, halo: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::statistics::Estimate;
    use crate::report::chart::testing::check_scene;
    use crate::report::quickstart::{Trajectory, examples};

    /// Nothing may leave the picture, and no text may touch another one.
    fn check(name: &str, report: &QuickstartReport) {
        let scene = quickstart(report);
        check_scene(name, &scene);
    }

    /// A report whose losses are those of `report`, moved and stretched.
    fn rescaled(mut report: QuickstartReport, offset: f64, factor: f64) -> QuickstartReport {
        let rescale = |estimate: Estimate, offset: f64| Estimate {
            mean: offset + factor * estimate.mean,
            standard_error: estimate.standard_error.map(|error| error * factor),
            ..estimate
        };
        report.floor_nats = report.floor_nats.map(|floor| offset + factor * floor);
        for row in &mut report.recipes {
            row.loss = row.loss.map(|loss| rescale(loss, offset));
            row.excess = row.excess.map(|excess| rescale(excess, 0.0));
        }
        for point in report.trajectories.iter_mut().flat_map(|t| &mut t.points) {
            point.1 = offset + factor * point.1;
        }
        report
    }

    #[test]
    fn nothing_is_clipped_or_overlaps_at_any_range() {
        check("language", &examples::language());
        check("books", &examples::books());
        for factor in [1e-4, 1e-3, 0.03, 0.3, 1.0, 3.0, 30.0] {
            check(&format!("language-{factor}"), &rescaled(examples::language(), 0.1, factor));
            check(&format!("books-{factor}"), &rescaled(examples::books(), 1.0, factor));
        }
    }

    #[test]
    fn odd_reports_are_drawn_as_well() {
        let mut report = examples::books();
        report.floor_nats = Some(0.2);
        report.recipes[3].loss = None;
        report.recipes[0].name = "a-recipe-with-an-unreasonably-long-name".into();
        report.recipes[5].loss = Some(Estimate { mean: 3.9, standard_error: None, clusters: 1 });
        check("odd", &report);
        report.floor_nats = Some(3.0);
        check("floor-without-excess", &report);

        let mut one = examples::language();
        one.recipes.truncate(1);
        one.trajectories.clear();
        check("one", &one);
        one.recipes[0].loss = None;
        one.recipes[0].excess = None;
        check("only-diverged", &one);
        one.recipes.clear();
        check("empty", &one);

        let mut equal = examples::books();
        for row in &mut equal.recipes {
            row.loss = Some(Estimate { mean: 2.5, standard_error: Some(0.0), clusters: 9 });
        }
        equal.trajectories.truncate(2);
        equal.trajectories[0].points = vec![(25_600.0, 2.5)];
        equal.trajectories[1].points = vec![(25_600.0, f64::NAN), (51_200.0, 2.5)];
        check("equal", &equal);
    }

    #[test]
    fn labels_of_many_bundled_curves_find_space() {
        let mut report = examples::language();
        report.trajectories = (0..8)
            .map(|index| {
                let last = 3.0 + 0.004 * f64::from(index);
                examples::trajectory(&format!("{index}0 epochs"), Family::Standard, 16, last, 0.0)
            })
            .collect();
        check("bundle", &report);
        let short = |tokens| Trajectory {
            label: "one point".into(),
            family: Family::Larger,
            points: vec![(tokens, 3.0)],
        };
        report.trajectories = vec![short(1e3), short(1e6), short(1e12)];
        check("points", &report);
    }
}
