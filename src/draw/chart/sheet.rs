//! A figure in the making: a title, and blocks under each other.

use super::data::{Datum, Figure};
use super::dots::Dots;
use super::heat::HeatMap;
use super::legend::{self, Entry};
use super::panel::Panel;
use super::{LABEL_SIZE, MARGIN, SMALL_SIZE, TITLE_SIZE, WIDTH, draw};
use crate::draw::font;
use crate::draw::palette::Paint;
use crate::draw::svg::{Anchor, Scene, Stroke, TextStyle};
use crate::draw::table::{Align, Table};
use crate::number::with_true_minus;

/// Between blocks, and between panels beside each other.
const GAP: f64 = 18.0;
const ROW_HEIGHT: f64 = 17.0;
/// A table in a picture has at most this many rows.
const ROWS_MAX: usize = 24;

/// A figure in the making.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// Name of its files, without an ending.
    pub name: String,
    /// Stands above it.
    pub title: String,
    /// Stands beside it, in the page and in the terminal.
    pub caption: String,
    /// What is under the title.
    pub blocks: Vec<Block>,
}

/// A part of a figure, as wide as the figure.
#[derive(Clone, Debug)]
pub enum Block {
    /// Panels beside or under each other; what has no direct label is in a legend below them.
    Panels(Vec<Panel>),
    /// Rows with dots.
    Dots(Dots),
    /// Heat maps, beside each other where two fit.
    Heats(Vec<HeatMap>),
    /// A table with its title.
    Table(String, Grid),
    /// A sentence.
    Note(String),
    /// What the blocks below belong to.
    Heading(String),
}

/// A table within a figure. Its numbers stand in the table of data as they are given here.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Texts.
    pub table: Table,
    /// Its numbers with their records.
    pub data: Vec<Datum>,
}

impl Sheet {
    /// A figure without blocks.
    #[must_use]
    pub fn new(name: &str, title: impl Into<String>, caption: impl Into<String>) -> Self {
        let (title, caption) = (title.into(), caption.into());
        Self { name: name.to_owned(), title, caption, blocks: Vec::new() }
    }

    /// Draws no mark hollow.
    pub fn fill_marks(&mut self) {
        for block in &mut self.blocks {
            let Block::Panels(panels) = block else { continue };
            for series in panels.iter_mut().flat_map(|panel| &mut panel.series) {
                series.points.iter_mut().for_each(|point| point.hollow = false);
            }
        }
    }

    /// Draws the figure and lists its numbers.
    #[must_use]
    pub fn finish(self) -> Figure {
        let mut scene = Scene::new(WIDTH, 0.0, format!("{}. {}", self.title, self.caption));
        let style =
            TextStyle { size: TITLE_SIZE, paint: Paint::Ink, anchor: Anchor::Start, halo: false };
        let title = font::fit(&self.title, TITLE_SIZE, WIDTH - 2.0 * MARGIN);
        scene.text((MARGIN, MARGIN + TITLE_SIZE * font::CAP_HEIGHT), title, style);
        let mut bottom = MARGIN + TITLE_SIZE * font::CAP_HEIGHT + 12.0;
        let mut data = Vec::new();
        for (index, block) in self.blocks.iter().enumerate() {
            if index > 0 {
                bottom += GAP;
            }
            bottom = block.draw(&mut scene, bottom);
            data.extend(block.data());
        }
        scene.set_height(bottom + MARGIN);
        Figure { name: self.name, title: self.title, caption: self.caption, scene, data }
    }
}

impl Block {
    fn draw(&self, scene: &mut Scene, top: f64) -> f64 {
        match self {
            Self::Panels(panels) => draw_panels(scene, panels, top),
            Self::Dots(dots) => dots.draw(scene, top),
            Self::Heats(maps) => draw_heats(scene, maps, top),
            Self::Table(title, grid) => draw_table(scene, title, &grid.table, top),
            Self::Note(text) => draw_note(scene, text, top),
            Self::Heading(text) => draw_heading(scene, text, top),
        }
    }

    fn data(&self) -> Vec<Datum> {
        match self {
            Self::Panels(panels) => panels.iter().flat_map(Panel::data).collect(),
            Self::Dots(dots) => dots.data(),
            Self::Heats(maps) => maps.iter().flat_map(HeatMap::data).collect(),
            Self::Table(_, grid) => grid.data.clone(),
            Self::Note(_) | Self::Heading(_) => Vec::new(),
        }
    }
}

/// The left and right ends of a column.
fn column(index: usize, count: usize) -> (f64, f64) {
    let width = (WIDTH - 2.0 * MARGIN - GAP * (count as f64 - 1.0)) / count as f64;
    let left = MARGIN + index as f64 * (width + GAP);
    (left, left + width)
}

/// Panels of full height one under the other, smaller ones in two columns.
fn draw_panels(scene: &mut Scene, panels: &[Panel], top: f64) -> f64 {
    let mut bottom = top;
    let mut entries: Vec<Entry> = Vec::new();
    let narrow = |panel: &Panel| panel.height <= super::Sizes::HALF;
    let mut rest = panels;
    let mut first = true;
    while let [head, tail @ ..] = rest {
        let columns = match tail.first() {
            Some(next) if narrow(head) && narrow(next) => 2,
            _ if narrow(head) && panels.len() > 1 => 2,
            _ => 1,
        };
        let taken = match tail.first() {
            Some(next) if columns == 2 && narrow(next) => 2,
            _ => 1,
        };
        let row_top = if first { bottom } else { bottom + GAP };
        first = false;
        for (index, panel) in rest[..taken].iter().enumerate() {
            entries.extend(draw::draw(scene, panel, column(index, columns), row_top));
            bottom = bottom.max(row_top + draw::height(panel));
        }
        rest = &rest[taken..];
    }
    if !entries.is_empty() {
        bottom = legend::draw(scene, &entries, (MARGIN, WIDTH - MARGIN), bottom + 6.0);
    }
    bottom
}

