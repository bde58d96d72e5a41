//! Heat maps: a number per cell, the lowest one boxed, missing ones said.

use super::{LABEL_SIZE, SMALL_SIZE};
use crate::draw::font;
use crate::draw::palette::Paint;
use crate::draw::svg::{Anchor, Scene, Stroke, TextStyle};

/// A table of colored cells.
#[derive(Clone, Debug)]
pub struct HeatMap {
    /// Stands above it.
    pub title: String,
    /// What the rows are.
    pub row_name: String,
    /// What the columns are.
    pub column_name: String,
    /// What the values are.
    pub value_name: String,
    /// Labels of the rows, from above.
    pub rows: Vec<String>,
    /// Labels of the columns.
    pub columns: Vec<String>,
    /// The cells by row and column; `None` where nothing was measured.
    pub cells: Vec<Vec<Option<HeatCell>>>,
}

/// A cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeatCell {
    /// The number.
    pub value: f64,
    /// Lower end of its interval; absent where open or unknown.
    pub low: Option<f64>,
    /// Upper end of its interval.
    pub high: Option<f64>,
    /// What is written, if it is not the number (a refused law).
    pub text: Option<String>,
    /// The records that it is from.
    pub records: Vec<String>,
}

const CELL_HEIGHT: f64 = 24.0;
const LINE: f64 = 17.0;
/// Text must stay legible on the darkest cell.
const OPACITY_MAX: f64 = 0.5;

impl HeatMap {
    /// The place of the lowest number.
    #[must_use]
    pub fn lowest(&self) -> Option<(usize, usize)> {
        let mut best: Option<((usize, usize), f64)> = None;
        for (row, cells) in self.cells.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                let Some(cell) = cell else { continue };
                let lower = best.is_none_or(|(_, value)| cell.value < value);
                if cell.text.is_none() && cell.value.is_finite() && lower {
                    best = Some(((row, column), cell.value));
                }
            }
        }
        best.map(|(place, _)| place)
    }

    /// The width that all texts need.
    pub(super) fn width(&self) -> f64 {
        let cell = self.cell_width();
        self.label_width() + cell * self.columns.len() as f64
    }

    fn cell_width(&self) -> f64 {
        let texts = self.cells.iter().flatten().map(|cell| text(cell.as_ref()));
        let texts = texts.chain(self.columns.iter().cloned());
        texts.map(|text| font::text_width(&text, SMALL_SIZE)).fold(34.0, f64::max) + 8.0
    }

    fn label_width(&self) -> f64 {
        let widths = self.rows.iter().map(|label| font::text_width(label, SMALL_SIZE));
        widths.fold(0.0, f64::max) + 10.0
    }

    /// Draws the map into the width between `left` and `right`; returns where it ends.
    pub(super) fn draw(&self, scene: &mut Scene, (left, right): (f64, f64), top: f64) -> f64 {
        let style = |paint, anchor| TextStyle { size: SMALL_SIZE, paint, anchor, halo: false };
        let room = right - left;
        let title = font::fit(&self.title, LABEL_SIZE, room);
        let title_line = top + LABEL_SIZE * font::CAP_HEIGHT;
        let heading = TextStyle { size: LABEL_SIZE, ..style(Paint::Ink, Anchor::Start) };
        scene.text((left, title_line), title, heading);
        let name = format!("{} (rows) by {}", self.row_name, self.column_name);
        let name = font::fit(&name, SMALL_SIZE, room);
        scene.text((left, title_line + LINE), name, style(Paint::Muted, Anchor::Start));
        let label_width = self.label_width().min(room / 3.0);
        let cell = self.cell_width().min((room - label_width) / self.columns.len().max(1) as f64);
        let head_line = title_line + 2.0 * LINE + 2.0;
        let center = |column: usize| left + label_width + cell * (column as f64 + 0.5);
        for (column, label) in self.columns.iter().enumerate() {
            let label = font::fit(label, SMALL_SIZE, cell - 3.0);
            scene.text((center(column), head_line), label, style(Paint::Muted, Anchor::Middle));
        }
        let grid_top = head_line + 6.0;
        let (low, high) = self.range();
        for (row, cells) in self.cells.iter().enumerate() {
            let above = grid_top + CELL_HEIGHT * row as f64;
            let middle = above + CELL_HEIGHT / 2.0;
            let label = font::fit(&self.rows[row], SMALL_SIZE, label_width - 6.0);
            let at = (left + label_width - 6.0, middle);
            scene.text_beside(at, label, style(Paint::Muted, Anchor::End));
            for (column, value) in cells.iter().enumerate() {
                let corner = (center(column) - cell / 2.0, above);
                let area = rectangle(corner, cell - 1.0, CELL_HEIGHT - 1.0);
                match value {
                    Some(value) if value.text.is_none() && value.value.is_finite() => {
                        let share = (value.value - low) / (high - low).max(f64::MIN_POSITIVE);
                        // Low losses are what is looked for: they are dark.
                        let opacity = OPACITY_MAX * (1.0 - share.clamp(0.0, 1.0)) + 0.04;
                        scene.veil(area, Paint::Blue, opacity);
                    }
                    _ => scene.veil(area, Paint::Muted, 0.08),
                }
                let paint = if value.is_some() { Paint::Ink } else { Paint::Muted };
                let text = font::fit(&text(value.as_ref()), SMALL_SIZE, cell - 3.0);
                let records = value.as_ref().map_or(&[][..], |value| &value.records);
                scene.spot((center(column), middle), text.as_str(), records);
                scene.text_beside((center(column), middle), text, style(paint, Anchor::Middle));
            }
        }
        if let Some((row, column)) = self.lowest() {
            let corner = (center(column) - cell / 2.0, grid_top + CELL_HEIGHT * row as f64);
            let mut outline = rectangle(corner, cell - 1.0, CELL_HEIGHT - 1.0);
            outline.push(outline[0]);
            scene.path(outline, Stroke::solid(Paint::Ink, 2.0));
        }
        grid_top + CELL_HEIGHT * self.rows.len() as f64
    }

    fn range(&self) -> (f64, f64) {
        let cells = self.cells.iter().flatten().flatten();
        let numbers = cells.filter(|c| c.text.is_none() && c.value.is_finite()).map(|c| c.value);
        numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
    }
}

fn text(cell: Option<&HeatCell>) -> String {
    match cell {
        None => "N/A".to_owned(),
        Some(HeatCell { text: Some(text), .. }) => text.clone(),
        Some(cell) => format!("{:.3}", cell.value),
    }
}

fn rectangle((left, top): (f64, f64), width: f64, height: f64) -> Vec<(f64, f64)> {
    let (right, bottom) = (left + width, top + height);
    vec![(left, top), (right, top), (right, bottom), (left, bottom)]
}
