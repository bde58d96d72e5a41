//! Pictures as PDF, for papers: vector graphics with text as outlines.
//!
//! The picture is parsed once as SVG, which turns text into the glyphs of the committed font; its
//! paths are then written in the few operators that a PDF of one page needs. There is no font, no
//! clip and no time stamp in the file, so that equal pictures are equal files.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use resvg::tiny_skia::{Path, PathSegment, Transform};
use resvg::usvg::{FillRule, Group, Node, Paint, PaintOrder, Path as Shape, Tree};

use super::png;
use super::svg::Scene;

/// Points of a PDF (1/72 inch) per picture unit: a picture of 480 units is 240 points wide, the
/// 85 mm of a journal column.
const SCALE: f64 = 0.5;

/// The picture as a PDF file of one page.
///
/// # Panics
/// If the picture is not well formed, which would be a bug of [`Scene`].
#[must_use]
pub fn encode(scene: &Scene) -> Vec<u8> {
    let tree = png::tree(&scene.to_svg(super::palette::Colors::Light));
    file(&tree, scene.size())
}

/// The operators of a page, and the opacities that they ask for.
#[derive(Default)]
struct Content {
    text: String,
    /// Opacities in percent, in the order of their names `/G0`, `/G1`, ...
    opacities: Vec<u32>,
}

