//! The one font of all pictures and how wide its text is.
//!
//! Layouts are made for DejaVu Sans, which is committed in a small subset so that a PNG needs no
//! installed font and looks the same everywhere. A browser may show an SVG in another font; DejaVu
//! is wider than the usual ones, so what fits here fits there.

/// Names for `font-family`: the committed font, its metric twin, then whatever there is.
pub const FAMILY: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";

/// The font file: ASCII, some Greek letters and mathematical signs, one weight.
pub(super) const FILE: &[u8] = include_bytes!("fonts/DejaVuSans-subset.ttf");

/// Height of digits and capitals as a share of the font size; centers a line of text on a point.
pub(crate) const CAP_HEIGHT: f64 = 0.729;

const UNITS_PER_EM: f64 = 2048.0;

/// Advance widths of the characters from space to `~`, in font units.
const ASCII_ADVANCES: [u16; 95] = [
    651, 821, 942, 1716, 1303, 1946, 1597, 563, 799, 799, 1024, 1716, 651, 739, 651, 690, 1303,
    1303, 1303, 1303, 1303, 1303, 1303, 1303, 1303, 1303, 690, 690, 1716, 1716, 1716, 1087, 2048,
    1401, 1405, 1430, 1577, 1294, 1178, 1587, 1540, 604, 604, 1343, 1141, 1767, 1532, 1612, 1235,
    1612, 1423, 1300, 1251, 1499, 1401, 2025, 1403, 1251, 1403, 799, 690, 799, 1716, 1024, 1024,
    1255, 1300, 1126, 1300, 1260, 721, 1300, 1298, 569, 569, 1186, 569, 1995, 1298, 1253, 1300,
    1300, 842, 1067, 803, 1298, 1212, 1675, 1212, 1212, 1075, 1303, 690, 1303, 1716,
];

/// Advance of the signs of calculation, such as plus-minus and the minus sign.
const SIGN_ADVANCE: u16 = 1716;

/// What is allowed for any other character: as much as the widest letters need.
const OTHER_ADVANCE: u16 = 2048;

/// The width of a line of text at a font size, in the unit of the size.
#[must_use]
pub fn text_width(text: &str, size: f64) -> f64 {
    let units: u32 = text.chars().map(|character| u32::from(advance(character))).sum();
    f64::from(units) / UNITS_PER_EM * size
}

/// The text itself if it is at most `width` wide, else its beginning with an ellipsis.
#[must_use]
pub fn fit(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let room = width - text_width("…", size);
    let mut fitted = String::new();
    let mut used = 0.0;
    for character in text.chars() {
        used += f64::from(advance(character)) / UNITS_PER_EM * size;
        if used > room {
            break;
        }
        fitted.push(character);
    }
    fitted.push('…');
    fitted
}

fn advance(character: char) -> u16 {
    match character {
        ' '..='~' => ASCII_ADVANCES[character as usize - ' ' as usize],
        '±' | '×' | '÷' | '−' | '≤' | '≥' | '≈' | '←' | '→' => SIGN_ADVANCE,
        '–' => 1024,
        _ => OTHER_ADVANCE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fitting_keeps_short_text_and_cuts_long_text() {
        assert_eq!(fit("standard-4", 10.0, 80.0), "standard-4");
        let cut = fit("a-very-long-name-of-a-recipe", 10.0, 80.0);
        assert!(cut.ends_with('…') && cut.starts_with("a-very"), "{cut}");
        assert!(text_width(&cut, 10.0) <= 80.0);
        assert_eq!(fit("abc", 10.0, 1.0), "…");
    }
}
