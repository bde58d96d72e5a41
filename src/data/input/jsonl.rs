//! JSON lines: one object per line, whose text field is one document.

use std::fmt;
use std::ops::ControlFlow;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor as JsonVisitor};

use super::files::InputFile;
use super::stream::{Observer, Stream};
use super::text::{InvalidUtf8, invalid};
use super::{ReadCounts, Reading, Visitor, whole_document};
use crate::{Error, Result};

/// A line is held in memory; longer ones are not lines of text documents.
const LINE_BYTES_MAX: usize = 64 << 20;

pub(super) fn visit(
    input: &InputFile,
    reading: &Reading,
    visitor: &mut dyn Visitor<String>,
    observer: &mut dyn Observer,
    counts: &mut ReadCounts,
) -> Result<ControlFlow<()>> {
    let mut stream = Stream::open(input)?;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        stream.line(&mut line, LINE_BYTES_MAX)?;
        stream.report(observer)?;
        if line.is_empty() {
            break;
        }
        if line.len() == LINE_BYTES_MAX {
            let most = LINE_BYTES_MAX >> 20;
            return Err(Error::data(format!("the line is longer than {most} MiB"))
                .at_line(number)
                .hint("a `.jsonl` file has one document per line"));
        }
        let text = match std::str::from_utf8(&line) {
            Ok(text) => std::borrow::Cow::Borrowed(text),
            Err(_) if reading.invalid_utf8 == InvalidUtf8::Replace => {
                let replaced = String::from_utf8_lossy(&line);
                counts.replaced_characters +=
                    replaced.chars().filter(|&c| c == char::REPLACEMENT_CHARACTER).count() as u64;
                replaced
            }
            Err(error) => {
                let place = format!("byte {}", error.valid_up_to());
                return Err(invalid(&place).at_line(number));
            }
        };
        let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { &text };
        if text.trim().is_empty() {
            continue;
        }
        let document = field(text, &reading.text_field).map_err(|error| error.at_line(number))?;
        if whole_document(&document, visitor, counts)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The text in `field` of the object in `line`.
fn field(line: &str, field: &str) -> Result<String> {
    let mut json = serde_json::Deserializer::from_str(line);
    let found = Field(field)
        .deserialize(&mut json)
        .and_then(|found| json.end().map(|()| found))
        .map_err(|cause| Error::data(format!("not a JSON object with text: {cause}")))?;
    match found {
        Found::Text(text) => Ok(text),
        Found::Missing(keys) => {
            Err(Error::data(format!("there is no field `{field}`")).hint(match keys.len() {
                0 => "the object has no fields".to_owned(),
                _ => format!("`--text-field` names the field; this line has {}", keys.join(", ")),
            }))
        }
    }
}

enum Found {
    Text(String),
    /// The first few fields that were there instead.
    Missing(Vec<String>),
}

/// Reads one field of an object and skips the others without keeping them.
struct Field<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<Found, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> JsonVisitor<'de> for Field<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the field `{}`", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Found, A::Error> {
        let (mut text, mut keys) = (None, Vec::new());
        while let Some(key) = map.next_key::<String>()? {
            if key == self.0 {
                text = Some(map.next_value::<String>()?);
            } else {
                map.next_value::<IgnoredAny>()?;
                if keys.len() < 8 {
                    keys.push(key);
                }
            }
        }
        Ok(text.map_or(Found::Missing(keys), Found::Text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_found_among_others() {
        for line in [
            r#"{"text": "a\nb"}"#,
            r#"{"id": 7, "meta": {"text": [1, {"x": null}]}, "text": "a\nb", "z": 1.5e3}"#,
        ] {
            assert_eq!(field(line, "text").unwrap(), "a\nb");
        }
    }

    #[test]
    fn other_lines_are_errors() {
        for (line, part) in [
            ("{\"text\": ", "EOF while parsing"),
            ("\"text\"", "expected an object"),
            ("[1, 2]", "expected an object"),
            (r#"{"text": 5}"#, "expected a string"),
            (r#"{"text": null}"#, "expected a string"),
            (r#"{"text": "a"} {"text": "b"}"#, "trailing characters"),
            (r#"{"text": "\ud800"}"#, "hex escape"),
            (r#"{"body": "a", "id": 1}"#, "this line has body, id"),
            ("{}", "no field `text`"),
        ] {
            let error = field(line, "text").unwrap_err();
            assert!(error.to_string().contains(part), "{line}: {error}");
        }
        let deep = "[".repeat(100_000);
        assert!(field(&format!("{{\"x\": {deep}"), "text").is_err());
    }
}
