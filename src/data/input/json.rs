//! JSON: objects whose text field is one document, one after the other or in one list.
//!
//! The text field may be a path, `raw.content`. A text that is null, or whose path ends early, is a
//! document without text, in this format as in Parquet. An object without the field itself is an
//! error, and so are a thousand objects in which the path ends early: its name is wrong.

use std::fmt;
use std::ops::ControlFlow;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor as JsonVisitor};

use super::files::InputFile;
use super::stream::Stream;
use super::text::{InvalidUtf8, decode_whole};
use super::{Pass, Reading, whole_document};
use crate::error::quoted;
use crate::{Error, Result};

/// An object is held in memory; longer ones are not text documents.
pub(super) const LINE_BYTES_MAX: usize = 64 << 20;

/// Objects without the field after which its name must be wrong.
const MISSING_MAX: u64 = 1000;

pub(super) fn visit(input: &InputFile, pass: &mut Pass<'_, String>) -> Result<ControlFlow<()>> {
    let mut frames = Frames::new(Stream::open(input)?);
    let mut objects = Objects::new(pass.reading);
    let mut value = Vec::new();
    while let Some(line) = frames.next(&mut value)? {
        frames.stream.report(pass.observer)?;
        let text = decode_whole(&value, pass, |at| format!("byte {at}"))
            .map_err(|error| error.at_line(line))?;
        if objects.visit(&text, line, pass)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    frames.stream.report(pass.observer)?;
    objects.end()?;
    Ok(ControlFlow::Continue(()))
}

/// Cuts a stream into the values that stand one after the other in it, or in one list.
struct Frames {
    stream: Stream,
    line: u64,
    state: Between,
}

/// What stands around the values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Between {
    Start,
    Values,
    List,
    End,
}

impl Between {
    /// Whether the byte stands between values.
    fn takes(&mut self, byte: u8) -> Result<bool> {
        match (*self, byte) {
            (_, b' ' | b'\t' | b'\r' | b'\n') | (Self::List, b',') => {}
            // A byte order mark.
            (Self::Start, 0xEF | 0xBB | 0xBF) => {}
            (Self::Start, b'[') => *self = Self::List,
            (Self::List, b']') => *self = Self::End,
            (Self::End, _) => return Err(Error::data("there is text after the end of the list")),
            (Self::Start, _) => {
                *self = Self::Values;
                return Ok(false);
            }
            (Self::Values | Self::List, _) => return Ok(false),
        }
        Ok(true)
    }
}

impl Frames {
    fn new(stream: Stream) -> Self {
        Self { stream, line: 1, state: Between::Start }
    }

    /// Puts the next value into `value` and returns the line that it starts in.
    fn next(&mut self, value: &mut Vec<u8>) -> Result<Option<u64>> {
        value.clear();
        let (mut scan, mut start) = (Scan::default(), 0);
        loop {
            let Self { stream, line, state } = self;
            let bytes = stream.fill()?;
            if bytes.is_empty() {
                return self.at_end(start, &scan, value);
            }
            let mut taken = 0;
            for &byte in bytes {
                taken += 1;
                *line += u64::from(byte == b'\n');
                if value.is_empty() {
                    if state.takes(byte).map_err(|error| error.at_line(*line))? {
                        continue;
                    }
                    start = *line;
                }
                value.push(byte);
                if scan.ends(byte) {
                    break;
                }
            }
            stream.consume(taken);
            if value.len() > LINE_BYTES_MAX {
                let most = LINE_BYTES_MAX >> 20;
                return Err(Error::data(format!("an object is longer than {most} MiB"))
                    .at_line(start)
                    .hint("each document is an object of its own"));
            }
            if scan.ended {
                return Ok(Some(start));
            }
        }
    }

    fn at_end(&self, start: u64, scan: &Scan, value: &[u8]) -> Result<Option<u64>> {
        // What is no object ends with the file, and fails where it is looked at.
        if !value.is_empty() && scan.depth == 0 && !scan.in_string {
            return Ok(Some(start));
        }
        match self.state {
            _ if !value.is_empty() => {
                let error = Error::data("the JSON ends within an object: the file is cut short");
                Err(error.at_line(start).hint("download or write the file again"))
            }
            Between::List => {
                let error = Error::data("the JSON ends within its list: the file is cut short");
                Err(error.at_line(self.line).hint("download or write the file again"))
            }
            _ => Ok(None),
        }
    }
}

/// Where in a value a scan is.
#[derive(Default)]
struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
    ended: bool,
}

impl Scan {
    /// Whether the value ends with this byte.
    fn ends(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        // A number or a word, which is no object anyway, ends with its line.
        let closes = matches!(byte, b'}' | b']' | b'\n') || byte == b'"' && !self.in_string;
        self.ended = self.depth == 0 && !self.in_string && closes;
        self.ended
    }
}

