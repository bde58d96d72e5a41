//! The legend: what had no room beside what it names.

use super::SMALL_SIZE;
use super::marks::Shape;
use super::panel::{Line, stroke};
use crate::draw::font;
use crate::draw::palette::Paint;
use crate::draw::svg::{Anchor, Scene, Stroke, TextStyle};

/// Room for the sample before a text.
const SAMPLE_WIDTH: f64 = 38.0;
const LINE_HEIGHT: f64 = 18.0;
/// Between two entries of a line.
const GAP: f64 = 16.0;
/// More lines than this are not read: the table of data has the rest.
const LINES_MAX: usize = 14;

/// What stands before a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sample {
    /// A mark.
    Mark(Paint, Shape, bool),
    /// A line.
    Stroke(Paint, Line),
    /// A mark on a line.
    Both(Paint, Shape, Line),
}

/// A line of the legend.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) sample: Sample,
    pub(super) text: String,
}

/// Draws the entries, several in a line where they fit, between `left` and `right` from `top`
/// downwards; returns where they end. The same entry twice is drawn once.
pub(super) fn draw(
    scene: &mut Scene,
    entries: &[Entry],
    (left, right): (f64, f64),
    top: f64,
) -> f64 {
    let mut known: Vec<&Entry> = Vec::new();
    for entry in entries {
        if !known.contains(&entry) {
            known.push(entry);
        }
    }
    let text_max = right - left - SAMPLE_WIDTH;
    let (mut x, mut line) = (left, 0);
    for (index, entry) in known.iter().enumerate() {
        let text = font::fit(&entry.text, SMALL_SIZE, text_max);
        let width = SAMPLE_WIDTH + font::text_width(&text, SMALL_SIZE);
        if x > left && x + width > right {
            (x, line) = (left, line + 1);
        }
        let middle = top + LINE_HEIGHT * (line as f64 + 0.5);
        if line + 1 == LINES_MAX && index + 1 < known.len() {
            let text = format!("and {} more in the table of data", known.len() - index);
            scene.text_beside((left, middle), text, style());
            line += 1;
            break;
        }
        draw_sample(scene, entry.sample, (x, middle));
        scene.text_beside((x + SAMPLE_WIDTH, middle), text, style());
        x += width + GAP;
    }
    let lines = if x > left { line + 1 } else { line };
    top + LINE_HEIGHT * lines as f64
}

fn style() -> TextStyle {
    TextStyle { size: SMALL_SIZE, paint: Paint::Ink, anchor: Anchor::Start, halo: false }
}

fn draw_sample(scene: &mut Scene, sample: Sample, (x, y): (f64, f64)) {
    let mut stroke = |paint, line| {
        let stroke: Stroke = stroke(paint, line);
        scene.line((x, y), (x + SAMPLE_WIDTH - 6.0, y), stroke);
    };
    let center = (x + (SAMPLE_WIDTH - 6.0) / 2.0, y);
    match sample {
        Sample::Mark(paint, shape, hollow) => shape.draw(scene, center, paint, hollow),
        Sample::Stroke(paint, line) => stroke(paint, line),
        Sample::Both(paint, shape, line) => {
            stroke(paint, line);
            shape.draw(scene, center, paint, false);
        }
    }
}