fn file(tree: &Tree, (width, height): (f64, f64)) -> Vec<u8> {
    let mut content = Content::default();
    // PDF counts upwards from the lower left corner.
    let _ = writeln!(content.text, "{SCALE} 0 0 -{SCALE} 0 {} cm", number(SCALE * height));
    content.group(tree.root());
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content.text.as_bytes()).expect("writing into memory does not fail");
    let stream = encoder.finish().expect("writing into memory does not fail");
    let states: Vec<String> = (0..content.opacities.len())
        .map(|index| {
            let share = f64::from(content.opacities[index]) / 100.0;
            format!("/G{index} << /ca {share} /CA {share} >>")
        })
        .collect();
    let page = format!(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {} {}] /Contents 4 0 R /Resources \
         << /ExtGState << {} >> >> >>",
        number(SCALE * width),
        number(SCALE * height),
        states.join(" ")
    );
    let objects: [(String, &[u8]); 4] = [
        ("<< /Type /Catalog /Pages 2 0 R >>".to_owned(), &[]),
        ("<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(), &[]),
        (page, &[]),
        (format!("<< /Length {} /Filter /FlateDecode >>", stream.len()), &stream),
    ];
    // The second line tells programs that look at the beginning that the file is binary.
    let mut bytes = b"%PDF-1.5\n%\xE2\xE3\xCF\xD3\n".to_vec();
    let mut offsets = Vec::new();
    for (index, (dictionary, stream)) in objects.iter().enumerate() {
        offsets.push(bytes.len());
        bytes.extend(format!("{} 0 obj\n{dictionary}\n", index + 1).bytes());
        if !stream.is_empty() {
            bytes.extend_from_slice(b"stream\n");
            bytes.extend_from_slice(stream);
            bytes.extend_from_slice(b"\nendstream\n");
        }
        bytes.extend_from_slice(b"endobj\n");
    }
    let table = bytes.len();
    let count = objects.len() + 1;
    bytes.extend(format!("xref\n0 {count}\n0000000000 65535 f \n").bytes());
    for offset in offsets {
        bytes.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    let end = format!("trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n");
    bytes.extend(end.bytes());
    bytes
}

impl Content {
    fn group(&mut self, group: &Group) {
        for node in group.children() {
            match node {
                Node::Group(group) => self.group(group),
                Node::Path(path) => self.shape(path),
                Node::Text(text) => self.group(text.flattened()),
                Node::Image(_) => {}
            }
        }
    }

    fn shape(&mut self, shape: &Shape) {
        if !shape.is_visible() {
            return;
        }
        let fill = |content: &mut Self| {
            let Some(fill) = shape.fill() else { return };
            content.state(f64::from(fill.opacity().get()));
            content.color(fill.paint(), "rg");
            content.path(shape.data(), shape.abs_transform());
            content.text.push_str(match fill.rule() {
                FillRule::NonZero => "f\n",
                FillRule::EvenOdd => "f*\n",
            });
        };
        let stroke = |content: &mut Self| {
            let Some(stroke) = shape.stroke() else { return };
            content.state(f64::from(stroke.opacity().get()));
            content.color(stroke.paint(), "RG");
            let (width, cap) = (f64::from(stroke.width().get()), stroke.linecap() as u8);
            let dashes = stroke.dasharray().unwrap_or_default();
            let dashes: Vec<String> = dashes.iter().map(|&d| number(f64::from(d))).collect();
            let _ = writeln!(
                content.text,
                "{} w {cap} J 1 j [{}] 0 d",
                number(width),
                dashes.join(" ")
            );
            content.path(shape.data(), shape.abs_transform());
            content.text.push_str("S\n");
        };
        if shape.paint_order() == PaintOrder::StrokeAndFill {
            stroke(self);
            fill(self);
        } else {
            fill(self);
            stroke(self);
        }
    }

    /// Sets the opacity of what follows.
    fn state(&mut self, opacity: f64) {
        let percent = (100.0 * opacity).round() as u32;
        let known = self.opacities.iter().position(|&own| own == percent);
        let index = known.unwrap_or_else(|| {
            self.opacities.push(percent);
            self.opacities.len() - 1
        });
        let _ = writeln!(self.text, "/G{index} gs");
    }

    fn color(&mut self, paint: &Paint, operator: &str) {
        // A scene has plain colors only.
        let Paint::Color(color) = paint else { return };
        let share = |byte: u8| number(f64::from(byte) / 255.0);
        let (red, green, blue) = (share(color.red), share(color.green), share(color.blue));
        let _ = writeln!(self.text, "{red} {green} {blue} {operator}");
    }

    fn path(&mut self, path: &Path, transform: Transform) {
        let Some(path) = path.clone().transform(transform) else { return };
        let pair = |point: resvg::tiny_skia::Point| {
            format!("{} {}", number(f64::from(point.x)), number(f64::from(point.y)))
        };
        let mut at = resvg::tiny_skia::Point::default();
        for segment in path.segments() {
            match segment {
                PathSegment::MoveTo(to) => {
                    let _ = writeln!(self.text, "{} m", pair(to));
                    at = to;
                }
                PathSegment::LineTo(to) => {
                    let _ = writeln!(self.text, "{} l", pair(to));
                    at = to;
                }
                PathSegment::QuadTo(control, to) => {
                    // PDF has cubic curves only: the same curve with two controls.
                    let third = |end: resvg::tiny_skia::Point| {
                        let along = |from: f32, to: f32| from + 2.0 / 3.0 * (to - from);
                        resvg::tiny_skia::Point::from_xy(
                            along(end.x, control.x),
                            along(end.y, control.y),
                        )
                    };
                    let _ = writeln!(
                        self.text,
                        "{} {} {} c",
                        pair(third(at)),
                        pair(third(to)),
                        pair(to)
                    );
                    at = to;
                }
                PathSegment::CubicTo(first, second, to) => {
                    let _ = writeln!(self.text, "{} {} {} c", pair(first), pair(second), pair(to));
                    at = to;
                }
                PathSegment::Close => self.text.push_str("h\n"),
            }
        }
    }
}

/// A number with at most three decimals; PDF knows no exponents.
fn number(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    format!("{}", rounded + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::palette::Paint;
    use crate::draw::svg::{Anchor, Stroke, TextStyle};

    #[test]
    fn a_page_has_its_size_its_colors_and_its_text_as_outlines() {
        let mut scene = Scene::new(480.0, 100.0, "a band and a word");
        scene.veil(vec![(0.0, 0.0), (50.0, 0.0), (50.0, 50.0)], Paint::Blue, 0.16);
        scene.line((0.0, 0.0), (480.0, 100.0), Stroke::dashed(Paint::Vermillion, 2.0));
        let style = TextStyle { size: 13.0, paint: Paint::Ink, anchor: Anchor::Start, halo: true };
        scene.text((10.0, 50.0), "E = 3.169", style);
        let bytes = encode(&scene);
        assert_eq!(bytes, encode(&scene), "equal pictures are equal files");
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("%PDF-1.5\n") && text.ends_with("%%EOF\n"));
        assert!(text.contains("/MediaBox [0 0 240 50]") && text.contains("/ca 0.16"), "{text}");
        // Every object lies where the table says.
        let table: usize =
            text.rsplit("startxref\n").next().unwrap().lines().next().unwrap().parse().unwrap();
        assert!(bytes[table..].starts_with(b"xref\n0 5\n"));
        let entries = std::str::from_utf8(&bytes[table + 9..]).unwrap();
        for (index, line) in entries.lines().skip(1).take(4).enumerate() {
            let offset: usize = line[..10].parse().unwrap();
            assert!(bytes[offset..].starts_with(format!("{} 0 obj", index + 1).as_bytes()));
        }
        let tree = png::tree(&scene.to_svg(crate::draw::palette::Colors::Light));
        let mut content = Content::default();
        content.group(tree.root());
        let count = |operator: &str| content.text.lines().filter(|l| l.ends_with(operator)).count();
        // Surface, band and the word's glyphs are filled; the line and the halo are stroked.
        assert!(count("f") >= 3 && count("S") >= 2 && count(" c") > 20, "{}", content.text);
        assert!(content.text.contains("[4 3] 0 d"));
        assert!(!content.text.contains("Tj"), "no text operators, hence no font is needed");
    }
}
