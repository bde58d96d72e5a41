//! The upper panel: a row per recipe with its mean, its 95 % interval and the number in words.

use super::{LABEL_SIZE, MARGIN, MARK_RADIUS, SMALL_SIZE, TITLE_SIZE, WIDTH, mark, paint, text};
use crate::eval::statistics::{Estimate, LEVEL};
use crate::report::chart::axis::Axis;
use crate::report::font;
use crate::report::number;
use crate::report::palette::Paint;
use crate::report::quickstart::{QuickstartReport, RecipeRow};
use crate::report::svg::{Anchor, Scene, Stroke};

const ROW_HEIGHT: f64 = 21.0;
const COLUMN_GAP: f64 = 12.0;
const NAME_WIDTH_MAX: f64 = 130.0;
const BAR_WIDTH: f64 = 2.2;

/// From this ratio of the largest excess to the smallest on, the axis of the excess is logarithmic:
/// one recipe that has come apart would press all others together.
const RATIO_MAX: f64 = 4.0;

/// The floor is drawn to scale unless it would press the data into less than this share.
const DATA_SHARE_MIN: f64 = 0.4;

/// What the rows show: the excess over the floor where all have one, else the loss.
struct Quantity {
    title: &'static str,
    unit: &'static str,
    value: fn(&RecipeRow) -> Option<Estimate>,
    /// Where the floor lies on the axis, if it is known.
    floor: Option<f64>,
}

/// The columns of the panel, from left to right.
struct Columns {
    plot_left: f64,
    plot_right: f64,
    values_right: f64,
}

/// Draws the panel from `top` downwards and returns where it ends.
pub(super) fn draw(scene: &mut Scene, report: &QuickstartReport, top: f64) -> f64 {
    let quantity = quantity(report);
    let values: Vec<Option<Estimate>> = report.recipes.iter().map(quantity.value).collect();
    let values: Vec<Option<Estimate>> =
        values.into_iter().map(|value| value.filter(|value| value.mean.is_finite())).collect();
    let labels: Vec<String> =
        values.iter().map(|value| number::estimate_or_diverged(value.as_ref())).collect();
    let columns = columns(report, &labels);
    let axis = axis(&values, quantity.floor, &columns);

    let title_line = top + TITLE_SIZE * font::CAP_HEIGHT;
    scene.text((MARGIN, title_line), quantity.title, text(TITLE_SIZE, Paint::Ink, Anchor::Start));
    let head_line = title_line + 19.0;
    let rows_top = head_line + 6.0;
    let rows_bottom = rows_top + ROW_HEIGHT * report.recipes.len().max(1) as f64;
    let small = |anchor| text(SMALL_SIZE, Paint::Muted, anchor);
    scene.text((columns.values_right, head_line), "mean ± s.e.", small(Anchor::End));
    draw_axis(scene, &axis, &columns, (rows_top, rows_bottom), quantity.unit);
    write_centered(scene, &columns, rows_bottom + 47.0, bars_note(&values, &axis));
    if let (Some(at), Some(floor)) = (quantity.floor, report.floor_nats) {
        draw_floor(scene, &axis, &columns, at, floor, (head_line, rows_bottom));
    }
    for (index, ((row, value), label)) in report.recipes.iter().zip(values).zip(labels).enumerate()
    {
        let y = rows_top + ROW_HEIGHT * (index as f64 + 0.5);
        let name = font::fit(&row.name, LABEL_SIZE, NAME_WIDTH_MAX);
        scene.text_beside((MARGIN, y), name, text(LABEL_SIZE, Paint::Ink, Anchor::Start));
        let shown = if value.is_some() { Paint::Ink } else { Paint::Muted };
        scene.text_beside(
            (columns.values_right, y),
            number::with_true_minus(&label),
            text(SMALL_SIZE, shown, Anchor::End),
        );
        if let Some(value) = value {
            draw_value(scene, &axis, &columns, y, row, value);
        }
    }
    rows_bottom + 51.0
}

fn quantity(report: &QuickstartReport) -> Quantity {
    let all_have_excess =
        report.recipes.iter().all(|row| row.excess.is_some() == row.loss.is_some());
    if report.floor_nats.is_some() && all_have_excess {
        return Quantity {
            title: "Test loss above the exact floor",
            unit: "nats per token above the floor",
            value: |row| row.excess,
            floor: Some(0.0),
        };
    }
    Quantity {
        title: "Test loss",
        unit: "nats per token",
        value: |row| row.loss,
        floor: report.floor_nats,
    }
}

fn columns(report: &QuickstartReport, labels: &[String]) -> Columns {
    let widest = |texts: &mut dyn Iterator<Item = &str>, size: f64| {
        texts.map(|text| font::text_width(text, size)).fold(0.0, f64::max)
    };
    let names = widest(&mut report.recipes.iter().map(|row| row.name.as_str()), LABEL_SIZE);
    // The heading of the column counts as well.
    let mut values = labels.iter().map(String::as_str).chain(["mean ± s.e."]);
    let values = widest(&mut values, SMALL_SIZE);
    let values_right = WIDTH - MARGIN;
    Columns {
        plot_left: MARGIN + names.min(NAME_WIDTH_MAX) + COLUMN_GAP,
        plot_right: values_right - values - COLUMN_GAP,
        values_right,
    }
}

