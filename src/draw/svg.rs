//! A small builder of vector pictures: lines, shapes and text, written as SVG.
//!
//! Lengths are in picture units with the origin at the top left and y downwards. A picture is 480
//! units wide; printed at the width of a journal column (85 mm) a unit is half a point, so that
//! text of size 13 is 6.5 points high.

use std::fmt::Write as _;

use super::font;
use super::palette::{Colors, Paint};

/// A picture under construction; later items cover earlier ones.
#[derive(Clone, Debug)]
pub struct Scene {
    width: f64,
    height: f64,
    description: String,
    items: Vec<Item>,
    spots: Vec<Spot>,
}

/// A point of a picture that leads to records. Files do not show it; a page makes a link of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Spot {
    /// Its center.
    pub at: (f64, f64),
    /// What it is and how large, for people who rest the mouse on it or cannot see it.
    pub label: String,
    /// Full ids of the records behind it, at least one.
    pub records: Vec<String>,
}

/// The line around a shape or along a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stroke {
    /// Its color.
    pub paint: Paint,
    /// Its thickness.
    pub width: f64,
    /// Lengths of dash and gap; `None` for a solid line.
    pub dash: Option<(f64, f64)>,
}

/// Which point of a line of text its position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The left end.
    Start,
    /// The middle.
    Middle,
    /// The right end.
    End,
}

/// How a line of text looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextStyle {
    /// Font size.
    pub size: f64,
    /// Color.
    pub paint: Paint,
    /// Which point the position gives.
    pub anchor: Anchor,
    /// Whether a rim in the color of the surface keeps the text legible on top of lines.
    pub halo: bool,
}

#[derive(Clone, Debug)]
enum Item {
    Path {
        points: Vec<(f64, f64)>,
        closed: bool,
        fill: Option<Paint>,
        stroke: Option<Stroke>,
    },
    /// A polygon that lets through what lies below it.
    Veil {
        points: Vec<(f64, f64)>,
        fill: Paint,
        opacity: f64,
    },
    Circle {
        center: (f64, f64),
        radius: f64,
        fill: Option<Paint>,
        stroke: Option<Stroke>,
    },
    Text {
        at: (f64, f64),
        text: String,
        style: TextStyle,
    },
}

/// Width of the rim around text with a halo.
const HALO_WIDTH: f64 = 3.0;

impl Stroke {
    /// A solid line.
    #[must_use]
    pub fn solid(paint: Paint, width: f64) -> Self {
        Self { paint, width, dash: None }
    }

    /// A dashed line.
    #[must_use]
    pub fn dashed(paint: Paint, width: f64) -> Self {
        Self { paint, width, dash: Some((4.0, 3.0)) }
    }
}

impl Scene {
    /// An empty picture; `description` is what a person who cannot see it should be told.
    #[must_use]
    pub fn new(width: f64, height: f64, description: impl Into<String>) -> Self {
        Self {
            width,
            height,
            description: description.into(),
            items: Vec::new(),
            spots: Vec::new(),
        }
    }

    /// Width and height.
    #[must_use]
    pub fn size(&self) -> (f64, f64) {
        (self.width, self.height)
    }

    /// Cuts the picture below `height`, or adds room there.
    pub fn set_height(&mut self, height: f64) {
        self.height = height;
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke) {
        self.path(vec![from, to], stroke);
    }

    /// An open path through the points.
    pub fn path(&mut self, points: Vec<(f64, f64)>, stroke: Stroke) {
        self.items.push(Item::Path { points, closed: false, fill: None, stroke: Some(stroke) });
    }

    /// A filled polygon.
    pub fn polygon(&mut self, points: Vec<(f64, f64)>, fill: Paint, stroke: Option<Stroke>) {
        self.items.push(Item::Path { points, closed: true, fill: Some(fill), stroke });
    }

    /// A polygon that lets through what lies below it; `opacity` from 0 to 1.
    pub fn veil(&mut self, points: Vec<(f64, f64)>, fill: Paint, opacity: f64) {
        self.items.push(Item::Veil { points, fill, opacity });
    }

