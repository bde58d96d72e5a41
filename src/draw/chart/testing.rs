//! What every picture must keep, for tests: nothing leaves it, no text touches another one.

use crate::draw::palette::Colors;
use crate::draw::png;
use crate::draw::svg::Scene;

/// Asserts that nothing leaves the picture and that no text touches another one; writes it as
/// `SCARCE_FIGURES/NAME.png` and `.svg` where that is asked for.
pub(crate) fn check_scene(name: &str, scene: &Scene) {
    let (width, height) = scene.size();
    let boxes = scene.text_boxes();
    for (index, (text, [left, top, right, bottom])) in boxes.iter().enumerate() {
        let inside = *left >= 0.0 && *top >= 0.0 && *right <= width && *bottom <= height;
        assert!(inside, "{name}: `{text}` leaves the picture: {left} {top} {right} {bottom}");
        for (other, [l, t, r, b]) in &boxes[..index] {
            let apart = right <= l || r <= left || bottom <= t || b <= top;
            assert!(apart, "{name}: `{text}` overlaps `{other}`");
        }
    }
    let [left, top, right, bottom] = scene.extent();
    let inside = left >= 0.0 && top >= 0.0 && right <= width && bottom <= height;
    assert!(inside, "{name}: a shape leaves the picture: {left} {top} {right} {bottom}");
    if let Ok(folder) = std::env::var("SCARCE_FIGURES") {
        let folder = std::path::Path::new(&folder);
        std::fs::write(folder.join(format!("{name}.png")), png::encode(scene)).unwrap();
        std::fs::write(folder.join(format!("{name}.svg")), scene.to_svg(Colors::Light)).unwrap();
    }
}