/// An axis that holds every interval, and the floor unless it lies far below all of them.
fn axis(values: &[Option<Estimate>], floor: Option<f64>, columns: &Columns) -> Axis {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.iter().flatten() {
        let interval = value.interval(LEVEL);
        low = low.min(interval.map_or(value.mean, |interval| interval.low));
        high = high.max(interval.map_or(value.mean, |interval| interval.high));
    }
    if low > high {
        let at = floor.unwrap_or(0.0);
        (low, high) = (at, at + 1.0);
    }
    let is_excess = floor.is_some_and(|floor| floor.abs() <= 0.0);
    if is_excess && low > 0.0 && high > RATIO_MAX * low {
        return Axis::logarithmic(low, high, columns.plot_left, columns.plot_right);
    }
    if let Some(floor) = floor
        && high - low >= DATA_SHARE_MIN * (high - floor)
    {
        low = low.min(floor);
    }
    Axis::linear(low, high, 0.03, columns.plot_left, columns.plot_right)
}

fn draw_axis(
    scene: &mut Scene,
    axis: &Axis,
    columns: &Columns,
    (top, bottom): (f64, f64),
    unit: &str,
) {
    let style = text(SMALL_SIZE, Paint::Muted, Anchor::Middle);
    for (value, label) in axis.ticks_for_labels(SMALL_SIZE) {
        let x = axis.place(value);
        scene.line((x, top), (x, bottom), Stroke::solid(Paint::Grid, 0.8));
        let label = number::with_true_minus(&label);
        // A label at an end of the axis may reach over it, but not into the other columns' texts.
        scene.text((x, bottom + 14.0), label, style);
    }
    let ends = ((columns.plot_left, bottom), (columns.plot_right, bottom));
    scene.line(ends.0, ends.1, Stroke::solid(Paint::Muted, 0.8));
    let scale = if axis.is_logarithmic() { " (logarithmic)" } else { "" };
    write_centered(scene, columns, bottom + 31.0, &format!("{unit}{scale}"));
}

/// A muted line below the axis, centered under the plot as far as the picture allows.
fn write_centered(scene: &mut Scene, columns: &Columns, baseline: f64, line: &str) {
    let center = (columns.plot_left + columns.plot_right) / 2.0;
    let half = font::text_width(line, SMALL_SIZE) / 2.0;
    let center = center.clamp(MARGIN + half, WIDTH - MARGIN - half);
    scene.text((center, baseline), line, text(SMALL_SIZE, Paint::Muted, Anchor::Middle));
}

/// What the bars are, and whether some are too short to be seen.
fn bars_note(values: &[Option<Estimate>], axis: &Axis) -> &'static str {
    let hidden =
        values.iter().flatten().filter_map(|value| value.interval(LEVEL)).any(|interval| {
            axis.place(interval.high) - axis.place(interval.low) < 2.0 * MARK_RADIUS
        });
    if hidden {
        "bars: 95 % intervals, hidden where narrower than the mark"
    } else {
        "bars: 95 % intervals"
    }
}

/// The floor as a dashed line with its label above; `span` is the label's line and the line's end.
fn draw_floor(
    scene: &mut Scene,
    axis: &Axis,
    columns: &Columns,
    at: f64,
    floor_nats: f64,
    span: (f64, f64),
) {
    let (head_line, bottom) = span;
    let style = text(SMALL_SIZE, Paint::Muted, Anchor::Start);
    if !axis.holds(at) {
        let label = format!("← floor {floor_nats:.4}");
        scene.text((columns.plot_left, head_line), label, style);
        return;
    }
    let x = axis.place(at);
    scene.line((x, head_line + 4.0), (x, bottom), Stroke::dashed(Paint::Ink, 1.2));
    let label = format!("floor {floor_nats:.4}");
    let width = font::text_width(&label, SMALL_SIZE);
    let left = (x - width / 2.0).clamp(columns.plot_left - COLUMN_GAP, columns.plot_right - width);
    scene.text((left, head_line), label, style);
}

fn draw_value(
    scene: &mut Scene,
    axis: &Axis,
    columns: &Columns,
    y: f64,
    row: &RecipeRow,
    value: Estimate,
) {
    let x = axis.place(value.mean);
    scene.line((columns.plot_left, y), (x, y), Stroke::dashed(Paint::Grid, 1.0));
    if let Some(interval) = value.interval(LEVEL) {
        let (low, high) = (axis.place(interval.low), axis.place(interval.high));
        scene.line((low, y), (high, y), Stroke::solid(paint(row.family), BAR_WIDTH));
    }
    mark(scene, (x, y), row.family);
    let label = format!("{}: {value} nats per token", row.name);
    scene.spot((x, y), label, std::slice::from_ref(&row.evaluation));
}
