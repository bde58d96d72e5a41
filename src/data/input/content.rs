//! What documents are made of: text, or tokens that somebody else made.

use std::ops::{ControlFlow, Range};

use super::files::{FileKind, InputFile};
use super::{Pass, visit_text, visit_tokens};
use crate::Result;
use crate::data::hash::mix;
use crate::token::{Encoded, Encoder};

/// A growing piece of a document.
pub trait Content: Default + Send + Sync + 'static {
    /// A borrowed part of it.
    type Part: ?Sized;

    /// Whether it is text.
    const IS_TEXT: bool;

    /// Bounds of the length of a section.
    const SECTION: (u64, u64);

    /// Documents longer than this are encoded in pieces.
    const PIECE_MAX: usize;

    /// Words (or tokens) of a shingle.
    const SHINGLE_WORDS: usize;

    /// Adds a part at the end.
    fn append(&mut self, part: &Self::Part);

    /// Bytes or tokens.
    fn length(&self) -> usize;

    /// A copy of a part of it.
    fn copy(&self, range: Range<usize>) -> Self;

    /// Drops the first `length` bytes or tokens.
    fn drop_front(&mut self, length: usize);

    /// How long a section of at most `limit` from `start` is best; there is more than that.
    fn section_length(&self, start: usize, limit: usize) -> usize;

    /// How long a piece of at most `limit` from `start` can be without changing how it is encoded;
    /// there is more.
    fn piece_length(&self, start: usize, limit: usize) -> usize;

    /// Hash of the content: equal for equal content.
    fn key(&self) -> u64;

    /// Calls `visit` with a hash of each word or token, in order.
    fn each_word(&self, visit: &mut dyn FnMut(u64));

    /// The text; empty for tokens.
    fn text(&self) -> &str;

    /// The tokens of each content; texts need an encoder.
    fn encode(contents: &[&Self], encoder: Option<&mut Encoder<'_>>) -> Result<Vec<Encoded>>;

    /// Reads a file of this kind of content.
    fn visit(file: &InputFile, pass: &mut Pass<'_, Self>) -> Result<ControlFlow<()>>;
}

impl Content for String {
    type Part = str;
    const IS_TEXT: bool = true;
    const SECTION: (u64, u64) = (2 << 10, 64 << 10);
    const PIECE_MAX: usize = 256 << 10;
    const SHINGLE_WORDS: usize = 8;

    fn append(&mut self, part: &str) {
        self.push_str(part);
    }

    fn length(&self) -> usize {
        self.len()
    }

    fn copy(&self, range: Range<usize>) -> Self {
        // A copy of its own size: a front that kept the whole buffer would add up in a batch.
        self[range].to_owned()
    }

    fn drop_front(&mut self, length: usize) {
        self.drain(..length);
    }

    fn section_length(&self, start: usize, limit: usize) -> usize {
        section_end(&self[start..], limit)
    }

    fn piece_length(&self, start: usize, limit: usize) -> usize {
        crate::token::cut(&self[start..], limit)
    }

    fn key(&self) -> u64 {
        let mut key = KeyHasher::default();
        key.update(self.as_bytes());
        key.finish()
    }

    fn each_word(&self, visit: &mut dyn FnMut(u64)) {
        let mut word = 0;
        for character in self.chars() {
            if character.is_alphanumeric() {
                let folded = character.to_lowercase().next().unwrap_or(character);
                word = mix(word ^ u64::from(u32::from(folded))) | 1;
            } else if word != 0 {
                visit(word);
                word = 0;
            }
        }
        if word != 0 {
            visit(word);
        }
    }

    fn text(&self) -> &str {
        self
    }

    fn encode(contents: &[&Self], encoder: Option<&mut Encoder<'_>>) -> Result<Vec<Encoded>> {
        encoder.expect("texts need an encoder").encode_batch(contents)
    }

    fn visit(file: &InputFile, pass: &mut Pass<'_, Self>) -> Result<ControlFlow<()>> {
        visit_text(file, pass)
    }
}

impl Content for Vec<u32> {
    type Part = [u32];
    const IS_TEXT: bool = false;
    const SECTION: (u64, u64) = (512, 16 << 10);
    const PIECE_MAX: usize = 64 << 10;
    const SHINGLE_WORDS: usize = 12;

    fn append(&mut self, part: &[u32]) {
        self.extend_from_slice(part);
    }

    fn length(&self) -> usize {
        self.len()
    }

    fn copy(&self, range: Range<usize>) -> Self {
        self[range].to_vec()
    }

    fn drop_front(&mut self, length: usize) {
        self.drain(..length);
    }

    fn section_length(&self, _start: usize, limit: usize) -> usize {
        limit
    }

    fn piece_length(&self, _start: usize, limit: usize) -> usize {
        limit
    }

    fn key(&self) -> u64 {
        let mut key = KeyHasher::default();
        key.update_tokens(self);
        key.finish()
    }

    fn each_word(&self, visit: &mut dyn FnMut(u64)) {
        self.iter().for_each(|&token| visit(mix(u64::from(token) + 1) | 1));
    }

    fn text(&self) -> &str {
        ""
    }

    fn encode(contents: &[&Self], _encoder: Option<&mut Encoder<'_>>) -> Result<Vec<Encoded>> {
        let whole = |&tokens: &&Self| Encoded { tokens: tokens.clone(), ..Encoded::default() };
        Ok(contents.iter().map(whole).collect())
    }

    fn visit(file: &InputFile, pass: &mut Pass<'_, Self>) -> Result<ControlFlow<()>> {
        assert_eq!(file.kind, FileKind::Tokens, "a file of text holds no tokens");
        visit_tokens(file, pass)
    }
}

/// Hash of a document's content. Its key is fixed, so that a document keeps its split when others
/// join, and its strength keeps anyone from choosing a document's split by accident.
pub(super) struct KeyHasher(blake3::Hasher);

impl Default for KeyHasher {
    fn default() -> Self {
        Self(blake3::Hasher::new_derive_key("scarce 1 document"))
    }
}

impl KeyHasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn update_tokens(&mut self, tokens: &[u32]) {
        self.0.update(bytemuck::cast_slice(tokens));
    }

    pub(super) fn finish(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.finalize_xof().fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// The end of the last paragraph within `limit` bytes, blank lines included; else of a line, of a
/// word, or of a character.
fn section_end(text: &str, limit: usize) -> usize {
    let boundary = (0..=limit).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    // Ends of runs of white space within the limit, by what the run contains.
    let (mut paragraph, mut line, mut word) = (None, None, None);
    let (mut newlines, mut in_run) = (0, false);
    for (position, character) in text[..boundary].char_indices() {
        if character.is_whitespace() {
            newlines += u32::from(character == '\n');
            in_run = true;
        } else if in_run {
            word = Some(position);
            line = if newlines > 0 { word } else { line };
            paragraph = if newlines > 1 { word } else { paragraph };
            (newlines, in_run) = (0, false);
        }
    }
    // A section that ends very early would be too small to be worth a better place.
    let late = |end: &usize| *end >= limit / 4;
    paragraph.filter(late).or(line.filter(late)).or(word.filter(late)).unwrap_or(boundary)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<u64> {
        let mut words = Vec::new();
        text.to_owned().each_word(&mut |word| words.push(word));
        words
    }

    #[test]
    fn words_ignore_case_and_punctuation() {
        assert_eq!(words("The cat -- sat.\n"), words("the CAT, sat"));
        assert_ne!(words("the cat sat"), words("the cat sits"));
        assert_eq!(words("a b").len(), 2);
        assert_eq!(words(" .,- "), [0; 0]);
    }

    #[test]
    fn sections_end_at_the_best_place() {
        for (text, limit, section) in [
            ("One two.\n\nThree four.\n\nFive six.", 30, "One two.\n\nThree four.\n\n"),
            ("One two.\r\n\r\nThree four five six", 20, "One two.\r\n\r\n"),
            ("One two\nthree four five six seven", 20, "One two\n"),
            ("One two three four five six seven", 20, "One two three four "),
            ("a\n\nbbbbbbbbbbbb cccccccccccccccccc", 20, "a\n\nbbbbbbbbbbbb "),
            ("漢字漢字漢字", 8, "漢字"),
        ] {
            assert_eq!(&text[..section_end(text, limit)], section);
        }
    }

    #[test]
    fn keys_are_those_of_the_first_release() {
        assert_eq!("A document.".to_owned().key(), 3_932_344_492_978_930_120);
        assert_eq!(vec![1_u32, 2, 3].key(), 4_456_641_797_756_234_642);
    }
}
