//! JSON as it stands in files. What is written so is plain data: numbers, texts, lists, fields.

use serde::Serialize;

/// A file for people: indented, with a line feed at its end.
///
/// # Panics
/// If the value has no JSON form.
#[must_use]
pub fn json_file(value: &impl Serialize) -> Vec<u8> {
    ended(serde_json::to_vec_pretty(value))
}

/// One line of a log, with its line feed.
///
/// # Panics
/// As [`json_file`].
#[must_use]
pub fn json_line(value: &impl Serialize) -> Vec<u8> {
    ended(serde_json::to_vec(value))
}

fn ended(text: serde_json::Result<Vec<u8>>) -> Vec<u8> {
    let mut text = text.expect("plain data has a JSON form");
    text.push(b'\n');
    text
}
