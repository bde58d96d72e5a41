//! What a panel shows, as data. Everything else about it follows.

use super::marks::Shape;
use crate::draw::palette::Paint;
use crate::draw::svg::Stroke;
use crate::number::digits;

/// A pair of axes with what is drawn between them.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Stands above it; may be empty.
    pub title: String,
    /// The horizontal axis.
    pub x: Scale,
    /// The vertical axis.
    pub y: Scale,
    /// Laws, with their bands; they lie below everything else.
    pub laws: Vec<LawCurve>,
    /// Asymptotes and other horizontal lines.
    pub levels: Vec<Level>,
    /// Vertical lines.
    pub uprights: Vec<Upright>,
    /// Measured points.
    pub series: Vec<Series>,
    /// Arrows between values.
    pub arrows: Vec<Arrow>,
    /// A second axis at the right.
    pub right: Option<Right>,
    /// Height of the plot itself, in picture units.
    pub height: f64,
}

/// An axis as it is asked for; its range follows from what is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// What is on it, with its unit.
    pub name: String,
    /// Whether equal distances are equal ratios.
    pub logarithmic: bool,
    /// Its ticks.
    pub ticks: Ticks,
    /// Values that must be shown beside the data.
    pub include: Vec<f64>,
}

/// Ticks of an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Ticks {
    /// At round numbers.
    Round,
    /// At round numbers of tokens or parameters: "20k", "1.5M".
    Short,
    /// At these values with these labels; those that would touch another one are left out.
    At(Vec<(f64, String)>),
}

/// A label and where it may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// Beside what it names, or in the legend if there is no room.
    Direct(String),
    /// In the legend.
    Legend(String),
    /// Nowhere: something else says it.
    None,
}

/// Points of one kind.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the table of data.
    pub name: String,
    /// Its label.
    pub label: Label,
    /// Its color.
    pub paint: Paint,
    /// Its mark.
    pub shape: Shape,
    /// The points.
    pub points: Vec<Point>,
    /// The line through them, in the order of the points.
    pub line: Option<Line>,
    /// Whether marks are drawn; a trajectory is a line only.
    pub marked: bool,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Unbroken.
    Solid,
    /// Dashed: a law.
    Dashed,
    /// Dotted: an asymptote.
    Dotted,
}

/// The bar of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// What it reaches.
    pub reach: Reach,
    /// What it is over, in a word: `seeds`, `text`.
    pub over: &'static str,
}

/// How far a bar reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    /// One standard error to both sides.
    Error(f64),
    /// The ends of an interval; `None` where open.
    Interval(Option<f64>, Option<f64>),
}

/// A measured point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// Place on the horizontal axis.
    pub x: f64,
    /// Place on the vertical axis.
    pub y: f64,
    /// How far it may be off.
    pub bar: Option<Bar>,
    /// Whether a ring says that something is missing (an uncertified optimum).
    pub ring: bool,
    /// Whether the mark is hollow (an imported run).
    pub hollow: bool,
    /// The records that it is from.
    pub records: Vec<String>,
}

/// A law's value at a place with the range that the data do not exclude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Swath {
    /// Place on the horizontal axis.
    pub x: f64,
    /// The best law's value.
    pub y: f64,
    /// Lower end; `None` where it is open.
    pub low: Option<f64>,
    /// Upper end; `None` where it is open.
    pub high: Option<f64>,
}

/// A law as a curve.
#[derive(Clone, Debug)]
pub struct LawCurve {
    /// Its name in the table of data.
    pub name: String,
    /// Its label.
    pub label: Label,
    /// Its color.
    pub paint: Paint,
    /// The curve, by increasing x.
    pub points: Vec<Swath>,
    /// Whether the band is drawn.
    pub band: bool,
    /// Its parameters for the table of data: name, value, ends (`None` if open).
    pub parameters: Vec<(String, f64, Option<f64>, Option<f64>)>,
    /// The records that it was fitted to.
    pub records: Vec<String>,
}

/// A horizontal line.
#[derive(Clone, Debug)]
pub struct Level {
    /// Its name in the table of data.
    pub name: String,
    /// Its label.
    pub label: Label,
    /// Its height.
    pub y: f64,
    /// Lower end of its interval; `None` where there is none.
    pub low: Option<f64>,
    /// Upper end of its interval.
    pub high: Option<f64>,
    /// Whether the interval is drawn as a band.
    pub band: bool,
    /// Its color.
    pub paint: Paint,
    /// How it looks.
    pub line: Line,
    /// The records that it is from.
    pub records: Vec<String>,
}

/// A vertical line.
#[derive(Clone, Debug)]
pub struct Upright {
    /// What it is.
    pub label: String,
    /// Its place.
    pub x: f64,
}

/// An arrow between two points.
#[derive(Clone, Copy, Debug)]
pub struct Arrow {
    /// Its tail.
    pub from: (f64, f64),
    /// Its head.
    pub to: (f64, f64),
    /// Its color.
    pub paint: Paint,
}