    /// A filled rectangle with its top left corner at `at`.
    pub fn rectangle(&mut self, at: (f64, f64), width: f64, height: f64, fill: Paint) {
        let (left, top) = at;
        let (right, bottom) = (left + width, top + height);
        let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom)];
        self.polygon(corners, fill, None);
    }

    /// A filled circle.
    pub fn circle(&mut self, center: (f64, f64), radius: f64, fill: Paint, stroke: Option<Stroke>) {
        self.items.push(Item::Circle { center, radius, fill: Some(fill), stroke });
    }

    /// A line of text; `at` is on its baseline.
    pub fn text(&mut self, at: (f64, f64), text: impl Into<String>, style: TextStyle) {
        self.items.push(Item::Text { at, text: text.into(), style });
    }

    /// A line of text whose digits and capitals are centered on the height of `at`.
    pub fn text_beside(&mut self, at: (f64, f64), text: impl Into<String>, style: TextStyle) {
        let baseline = at.1 + style.size * font::CAP_HEIGHT / 2.0;
        self.text((at.0, baseline), text, style);
    }

    /// Says which records are behind a point; does nothing without records.
    pub fn spot(&mut self, at: (f64, f64), label: impl Into<String>, records: &[String]) {
        if !records.is_empty() {
            self.spots.push(Spot { at, label: label.into(), records: records.to_vec() });
        }
    }

    /// The points that lead to records, in the order of drawing.
    #[must_use]
    pub fn spots(&self) -> &[Spot] {
        &self.spots
    }

    /// Boxes (left, top, right, bottom) of all texts, as wide as the font makes them; for checks
    /// that nothing is clipped or overlaps.
    #[must_use]
    pub fn text_boxes(&self) -> Vec<(String, [f64; 4])> {
        let texts = self.items.iter().filter_map(|item| match item {
            Item::Text { at, text, style } => Some((at, text, style)),
            _ => None,
        });
        texts
            .map(|(at, text, style)| {
                let width = font::text_width(text, style.size);
                let left = match style.anchor {
                    Anchor::Start => at.0,
                    Anchor::Middle => at.0 - width / 2.0,
                    Anchor::End => at.0 - width,
                };
                let top = at.1 - style.size * font::CAP_HEIGHT;
                (text.clone(), [left, top, left + width, at.1])
            })
            .collect()
    }

    /// The box (left, top, right, bottom) of the centers of all lines and of all corners.
    #[must_use]
    pub fn extent(&self) -> [f64; 4] {
        let mut extent = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        let mut add = |(x, y): (f64, f64)| {
            extent = [extent[0].min(x), extent[1].min(y), extent[2].max(x), extent[3].max(y)];
        };
        for item in &self.items {
            match item {
                Item::Path { points, .. } | Item::Veil { points, .. } => {
                    points.iter().for_each(|&point| add(point));
                }
                Item::Circle { center: (x, y), radius, .. } => {
                    add((x - radius, y - radius));
                    add((x + radius, y + radius));
                }
                Item::Text { .. } => {}
            }
        }
        extent
    }

    /// The SVG text: a file of its own for [`Colors::Light`], an element of a page for
    /// [`Colors::Page`].
    #[must_use]
    pub fn to_svg(&self, colors: Colors) -> String {
        let (width, height) = (number(self.width), number(self.height));
        let label = escape(&self.description);
        let mut svg = match colors {
            Colors::Light => format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" "
            ),
            Colors::Page => "<svg class=\"figure\" ".to_owned(),
        };
        let _ = writeln!(
            svg,
            "viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\" \
             font-family=\"{}\">",
            font::FAMILY
        );
        if colors == Colors::Light {
            let surface = colors.css(Paint::Surface);
            let _ = writeln!(svg, "<rect width=\"100%\" height=\"100%\" fill=\"{surface}\"/>");
        }
        for item in &self.items {
            item.write(&mut svg, colors);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Item {
    fn write(&self, svg: &mut String, colors: Colors) {
        match self {
            Self::Path { points, closed, fill, stroke } => {
                write_path(svg, points, *closed);
                write_style(svg, colors, *fill, *stroke);
            }
            Self::Veil { points, fill, opacity } => {
                write_path(svg, points, true);
                let (fill, opacity) = (colors.css(*fill), number(*opacity));
                let _ = writeln!(svg, " style=\"fill:{fill};fill-opacity:{opacity}\"/>");
            }
            Self::Circle { center, radius, fill, stroke } => {
                let (x, y, r) = (number(center.0), number(center.1), number(*radius));
                let _ = write!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\"");
                write_style(svg, colors, *fill, *stroke);
            }
            Self::Text { at, text, style } => {
                let anchor = match style.anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                let (x, y, size) = (number(at.0), number(at.1), number(style.size));
                let _ = write!(
                    svg,
                    "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"{anchor}\" \
                     style=\"fill:{}",
                    colors.css(style.paint)
                );
                if style.halo {
                    let surface = colors.css(Paint::Surface);
                    let _ = write!(
                        svg,
                        ";stroke:{surface};stroke-width:{HALO_WIDTH};stroke-linejoin:round;\
                         paint-order:stroke"
                    );
                }
                let _ = writeln!(svg, "\">{}</text>", escape(text));
            }
        }
    }
}

