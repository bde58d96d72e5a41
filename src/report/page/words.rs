//! Words and numbers in HTML.

use std::fmt::Write as _;

use crate::draw::svg::escape;
use crate::number::with_true_minus;

/// Text in HTML, with true minus signs.
pub(super) fn phrase(text: &str) -> String {
    escape(&with_true_minus(text))
}

/// A number in HTML that is not broken over lines.
pub(super) fn number_text(text: &str) -> String {
    format!("<span class=\"number\">{}</span>", phrase(text))
}

/// A paragraph of a class.
pub(super) fn paragraph(body: &mut String, class: &str, text: &str) {
    let _ = writeln!(body, "<p class=\"{class}\">{}</p>", phrase(text));
}