/// A second vertical axis: other words for some heights.
#[derive(Clone, Debug)]
pub struct Right {
    /// What is on it.
    pub name: String,
    /// Its ticks.
    pub ticks: Vec<RightTick>,
}

/// A tick of the second axis.
#[derive(Clone, Debug)]
pub struct RightTick {
    /// Its height on the first axis.
    pub y: f64,
    /// Its text.
    pub text: String,
    /// Its color.
    pub paint: Paint,
    /// The number that the text says, with its ends (`None` if open), for the table of data.
    pub value: (f64, Option<f64>, Option<f64>),
    /// The records that it is from.
    pub records: Vec<String>,
}

/// Sizes of panels.
#[derive(Clone, Copy, Debug)]
pub struct Sizes;

impl Point {
    /// "regularized: 3.4620 ± 0.0105 nats per token, over seeds", with the ends of an interval in
    /// brackets.
    pub(super) fn in_words(&self, series: &str, unit: &str) -> String {
        let end = |end: Option<f64>| end.map_or_else(|| "open".to_owned(), digits);
        let range = self.bar.map(|bar| match bar.reach {
            Reach::Error(error) => format!(" ± {}", digits(error)),
            Reach::Interval(low, high) => format!(" ({} to {})", end(low), end(high)),
        });
        let over = self.bar.map(|bar| format!(", over {}", bar.over));
        let (range, over) = (range.unwrap_or_default(), over.unwrap_or_default());
        format!("{series}: {}{range} {unit}{over}", digits(self.y))
    }

    /// The ends of its bar; an open end is `None`.
    pub(crate) fn ends(&self) -> Option<(Option<f64>, Option<f64>)> {
        self.bar.map(|bar| match bar.reach {
            Reach::Error(error) => (Some(self.y - error), Some(self.y + error)),
            Reach::Interval(low, high) => (low, high),
        })
    }

    /// Its standard error, where that is its bar.
    #[must_use]
    pub fn error(&self) -> Option<f64> {
        match self.bar?.reach {
            Reach::Error(error) => Some(error),
            Reach::Interval(..) => None,
        }
    }
}

/// The line of a kind in a color.
pub(super) fn stroke(paint: Paint, line: Line) -> Stroke {
    match line {
        Line::Solid => Stroke::solid(paint, 1.8),
        Line::Dashed => Stroke { paint, width: 1.8, dash: Some((6.0, 3.5)) },
        Line::Dotted => Stroke { paint, width: 1.6, dash: Some((1.5, 3.0)) },
    }
}

impl Sizes {
    /// Height of the plot of a panel as wide as the figure.
    pub const WIDE: f64 = 220.0;
    /// Height of the plot of a panel beside another.
    pub const HALF: f64 = 150.0;
}

impl Scale {
    /// A linear axis.
    #[must_use]
    pub fn linear(name: impl Into<String>) -> Self {
        Self { name: name.into(), logarithmic: false, ticks: Ticks::Round, include: Vec::new() }
    }

    /// A logarithmic axis.
    #[must_use]
    pub fn logarithmic(name: impl Into<String>) -> Self {
        Self { logarithmic: true, ..Self::linear(name) }
    }

    /// The same with other ticks.
    #[must_use]
    pub fn with_ticks(self, ticks: Ticks) -> Self {
        Self { ticks, ..self }
    }

    /// Whether the axis can show a value.
    pub(super) fn can_show(&self, value: f64) -> bool {
        value.is_finite() && (!self.logarithmic || value > 0.0)
    }
}

impl Label {
    /// The text, if there is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Direct(text) | Self::Legend(text) => Some(text),
            Self::None => None,
        }
    }
}

impl Series {
    /// Marks with a direct label that is also the name.
    #[must_use]
    pub fn new(name: impl Into<String>, paint: Paint, shape: Shape, points: Vec<Point>) -> Self {
        let name = name.into();
        let label = Label::Direct(name.clone());
        Self { name, label, paint, shape, points, line: None, marked: true }
    }
}

impl Panel {
    /// An empty panel as wide as the figure.
    #[must_use]
    pub fn new(title: impl Into<String>, x: Scale, y: Scale) -> Self {
        Self {
            title: title.into(),
            x,
            y,
            laws: Vec::new(),
            levels: Vec::new(),
            uprights: Vec::new(),
            series: Vec::new(),
            arrows: Vec::new(),
            right: None,
            height: Sizes::WIDE,
        }
    }

    /// Whether both axes can show a point.
    pub(super) fn can_show(&self, (x, y): (f64, f64)) -> bool {
        self.x.can_show(x) && self.y.can_show(y)
    }

    /// The points that can be shown.
    pub(super) fn points<'p>(&self, series: &'p Series) -> impl Iterator<Item = &'p Point> {
        let (x, y) = (self.x.clone(), self.y.clone());
        series.points.iter().filter(move |point| x.can_show(point.x) && y.can_show(point.y))
    }
}
