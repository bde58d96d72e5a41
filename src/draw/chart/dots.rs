//! A row per thing that is compared: its name, a dot with its interval, and the number in words.

use super::axis::Axis;
use super::data::Datum;
use super::marks::{RADIUS, Shape};
use super::{LABEL_SIZE, MARGIN, SMALL_SIZE, WIDTH};
use crate::draw::font;
use crate::draw::palette::Paint;
use crate::draw::svg::{Anchor, Scene, Stroke, TextStyle};
use crate::number::with_true_minus;

/// Rows with dots on one axis.
#[derive(Clone, Debug)]
pub struct Dots {
    /// What the values are, with their unit.
    pub unit: String,
    /// Stands above the numbers in words.
    pub heading: String,
    /// What the bars are.
    pub bars: String,
    /// A value that none can lie below, with its name.
    pub floor: Option<(f64, String)>,
    /// From above.
    pub rows: Vec<Dot>,
}

/// A row.
#[derive(Clone, Debug)]
pub struct Dot {
    /// Its name.
    pub name: String,
    /// Its color.
    pub paint: Paint,
    /// Its mark.
    pub shape: Shape,
    /// Whether the mark is hollow.
    pub hollow: bool,
    /// The number; `None` where there is none, which `text` then says.
    pub value: Option<f64>,
    /// The ends of its interval.
    pub interval: Option<(f64, f64)>,
    /// The number in words.
    pub text: String,
    /// The records that it is from.
    pub records: Vec<String>,
}

const ROW_HEIGHT: f64 = 21.0;
const COLUMN_GAP: f64 = 12.0;
const NAME_WIDTH_MAX: f64 = 130.0;
const BAR_WIDTH: f64 = 2.2;

/// From this ratio of the largest value to the smallest on, an axis above a floor at zero is
/// logarithmic: one value that has come apart would press all others together.
const RATIO_MAX: f64 = 4.0;

/// The floor is drawn to scale unless it would press the data into less than this share.
const DATA_SHARE_MIN: f64 = 0.4;

/// The plot between the names and the numbers in words.
struct Frame {
    axis: Axis,
    left: f64,
    right: f64,
    values_right: f64,
}

fn style(size: f64, paint: Paint, anchor: Anchor) -> TextStyle {
    TextStyle { size, paint, anchor, halo: false }
}

impl Dots {
    /// Draws the rows from `top` downwards and returns where they end.
    pub(super) fn draw(&self, scene: &mut Scene, top: f64) -> f64 {
        let frame = self.frame();
        let head = top + SMALL_SIZE * font::CAP_HEIGHT;
        let (rows_top, count) = (head + 6.0, self.rows.len().max(1));
        let bottom = rows_top + ROW_HEIGHT * count as f64;
        let small = style(SMALL_SIZE, Paint::Muted, Anchor::End);
        scene.text((frame.values_right, head), self.heading.as_str(), small);
        self.draw_axis(scene, &frame, (rows_top, bottom));
        frame.write_centered(scene, bottom + 47.0, &self.bars_note(&frame.axis));
        if let Some((floor, name)) = &self.floor {
            frame.draw_floor(scene, (*floor, name), (head, bottom));
        }
        for (index, row) in self.rows.iter().enumerate() {
            let y = rows_top + ROW_HEIGHT * (index as f64 + 0.5);
            let name = font::fit(&row.name, LABEL_SIZE, NAME_WIDTH_MAX);
            scene.text_beside((MARGIN, y), name, style(LABEL_SIZE, Paint::Ink, Anchor::Start));
            let paint = if row.value.is_some() { Paint::Ink } else { Paint::Muted };
            let text = with_true_minus(&row.text);
            scene.text_beside((frame.values_right, y), text, style(SMALL_SIZE, paint, Anchor::End));
            frame.draw_dot(scene, row, y, &self.unit);
        }
        bottom + 51.0
    }

    /// The numbers that the rows show.
    pub(super) fn data(&self) -> Vec<Datum> {
        let datum = |row: &Dot| {
            let (low, high) = row.interval.unzip();
            Some(Datum {
                series: row.name.clone(),
                kind: "point",
                y_name: self.unit.clone(),
                y: Some(row.value?),
                low,
                high,
                over: "text",
                records: row.records.clone(),
                ..Datum::default()
            })
        };
        self.rows.iter().filter_map(datum).collect()
    }

