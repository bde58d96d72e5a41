//! Text files: one document each, of any length.
//!
//! A file is read twice: its hash decides where it goes before its text is passed on. The text is
//! taken as it is, except for a byte order mark at the start, which is dropped.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::content::KeyHasher;
use super::files::InputFile;
use super::stream::{Observer, Stream};
use super::{Head, Pass, ReadCounts};
use crate::{Error, Result};

/// What to do about bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InvalidUtf8 {
    /// Stop with an error that names the place.
    #[default]
    Refuse,
    /// Put U+FFFD in their place and count them.
    Replace,
}

const BYTE_ORDER_MARK: &str = "\u{feff}";

pub(super) fn visit(input: &InputFile, pass: &mut Pass<'_, String>) -> Result<ControlFlow<()>> {
    let mut key = KeyHasher::default();
    let (mut length, mut blank) = (0, true);
    let mut ignored = ReadCounts::default();
    let policy = pass.reading.invalid_utf8;
    decode(input, policy, &mut (), &mut ignored, &mut |text| {
        key.update(text.as_bytes());
        length += text.len() as u64;
        blank = blank && text.trim_start().is_empty();
        Ok(())
    })?;
    if blank {
        pass.counts.empty_documents += 1;
        pass.observer.advance(input.bytes)?;
        return Ok(ControlFlow::Continue(()));
    }
    if pass.visitor.document(Head { key: key.finish(), length })?.is_break() {
        return Ok(ControlFlow::Break(()));
    }
    decode(input, policy, pass.observer, &mut pass.counts, &mut |text| pass.visitor.part(text))?;
    pass.visitor.end()?;
    Ok(ControlFlow::Continue(()))
}

/// Passes the text of a file on in parts.
fn decode(
    input: &InputFile,
    policy: InvalidUtf8,
    observer: &mut dyn Observer,
    counts: &mut ReadCounts,
    sink: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    let mut stream = Stream::open(input)?;
    let mut utf8 = Utf8Decoder::new(policy);
    loop {
        let bytes = stream.fill()?;
        if bytes.is_empty() {
            break;
        }
        check_is_text(bytes)?;
        let taken = bytes.len();
        utf8.push(bytes, sink)?;
        stream.consume(taken);
        stream.report(observer)?;
    }
    counts.replaced_characters += utf8.finish(sink)?;
    Ok(())
}

/// Control characters hardly occur in text; in binary files they abound.
fn check_is_text(bytes: &[u8]) -> Result<()> {
    let control = |byte: &&u8| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127);
    let count = bytes.iter().filter(control).count();
    if count * 50 <= bytes.len() {
        return Ok(());
    }
    let error = Error::data(format!(
        "this is a binary file, not text: {count} control characters in {} bytes",
        bytes.len()
    ));
    Err(match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
            error.hint("it looks like UTF-16: convert it to UTF-8")
        }
        _ => error.hint("leave it out, or convert it to text first"),
    })
}

/// Turns bytes that come in parts into text.
struct Utf8Decoder {
    policy: InvalidUtf8,
    /// The beginning of a character whose rest has not come yet: at most 3 bytes.
    pending: Vec<u8>,
    /// Bytes before the pending ones.
    offset: u64,
    replaced: u64,
}

impl Utf8Decoder {
    fn new(policy: InvalidUtf8) -> Self {
        Self { policy, pending: Vec::new(), offset: 0, replaced: 0 }
    }

    fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let mut joined = std::mem::take(&mut self.pending);
        let mut rest = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.emit(text, sink)?;
                    return Ok(());
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    let valid = std::str::from_utf8(valid).expect("valid up to here");
                    self.emit(valid, sink)?;
                    let Some(length) = error.error_len() else {
                        self.pending = after.to_vec();
                        return Ok(());
                    };
                    self.replace(length, sink)?;
                    rest = &after[length..];
                }
            }
        }
    }

    /// The end of the file; returns how many characters were put in place of others.
    fn finish(mut self, sink: &mut dyn FnMut(&str) -> Result<()>) -> Result<u64> {
        if !self.pending.is_empty() {
            self.replace(self.pending.len(), sink)?;
        }
        Ok(self.replaced)
    }

    fn emit(&mut self, text: &str, sink: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let unmarked = if self.offset == 0 { text.strip_prefix(BYTE_ORDER_MARK) } else { None };
        self.offset += text.len() as u64;
        match unmarked.unwrap_or(text) {
            "" => Ok(()),
            text => sink(text),
        }
    }

    fn replace(&mut self, length: usize, sink: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        if self.policy == InvalidUtf8::Refuse {
            return Err(invalid(&format!("byte {}", self.offset)));
        }
        self.offset += length as u64;
        self.replaced += 1;
        sink("\u{fffd}")
    }
}

/// Text that is not UTF-8, at a place.
fn invalid(place: &str) -> Error {
    Error::data(format!("invalid UTF-8 at {place}"))
        .hint("convert the file to UTF-8, or use `--invalid-utf8 replace`")
}

/// A text in memory by the policy; `place` says where its first bad byte lies.
pub(super) fn decode_whole<'a>(
    bytes: &'a [u8],
    pass: &mut Pass<'_, String>,
    place: impl FnOnce(usize) -> String,
) -> Result<Cow<'a, str>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(error) if pass.reading.invalid_utf8 == InvalidUtf8::Refuse => {
            Err(invalid(&place(error.valid_up_to())))
        }
        Err(_) => {
            let mut text = String::with_capacity(bytes.len());
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                if !chunk.invalid().is_empty() {
                    text.push(char::REPLACEMENT_CHARACTER);
                    pass.counts.replaced_characters += 1;
                }
            }
            Ok(Cow::Owned(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes bytes that come in parts of `size`.
    fn decode_parts(bytes: &[u8], size: usize, policy: InvalidUtf8) -> Result<(String, u64)> {
        let (mut text, mut decoder) = (String::new(), Utf8Decoder::new(policy));
        let mut sink = |part: &str| {
            text.push_str(part);
            Ok(())
        };
        bytes.chunks(size).try_for_each(|part| decoder.push(part, &mut sink))?;
        let replaced = decoder.finish(&mut sink)?;
        Ok((text, replaced))
    }

    #[test]
    fn parts_do_not_matter() {
        let text = "\u{feff}Aé漢🙂\u{feff}z";
        let bad = b"ab\xffcd\xe6\xbc\xe6\xbc\xa2\xf0\x9f";
        for size in 1..12 {
            let (decoded, replaced) =
                decode_parts(text.as_bytes(), size, InvalidUtf8::Refuse).unwrap();
            assert_eq!((&*decoded, replaced), ("Aé漢🙂\u{feff}z", 0), "parts of {size}");
            let (decoded, replaced) = decode_parts(bad, size, InvalidUtf8::Replace).unwrap();
            assert_eq!((&*decoded, replaced), ("ab\u{fffd}cd\u{fffd}漢\u{fffd}", 3));
            let error = decode_parts(bad, size, InvalidUtf8::Refuse).unwrap_err();
            assert!(error.to_string().contains("invalid UTF-8 at byte 2"), "{error}");
        }
    }

    #[test]
    fn binary_is_told_from_text() {
        check_is_text(
            "Plain\ttext with\r\nlines, and one \u{0} NUL in many characters...".as_bytes(),
        )
        .unwrap();
        let error = check_is_text(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0").unwrap_err();
        assert!(error.to_string().contains("binary file"), "{error}");
        let utf16: Vec<u8> = "\u{feff}text".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let error = check_is_text(&utf16).unwrap_err();
        assert!(error.hint_text().is_some_and(|hint| hint.contains("UTF-16")), "{error}");
    }
}