fn draw_heats(scene: &mut Scene, maps: &[HeatMap], top: f64) -> f64 {
    let (left, right) = column(0, 2);
    let paired = maps.iter().all(|map| map.width() <= right - left);
    let columns = if paired { 2 } else { 1 };
    let mut bottom = top;
    for (number, row) in maps.chunks(columns).enumerate() {
        let row_top = if number == 0 { bottom } else { bottom + GAP };
        for (index, map) in row.iter().enumerate() {
            bottom = bottom.max(map.draw(scene, column(index, columns), row_top));
        }
    }
    bottom
}

/// A table: columns as wide as they need, shrunk in proportion where that is too wide.
fn draw_table(scene: &mut Scene, title: &str, table: &Table, top: f64) -> f64 {
    let style = |paint, anchor| TextStyle { size: SMALL_SIZE, paint, anchor, halo: false };
    let room = WIDTH - 2.0 * MARGIN;
    let mut line = top + SMALL_SIZE * font::CAP_HEIGHT;
    if !title.is_empty() {
        let title = font::fit(title, SMALL_SIZE, room);
        scene.text((MARGIN, line), title, style(Paint::Ink, Anchor::Start));
        line += ROW_HEIGHT;
    }
    let count = table.columns().len();
    let shown = table.rows().len().min(ROWS_MAX);
    let gap = 12.0;
    let widths: Vec<f64> = (0..count)
        .map(|column| {
            let cells = table.rows()[..shown].iter().map(|row| &row[column].text);
            let texts = cells.chain([&table.columns()[column].0]);
            let width = |text: &String| font::text_width(&with_true_minus(text), SMALL_SIZE);
            texts.map(width).fold(0.0, f64::max)
        })
        .collect();
    let available = room - gap * (count as f64 - 1.0);
    let widths = narrowed(widths, available);
    let mut write = |cells: &[&str], paint: Paint, line: f64| {
        let mut left = MARGIN;
        for ((cell, (_, align)), width) in cells.iter().zip(table.columns()).zip(&widths) {
            let text = font::fit(&with_true_minus(cell), SMALL_SIZE, width + 0.5);
            let (x, anchor) = match align {
                Align::Left => (left, Anchor::Start),
                Align::Right => (left + width, Anchor::End),
            };
            scene.text((x, line), text, style(paint, anchor));
            left += width + gap;
        }
    };
    let head: Vec<&str> = table.columns().iter().map(|(name, _)| name.as_str()).collect();
    write(&head, Paint::Muted, line);
    let rule = line + 5.0;
    for row in &table.rows()[..shown] {
        line += ROW_HEIGHT;
        let texts: Vec<&str> = row.iter().map(|cell| cell.text.as_str()).collect();
        write(&texts, Paint::Ink, line);
    }
    if table.rows().len() > shown {
        line += ROW_HEIGHT;
        let more = table.rows().len() - shown;
        write(&[&format!("and {more} more")], Paint::Muted, line);
    }
    scene.line((MARGIN, rule), (WIDTH - MARGIN, rule), Stroke::solid(Paint::Grid, 0.8));
    line + 5.0
}

fn draw_heading(scene: &mut Scene, text: &str, top: f64) -> f64 {
    let style =
        TextStyle { size: LABEL_SIZE, paint: Paint::Ink, anchor: Anchor::Start, halo: false };
    let text = font::fit(text, LABEL_SIZE, WIDTH - 2.0 * MARGIN);
    let baseline = top + LABEL_SIZE * font::CAP_HEIGHT;
    scene.text((MARGIN, baseline), text, style);
    // The gap below is that between blocks; a heading belongs to what follows.
    baseline - GAP / 2.0
}

/// Takes from the widest columns until all fit.
fn narrowed(mut widths: Vec<f64>, available: f64) -> Vec<f64> {
    let mut cap = widths.iter().copied().fold(0.0, f64::max);
    while cap > 8.0 && widths.iter().map(|width| width.min(cap)).sum::<f64>() > available {
        cap -= 1.0;
    }
    widths.iter_mut().for_each(|width| *width = width.min(cap));
    widths
}

/// A sentence over as many lines as it needs.
fn draw_note(scene: &mut Scene, text: &str, top: f64) -> f64 {
    let style =
        TextStyle { size: SMALL_SIZE, paint: Paint::Muted, anchor: Anchor::Start, halo: false };
    let room = WIDTH - 2.0 * MARGIN;
    let mut lines: Vec<String> = Vec::new();
    for word in with_true_minus(text).split_whitespace() {
        match lines.last_mut() {
            Some(line) if font::text_width(&format!("{line} {word}"), SMALL_SIZE) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(font::fit(word, SMALL_SIZE, room)),
        }
    }
    let mut baseline = top;
    for line in lines {
        baseline += ROW_HEIGHT;
        scene.text((MARGIN, baseline - 4.0), line, style);
    }
    baseline
}