fn write_path(svg: &mut String, points: &[(f64, f64)], closed: bool) {
    svg.push_str("<path d=\"");
    for (index, point) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        let _ = write!(svg, "{command}{} {}", number(point.0), number(point.1));
    }
    svg.push_str(if closed { "Z\"" } else { "\"" });
}

fn write_style(svg: &mut String, colors: Colors, fill: Option<Paint>, stroke: Option<Stroke>) {
    // A style attribute, because not every viewer resolves properties in presentation attributes.
    let fill = fill.map_or_else(|| "none".to_owned(), |paint| colors.css(paint));
    let _ = write!(svg, " style=\"fill:{fill}");
    if let Some(stroke) = stroke {
        let _ = write!(
            svg,
            ";stroke:{};stroke-width:{};stroke-linejoin:round",
            colors.css(stroke.paint),
            number(stroke.width)
        );
        match stroke.dash {
            Some((dash, gap)) => {
                let _ = write!(svg, ";stroke-dasharray:{} {}", number(dash), number(gap));
            }
            None => svg.push_str(";stroke-linecap:round"),
        }
    }
    svg.push_str("\"/>\n");
}

/// A length with at most two decimals, the same text everywhere.
fn number(value: f64) -> String {
    assert!(value.is_finite(), "a picture holds finite lengths only");
    let rounded = (value * 100.0).round() / 100.0;
    // Adding zero turns -0 into 0.
    format!("{}", rounded + 0.0)
}

/// Text made safe for XML and HTML, inside elements and quoted attributes. Characters that XML
/// forbids are replaced, so that any name leaves a well-formed picture.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(character),
            _ if character.is_control() || matches!(character, '\u{FFFE}' | '\u{FFFF}') => {
                escaped.push('\u{FFFD}');
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: TextStyle =
        TextStyle { size: 13.0, paint: Paint::Ink, anchor: Anchor::Start, halo: true };

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "\"/><script>alert('1')</script><!-- & ]]> \u{0} \u{1b}[31m \u{FFFF}";
        let mut scene = Scene::new(100.0, 50.0, hostile);
        scene.text((1.0, 20.0), hostile, PLAIN);
        for colors in [Colors::Light, Colors::Page] {
            let svg = scene.to_svg(colors);
            assert!(!svg.contains("<script") && !svg.contains("<!--"), "{svg}");
            assert!(!svg.contains('\u{0}') && !svg.contains('\u{1b}'));
            let options = resvg::usvg::roxmltree::ParsingOptions::default();
            let document =
                resvg::usvg::roxmltree::Document::parse_with_options(&svg, options).unwrap();
            let text = document.descendants().find(|node| node.has_tag_name("text"));
            assert!(text.is_none_or(|node| node.text().unwrap().contains("<script>")));
        }
    }

    #[test]
    fn lengths_are_short_and_signless_zero() {
        assert_eq!(number(1.0 / 3.0), "0.33");
        assert_eq!(number(-0.001), "0");
        assert_eq!(number(480.0), "480");
    }

    #[test]
    fn a_page_gets_properties_and_a_file_gets_colors() {
        let mut scene = Scene::new(10.0, 10.0, "a dot");
        scene.circle((5.0, 5.0), 2.0, Paint::Blue, None);
        let (file, page) = (scene.to_svg(Colors::Light), scene.to_svg(Colors::Page));
        assert!(file.contains("fill:#0072b2") && !file.contains("var("));
        assert!(page.contains("fill:var(--blue)") && !page.contains('#'));
    }
}