/// Takes the objects of a file and passes their texts on.
pub(super) struct Objects<'a> {
    reading: &'a Reading,
    /// Whether an object has had the field.
    found: bool,
    missing: u64,
    /// The first object without it: its line, and the fields that it has.
    first_missing: Option<(u64, Vec<String>)>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(reading: &'a Reading) -> Self {
        Self { reading, found: false, missing: 0, first_missing: None }
    }

    /// Passes the text of the object that starts in line `number` on.
    pub(super) fn visit(
        &mut self,
        object: &str,
        number: u64,
        pass: &mut Pass<'_, String>,
    ) -> Result<ControlFlow<()>> {
        let found = field(object, &self.reading.text_field).map_err(|e| e.at_line(number))?;
        match found {
            Found::Text(bytes) => {
                self.found = true;
                let (text, halves) = mend_surrogates(bytes);
                if let Some(at) = halves.first.filter(|_| self.refuses()) {
                    return Err(half_surrogate(at).at_line(number));
                }
                pass.counts.replaced_characters += halves.count;
                return whole_document(&text, pass);
            }
            Found::Null => self.found = true,
            // A line without the field is of another kind, or the name is wrong. That a path ends
            // early is common.
            Found::Missing(keys) if !self.reading.text_field.contains('.') => {
                return Err(self.no_field(number, &keys));
            }
            Found::Missing(keys) => {
                self.missing += 1;
                self.first_missing.get_or_insert((number, keys));
                if self.missing >= MISSING_MAX {
                    self.end()?;
                }
            }
        }
        pass.counts.empty_documents += 1;
        pass.counts.null_texts += 1;
        Ok(ControlFlow::Continue(()))
    }

    fn refuses(&self) -> bool {
        self.reading.invalid_utf8 == InvalidUtf8::Refuse
    }

    /// An error if all objects lack the field.
    pub(super) fn end(&self) -> Result<()> {
        match &self.first_missing {
            Some((line, keys)) if !self.found => Err(self.no_field(*line, keys)),
            _ => Ok(()),
        }
    }

    fn no_field(&self, line: u64, keys: &[String]) -> Error {
        let hint = match keys.len() {
            0 => "the object has no fields".to_owned(),
            _ => format!("`--text-field` names the field; this line has {}", keys.join(", ")),
        };
        let field = quoted(&self.reading.text_field);
        Error::data(format!("there is no field `{field}`")).at_line(line).hint(hint)
    }
}

fn half_surrogate(at: usize) -> Error {
    Error::data(format!("an escape of half a surrogate pair (such as \\ud800) at byte {at}"))
        .hint("`--invalid-utf8 replace` puts U+FFFD in its place")
}

/// Halves of surrogate pairs that were replaced.
#[derive(Default)]
struct Halves {
    first: Option<usize>,
    count: u64,
}

/// Puts U+FFFD in the place of halves of surrogate pairs, which the JSON reader leaves as three
/// bytes that are no UTF-8. The line itself is UTF-8, so nothing else can be wrong.
fn mend_surrogates(bytes: Vec<u8>) -> (String, Halves) {
    let mut halves = Halves::default();
    let error = match String::from_utf8(bytes) {
        Ok(text) => return (text, halves),
        Err(error) => error,
    };
    let start = error.utf8_error().valid_up_to();
    let mut bytes = error.into_bytes();
    for at in start..bytes.len().saturating_sub(2) {
        if let [0xED, 0xA0..=0xBF, 0x80..=0xBF] = bytes[at..at + 3] {
            bytes[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
            halves.first.get_or_insert(at);
            halves.count += 1;
        }
    }
    (String::from_utf8(bytes).expect("the rest of a line of UTF-8"), halves)
}

/// The text at the path `field` of the object in `line`.
fn field(line: &str, field: &str) -> Result<Found> {
    let mut json = serde_json::Deserializer::from_str(line);
    Field(field)
        .deserialize(&mut json)
        .and_then(|found| json.end().map(|()| found))
        .map_err(|cause| Error::data(format!("not a JSON object with text: {cause}")))
}

#[derive(Debug, PartialEq)]
enum Found {
    /// Bytes of UTF-8, but for halves of surrogate pairs.
    Text(Vec<u8>),
    Null,
    /// The first few fields that were there instead.
    Missing(Vec<String>),
}

/// Fields that a message names.
const KEYS_MAX: usize = 6;

/// Reads one field of an object, by its path, and skips the others without keeping them.
#[derive(Clone, Copy)]
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
        write!(f, "an object with the field `{}`", quoted(self.0))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Found, A::Error> {
        let (mut whole, mut nested, mut keys) = (None, None, Vec::new());
        while let Some(key) = map.next_key_seed(Text)? {
            let key = String::from_utf8_lossy(&key);
            let rest = self.0.strip_prefix(&*key).and_then(|rest| rest.strip_prefix('.'));
            if key == self.0 {
                whole = Some(map.next_value_seed(OrNull(Text))?.map_or(Found::Null, Found::Text));
            } else if let Some(rest) = rest {
                let inner = map.next_value_seed(OrNull(Field(rest)))?;
                nested = Some(match inner.unwrap_or(Found::Missing(Vec::new())) {
                    Found::Missing(inner) if inner.is_empty() => {
                        Found::Missing(vec![key.into_owned()])
                    }
                    Found::Missing(inner) => {
                        Found::Missing(inner.iter().map(|name| format!("{key}.{name}")).collect())
                    }
                    found => found,
                });
            } else {
                map.next_value::<IgnoredAny>()?;
                if keys.len() < KEYS_MAX {
                    keys.push(quoted(&key));
                }
            }
        }
        match (whole, nested) {
            (Some(found), _) => Ok(found),
            (None, Some(Found::Missing(inner))) => {
                keys.splice(0..0, inner.iter().map(|name| quoted(name)));
                keys.truncate(KEYS_MAX);
                Ok(Found::Missing(keys))
            }
            (None, Some(found)) => Ok(found),
            (None, None) => Ok(Found::Missing(keys)),
        }
    }
}

