//! A finished figure, and the table of everything that it shows.

use super::heat::HeatMap;
use super::panel::{Panel, Swath};
use crate::draw::svg::Scene;

/// A picture with its words and its numbers.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Name of its files, without an ending.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What a reader must know: what is drawn, units, what intervals are, what is left out.
    pub caption: String,
    /// The picture.
    pub scene: Scene,
    /// Every number that is drawn.
    pub data: Vec<Datum>,
}

/// A drawn number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Datum {
    /// Title of its panel.
    pub panel: String,
    /// Name of its series, law or cell.
    pub series: String,
    /// What it is: `point`, `law`, `curve`, `level`, `right`, `cell` or `text`.
    pub kind: &'static str,
    /// What x is.
    pub x_name: String,
    /// Place on the horizontal axis.
    pub x: Option<f64>,
    /// What y is.
    pub y_name: String,
    /// The number.
    pub y: Option<f64>,
    /// Lower end of its interval or error bar; absent where open or unknown.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// What the bar of a point is over; empty for everything else.
    pub over: &'static str,
    /// The records that it is from.
    pub records: Vec<String>,
}

/// The columns of the table.
const COLUMNS: [&str; 11] =
    ["panel", "series", "kind", "x_name", "x", "y_name", "y", "low", "high", "over", "records"];

impl Figure {
    /// The table as comma-separated values; ids are separated by spaces.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = COLUMNS.join(",");
        text.push('\n');
        for datum in &self.data {
            let number = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
            let cells = [
                quoted(&datum.panel),
                quoted(&datum.series),
                datum.kind.to_owned(),
                quoted(&datum.x_name),
                number(datum.x),
                quoted(&datum.y_name),
                number(datum.y),
                number(datum.low),
                number(datum.high),
                datum.over.to_owned(),
                quoted(&datum.records.join(" ")),
            ];
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        text
    }

    /// The numbers of a kind in a series, in the order in which they are drawn.
    pub fn numbers<'f>(
        &'f self,
        kind: &'f str,
        series: &'f str,
    ) -> impl Iterator<Item = &'f Datum> + 'f {
        self.data.iter().filter(move |datum| datum.kind == kind && datum.series == series)
    }
}

/// A cell of comma-separated values (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

impl Panel {
    /// The numbers that the panel shows.
    pub(super) fn data(&self) -> Vec<Datum> {
        let mut data = Vec::new();
        let datum = |series: &str, kind, x, y, (low, high), records: &[String]| Datum {
            panel: self.title.clone(),
            series: series.to_owned(),
            kind,
            x_name: self.x.name.clone(),
            x,
            y_name: self.y.name.clone(),
            y: Some(y),
            low,
            high,
            over: "",
            records: records.to_vec(),
        };
        for series in &self.series {
            for point in self.points(series) {
                let ends = point.ends().unwrap_or_default();
                let (x, y) = (Some(point.x), point.y);
                let number = datum(&series.name, "point", x, y, ends, &point.records);
                data.push(Datum { over: point.bar.map_or("", |bar| bar.over), ..number });
            }
        }
        for law in &self.laws {
            for (name, value, low, high) in &law.parameters {
                let number = datum(&law.name, "law", None, *value, (*low, *high), &law.records);
                data.push(Datum { y_name: name.clone(), ..number });
            }
            for Swath { x, y, low, high } in law.points.iter().copied() {
                // The records of a law stand beside its parameters.
                data.push(datum(&law.name, "curve", Some(x), y, (low, high), &[]));
            }
        }
        for level in &self.levels {
            let ends = (level.low, level.high);
            data.push(datum(&level.name, "level", None, level.y, ends, &level.records));
        }
        for tick in self.right.iter().flat_map(|right| &right.ticks) {
            let (value, low, high) = tick.value;
            let number = datum(&tick.text, "right", None, value, (low, high), &tick.records);
            let name = self.right.as_ref().map_or_else(String::new, |right| right.name.clone());
            data.push(Datum {
                x: Some(tick.y),
                x_name: self.y.name.clone(),
                y_name: name,
                ..number
            });
        }
        data
    }
}

impl HeatMap {
    /// The numbers that the map shows.
    pub(super) fn data(&self) -> Vec<Datum> {
        let mut data = Vec::new();
        for (row, cells) in self.cells.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                let Some(cell) = cell else { continue };
                data.push(Datum {
                    panel: self.title.clone(),
                    series: format!("{} {}", self.row_name, self.rows[row]),
                    kind: "cell",
                    x_name: self.column_name.clone(),
                    x: self.columns[column].parse().ok(),
                    y_name: self.value_name.clone(),
                    y: Some(cell.value),
                    low: cell.low,
                    high: cell.high,
                    over: "",
                    records: cell.records.clone(),
                });
            }
        }
        data
    }
}
