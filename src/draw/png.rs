//! Pictures as PNG, for places that show no SVG.

use resvg::{tiny_skia, usvg};

use super::font;
use super::palette::Colors;
use super::svg::Scene;

/// Pixels per picture unit: a picture of 480 units is 1440 pixels wide, 430 per inch at 85 mm.
pub const SCALE: f32 = 3.0;

/// The picture as a PNG file, drawn with the committed font only.
///
/// # Panics
/// If the picture is empty or not well formed, which would be a bug of [`Scene`].
#[must_use]
pub fn encode(scene: &Scene) -> Vec<u8> {
    let tree = tree(&scene.to_svg(Colors::Light));
    let size = tree.size().to_int_size().scale_by(SCALE).expect("a picture has an area");
    let mut pixels =
        tiny_skia::Pixmap::new(size.width(), size.height()).expect("a picture has an area");
    resvg::render(&tree, tiny_skia::Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().expect("encoding into memory does not fail")
}

/// Parses a picture with the committed font as the only one.
pub(super) fn tree(svg: &str) -> usvg::Tree {
    let mut options = usvg::Options { font_family: "DejaVu Sans".into(), ..Default::default() };
    options.fontdb_mut().load_font_data(font::FILE.to_vec());
    usvg::Tree::from_str(svg, &options).expect("a scene is a well-formed picture")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::palette::Paint;
    use crate::draw::svg::{Anchor, TextStyle};

    #[test]
    fn a_picture_has_its_size_and_its_colors() {
        let mut scene = Scene::new(20.0, 10.0, "a square");
        scene.rectangle((10.0, 0.0), 10.0, 10.0, Paint::Blue);
        let png = encode(&scene);
        let pixels = tiny_skia::Pixmap::decode_png(&png).unwrap();
        assert_eq!((pixels.width(), pixels.height()), (60, 30));
        let color = |x| {
            let pixel = pixels.pixel(x, 15).unwrap();
            (pixel.red(), pixel.green(), pixel.blue(), pixel.alpha())
        };
        assert_eq!(color(15), (255, 255, 255, 255));
        assert_eq!(color(45), (0x00, 0x72, 0xb2, 255));
    }

    #[test]
    fn text_is_drawn_and_as_wide_as_the_layout_believes() {
        let samples = ["standard-32", "0.4296 ± 0.0044", "ensemble-3 − larger ≤ 1 × 2", "WiMl@#%"];
        for sample in samples {
            let style =
                TextStyle { size: 20.0, paint: Paint::Ink, anchor: Anchor::Start, halo: false };
            let mut scene = Scene::new(600.0, 40.0, "text");
            scene.text((0.0, 30.0), format!("|{sample}|"), style);
            let tree = tree(&scene.to_svg(Colors::Light));
            let mut texts = tree.root().children().iter().filter_map(|node| match node {
                usvg::Node::Text(text) => Some(text.flattened().stroke_bounding_box()),
                _ => None,
            });
            let drawn = f64::from(texts.next_back().expect("the text is drawn").width());
            let believed = font::text_width(&format!("|{sample}|"), 20.0);
            // The bars have a blank margin on their outer sides.
            assert!(drawn < believed && drawn > believed - 12.0, "{sample}: {drawn} {believed}");
        }
    }
}