/// What a seed reads, or null.
struct OrNull<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for OrNull<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        json: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> JsonVisitor<'de> for OrNull<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E>(self) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(
        self,
        json: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        self.0.deserialize(json).map(Some)
    }
}

/// A string. As bytes, because only then the reader lets halves of surrogate pairs pass.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<Vec<u8>, D::Error> {
        json.deserialize_bytes(self)
    }
}

impl<'de> JsonVisitor<'de> for Text {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> std::result::Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_found_among_others() {
        for (line, path) in [
            (r#"{"text": "a\nb"}"#, "text"),
            (
                r#"{"id": 7, "meta": {"text": [1, {"x": null}]}, "text": "a\nb", "z": 1.5e3}"#,
                "text",
            ),
            (r#"{"raw": {"id": 1, "content": "a\nb"}, "x": "\ud800"}"#, "raw.content"),
            (r#"{"raw": {"content": "c"}, "raw.content": "a\nb"}"#, "raw.content"),
            (r#"{"a.b": {"c": {"d": "a\nb"}}, "\udfff": 1}"#, "a.b.c.d"),
        ] {
            assert_eq!(field(line, path).unwrap(), Found::Text(b"a\nb".to_vec()), "{line}");
        }
    }

    #[test]
    fn null_and_missing_texts_are_told_from_errors() {
        for (line, path, found) in [
            (r#"{"text": null}"#, "text", Found::Null),
            (r#"{"raw": null}"#, "raw.content", Found::Missing(vec!["raw".to_owned()])),
            (r#"{"raw": {}}"#, "raw.content", Found::Missing(vec!["raw".to_owned()])),
            (r#"{"raw": {"content": null}}"#, "raw.content", Found::Null),
            ("{}", "text", Found::Missing(Vec::new())),
            (r#"{"raw": {"id": 1}, "z": 2}"#, "raw.content", {
                Found::Missing(vec!["raw.id".to_owned(), "z".to_owned()])
            }),
            (r#"{"a\u001b": 1}"#, "text", Found::Missing(vec!["a\\u{1b}".to_owned()])),
        ] {
            assert_eq!(field(line, path).unwrap(), found, "{line}");
        }
    }

    #[test]
    fn other_lines_are_errors() {
        for (line, part) in [
            ("{\"text\": ", "EOF while parsing"),
            ("\"text\"", "expected an object"),
            ("[1, 2]", "expected an object"),
            (r#"{"text": 5}"#, "expected a string"),
            (r#"{"text": ["a"]}"#, "expected a string"),
            (r#"{"text": {"text": "a"}}"#, "expected a string"),
            (r#"{"text": "a"} {"text": "b"}"#, "trailing characters"),
            (r#"{"text": "\u12"}"#, "escape"),
        ] {
            let error = field(line, "text").unwrap_err();
            assert!(error.to_string().contains(part), "{line}: {error}");
        }
        assert!(field(r#"{"raw": "a"}"#, "raw.content").is_err());
        let deep = "[".repeat(100_000);
        assert!(field(&format!("{{\"x\": {deep}"), "text").is_err());
    }

    #[test]
    fn halves_of_pairs_are_replaced_one_by_one() {
        let line = r#"{"text": "a\ud800b\udc00\ud83d\ude00\ud83d"}"#;
        let Found::Text(bytes) = field(line, "text").unwrap() else { panic!("a text") };
        let (text, halves) = mend_surrogates(bytes);
        assert_eq!((halves.first, halves.count), (Some(1), 3));
        assert_eq!(text, "a\u{fffd}b\u{fffd}😀\u{fffd}");
    }
}