    fn frame(&self) -> Frame {
        let widest = |texts: &mut dyn Iterator<Item = &str>, size: f64| {
            texts.map(|text| font::text_width(text, size)).fold(0.0, f64::max)
        };
        let names = widest(&mut self.rows.iter().map(|row| row.name.as_str()), LABEL_SIZE);
        // The heading of the column counts as well.
        let texts = self.rows.iter().map(|row| row.text.as_str());
        let values = widest(&mut texts.chain([self.heading.as_str()]), SMALL_SIZE);
        let values_right = WIDTH - MARGIN;
        let left = MARGIN + names.min(NAME_WIDTH_MAX) + COLUMN_GAP;
        let right = values_right - values - COLUMN_GAP;
        Frame { axis: self.axis(left, right), left, right, values_right }
    }

    /// An axis that holds every interval, and the floor unless it lies far below all of them.
    fn axis(&self, left: f64, right: f64) -> Axis {
        let floor = self.floor.as_ref().map(|(floor, _)| *floor);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for row in &self.rows {
            let Some(value) = row.value else { continue };
            let (from, to) = row.interval.unwrap_or((value, value));
            (low, high) = (low.min(from), high.max(to));
        }
        if low > high {
            low = floor.unwrap_or(0.0);
            high = low + 1.0;
        }
        let from_zero = floor.is_some_and(|floor| floor.abs() <= 0.0);
        if from_zero && low > 0.0 && high > RATIO_MAX * low {
            return Axis::logarithmic(low, high, left, right);
        }
        if let Some(floor) = floor
            && high - low >= DATA_SHARE_MIN * (high - floor)
        {
            low = low.min(floor);
        }
        Axis::linear(low, high, 0.03, left, right)
    }

    fn draw_axis(&self, scene: &mut Scene, frame: &Frame, (top, bottom): (f64, f64)) {
        for (value, label) in frame.axis.ticks_for_labels(SMALL_SIZE) {
            let x = frame.axis.place(value);
            scene.line((x, top), (x, bottom), Stroke::solid(Paint::Grid, 0.8));
            // A label at an end of the axis may reach over it, but not into other columns' texts.
            let style = style(SMALL_SIZE, Paint::Muted, Anchor::Middle);
            scene.text((x, bottom + 14.0), with_true_minus(&label), style);
        }
        let ends = ((frame.left, bottom), (frame.right, bottom));
        scene.line(ends.0, ends.1, Stroke::solid(Paint::Muted, 0.8));
        let scale = if frame.axis.is_logarithmic() { " (logarithmic)" } else { "" };
        frame.write_centered(scene, bottom + 31.0, &format!("{}{scale}", self.unit));
    }

    /// What the bars are, and whether some are too short to be seen.
    fn bars_note(&self, axis: &Axis) -> String {
        let mut intervals = self.rows.iter().filter_map(|row| row.interval);
        let short = |(low, high)| axis.place(high) - axis.place(low) < 2.0 * RADIUS;
        let hidden =
            if intervals.any(short) { ", hidden where narrower than the mark" } else { "" };
        format!("bars: {}{hidden}", self.bars)
    }
}

impl Frame {
    /// A muted line below the axis, centered under the plot as far as the picture allows.
    fn write_centered(&self, scene: &mut Scene, baseline: f64, line: &str) {
        let half = font::text_width(line, SMALL_SIZE) / 2.0;
        let center = (self.left + self.right) / 2.0;
        let center = center.clamp(MARGIN + half, WIDTH - MARGIN - half);
        let style = style(SMALL_SIZE, Paint::Muted, Anchor::Middle);
        scene.text((center, baseline), line, style);
    }

    /// The floor as a dashed line with its name above; where it is too far away, its name alone.
    fn draw_floor(
        &self,
        scene: &mut Scene,
        (floor, name): (f64, &str),
        (head, bottom): (f64, f64),
    ) {
        let style = style(SMALL_SIZE, Paint::Muted, Anchor::Start);
        if !self.axis.holds(floor) {
            scene.text((self.left, head), format!("← {name}"), style);
            return;
        }
        let x = self.axis.place(floor);
        scene.line((x, head + 4.0), (x, bottom), Stroke::dashed(Paint::Ink, 1.2));
        let width = font::text_width(name, SMALL_SIZE);
        let left = (x - width / 2.0).clamp(self.left - COLUMN_GAP, self.right - width);
        scene.text((left, head), name, style);
    }

    fn draw_dot(&self, scene: &mut Scene, row: &Dot, y: f64, unit: &str) {
        let Some(value) = row.value else { return };
        let x = self.axis.place(value);
        scene.line((self.left, y), (x, y), Stroke::dashed(Paint::Grid, 1.0));
        if let Some((low, high)) = row.interval {
            let ends = ((self.axis.place(low), y), (self.axis.place(high), y));
            scene.line(ends.0, ends.1, Stroke::solid(row.paint, BAR_WIDTH));
        }
        row.shape.draw(scene, (x, y), row.paint, row.hollow);
        scene.spot((x, y), format!("{}: {} {unit}", row.name, row.text), &row.records);
    }
}
