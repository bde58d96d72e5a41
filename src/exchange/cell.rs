//! Values as foreign programs write them: numbers as text, NaN in JSON, control characters.

use std::borrow::Cow;

use serde_json::Value;

use crate::error::{is_printable, quoted};
use crate::{Error, Result};

/// Longest text that is kept of a value, in characters.
const TEXT_MAX: usize = 1000;

/// Words for "no value" in tables, beside nothing at all.
const NONE: [&str; 8] = ["null", "none", "n/a", "#n/a", "na", "-", "--", "\u{2013}"];

/// The text without control characters, which could take over a terminal, and of bounded length.
#[must_use]
pub fn printable(text: &str) -> String {
    text.trim().chars().filter(|c| is_printable(*c)).take(TEXT_MAX).collect()
}

/// The number that a value stands for: `None` where it is empty, and NaN or infinite where it says
/// so. Text that is no number is an error.
pub(super) fn number(value: &Value, name: &str) -> Result<Option<f64>> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => return Ok(number.as_f64()),
        Value::String(text) => text.trim(),
        other => {
            let what = format!("{} in `{}` is not a number", kind(other), quoted(name));
            return Err(Error::data(what));
        }
    };
    if text.is_empty() || NONE.contains(&text.to_lowercase().as_str()) {
        return Ok(None);
    }
    text.parse::<f64>().map(Some).map_err(|_| {
        let name = quoted(name);
        let error = Error::data(format!("`{}` in `{name}` is not a number", quoted(text)));
        match text.starts_with(|c: char| c.is_ascii_digit()) && text.contains(',') {
            true => error.hint(
                "write thousands without a mark; decimals with a comma are read with \
                 --decimal comma",
            ),
            false => error
                .hint(format!("if `{name}` is something else, say which column is meant: --map")),
        }
    })
}

/// The finite number that a value stands for, if it is one.
pub(super) fn finite(value: &Value) -> Option<f64> {
    number(value, "").ok()?.filter(|number| number.is_finite())
}

/// The text of a value; `None` where it is empty. NaN is how pandas writes a text that is missing.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => printable(text),
        other => other.to_string(),
    };
    (!text.is_empty() && text != NAN).then_some(text)
}

/// NaN as Python writes it.
pub(super) const NAN: &str = "NaN";

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "true or false",
        Value::Array(_) => "a list",
        _ => "an object",
    }
}

/// Replaces the numbers that Python writes and JSON does not know: `NaN` and `Infinity` become
/// texts, which [`number`] reads. A run that ends in them has diverged, so that they must not get
/// lost. Works piece by piece.
#[derive(Debug, Default)]
pub(super) struct PythonNumbers {
    quoted: bool,
    escaped: bool,
    /// Letters of a word that may be one of them, with its sign.
    word: Vec<u8>,
}

impl PythonNumbers {
    /// Appends the bytes to `out`, except for an unfinished word.
    pub(super) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            if self.quoted {
                out.push(byte);
                match (self.escaped, byte) {
                    (false, b'"') => self.quoted = false,
                    (escaped, _) => self.escaped = !escaped && byte == b'\\',
                }
            } else if byte.is_ascii_alphabetic() && self.word.len() < 16
                || byte == b'-' && self.word.is_empty()
            {
                self.word.push(byte);
            } else {
                self.finish(out);
                self.quoted = byte == b'"';
                out.push(byte);
            }
        }
    }

    /// Appends the unfinished word.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let foreign = match self.word.strip_prefix(b"-").unwrap_or(&self.word) {
            b"NaN" => Some(&b"NaN"[..]),
            b"Infinity" => Some(&self.word[..]),
            _ => None,
        };
        match foreign {
            Some(word) => out.extend([b"\"", word, b"\""].concat()),
            None => out.extend_from_slice(&self.word),
        }
        self.word.clear();
    }
}

/// Parses JSON that Python may have written.
pub(super) fn parse(text: &[u8]) -> serde_json::Result<Value> {
    let foreign = text.windows(3).any(|three| three == b"NaN" || three == b"Inf");
    let text = match foreign {
        false => Cow::Borrowed(text),
        true => {
            let (mut numbers, mut out) = (PythonNumbers::default(), Vec::with_capacity(text.len()));
            numbers.feed(text, &mut out);
            numbers.finish(&mut out);
            Cow::Owned(out)
        }
    };
    serde_json::from_slice(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_of_other_programs_are_read() {
        let read = |value: Value| number(&value, "lr").unwrap();
        assert_eq!(read(json!(3)), Some(3.0));
        assert_eq!(read(json!(" 1e-3 ")), Some(1e-3));
        assert_eq!(read(json!("")), None);
        assert_eq!(read(Value::Null), None);
        assert!(read(json!("NaN")).unwrap().is_nan());
        assert_eq!(read(json!("-Infinity")), Some(f64::NEG_INFINITY));
        let error = number(&json!("fast\u{1b}[2J"), "lr").unwrap_err().to_string();
        assert!(error.starts_with("`fast\\u{1b}[2J` in `lr` is not a number\nhint: "), "{error}");
        assert_eq!(read(json!("N/A")), None);
        assert!(number(&json!([1]), "lr").unwrap_err().to_string().starts_with("a list in `lr`"));
    }

    #[test]
    fn python_json_is_json() {
        let check = |text: &str, expected: Value| {
            assert_eq!(parse(text.as_bytes()).unwrap(), expected, "{text}");
            // In pieces of every size it is the same.
            for size in 1..text.len() {
                let (mut numbers, mut out) = (PythonNumbers::default(), Vec::new());
                text.as_bytes().chunks(size).for_each(|piece| numbers.feed(piece, &mut out));
                numbers.finish(&mut out);
                assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
            }
        };
        check(r#"[NaN, -Infinity, -1, 1e-3, true]"#, json!(["NaN", "-Infinity", -1, 1e-3, true]));
        check(
            r#"{"NaN": "a \"NaN\\", "b": Infinity}"#,
            json!({"NaN": "a \"NaN\\", "b": "Infinity"}),
        );
        check("-NaN", json!("NaN"));
        assert!(parse(b"[Nan]").is_err());
        assert!(parse(&b"[".repeat(100_000)).is_err());
    }
}
