//! The words of the GPT-2 pattern, cut by hand.
//!
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
//!
//! A backtracking regular expression is the slowest part of byte-level tokenization; the pattern
//! needs no backtracking, only one look at the character after a run of white space.
//! The classes are those of the regex crates, so the cuts are identical (tested on every
//! character).

use std::sync::LazyLock;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Letter,
    Number,
    Space,
    Other,
}

/// Classes of all characters: a table for ASCII, sorted ranges for the rest.
struct Classes {
    ascii: [Class; 128],
    letters: Vec<(char, char)>,
    numbers: Vec<(char, char)>,
}

static CLASSES: LazyLock<Classes> = LazyLock::new(|| {
    let (letters, numbers) = (ranges(r"\p{L}"), ranges(r"\p{N}"));
    let ascii = std::array::from_fn(|code| {
        let character = char::from(code as u8);
        match character {
            'a'..='z' | 'A'..='Z' => Class::Letter,
            '0'..='9' => Class::Number,
            _ if character.is_whitespace() => Class::Space,
            _ => Class::Other,
        }
    });
    Classes { ascii, letters, numbers }
});

/// The characters of a class, as the regex crates know them.
pub(super) fn ranges(pattern: &str) -> Vec<(char, char)> {
    use regex_syntax::hir::{Class, HirKind};
    let hir = regex_syntax::parse(pattern).expect("a constant pattern");
    let HirKind::Class(Class::Unicode(class)) = hir.kind() else {
        unreachable!("`{pattern}` is a Unicode class")
    };
    class.iter().map(|range| (range.start(), range.end())).collect()
}

/// Whether a character lies in one of these ranges, which are sorted.
pub(super) fn within(ranges: &[(char, char)], character: char) -> bool {
    let next = ranges.partition_point(|&(start, _)| start <= character);
    next > 0 && character <= ranges[next - 1].1
}

impl Classes {
    fn of(&self, character: char) -> Class {
        match self.ascii.get(character as usize) {
            Some(&class) => class,
            None if within(&self.letters, character) => Class::Letter,
            None if within(&self.numbers, character) => Class::Number,
            None if character.is_whitespace() => Class::Space,
            None => Class::Other,
        }
    }

    /// Bytes of the run of characters of one class that starts `text`.
    fn run(&self, text: &str, class: Class) -> usize {
        let mut end = 0;
        for character in text.chars() {
            if self.of(character) != class {
                break;
            }
            end += character.len_utf8();
        }
        end
    }

    /// Bytes of the word that starts `text`, which is not empty.
    fn word(&self, text: &str) -> usize {
        if let Some(length) = contraction(text.as_bytes()) {
            return length;
        }
        let space = usize::from(text.starts_with(' '));
        if let Some(first) = text[space..].chars().next() {
            let class = self.of(first);
            if class != Class::Space {
                return space + self.run(&text[space..], class);
            }
        }
        let run = self.run(text, Class::Space);
        if run == text.len() {
            return run;
        }
        // Something follows: the last white space of the run goes with it, unless it is the only
        // one.
        let last = text[..run].chars().next_back().map_or(0, char::len_utf8);
        if run > last { run - last } else { run }
    }
}

fn contraction(text: &[u8]) -> Option<usize> {
    match text {
        [b'\'', b's' | b't' | b'm' | b'd', ..] => Some(2),
        [b'\'', b'r' | b'v', b'e', ..] | [b'\'', b'l', b'l', ..] => Some(3),
        _ => None,
    }
}

/// The words of `text`: consecutive, not empty, together the whole text.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let classes = &*CLASSES;
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (word, after) = rest.split_at(classes.word(rest));
        rest = after;
        Some(word)
    })
}

/// The largest position up to `limit` at which `text` may be cut without changing its words: before
/// the last white space of a run, preferably at a line's end. Without any, the nearest character
/// boundary, which may split a word.
///
/// # Panics
/// If `limit` is below 4, so that a character might not fit.
#[must_use]
pub fn cut(text: &str, limit: usize) -> usize {
    assert!(limit >= 4, "a character may have four bytes");
    if text.len() <= limit {
        return text.len();
    }
    let boundary = (0..=limit).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    let (mut line, mut space) = (None, None);
    let mut after = text[boundary..].chars().next();
    for (position, character) in text[..boundary].char_indices().rev() {
        let word_follows = after.is_some_and(|character| !character.is_whitespace());
        if word_follows && character.is_whitespace() && position > 0 {
            space.get_or_insert(position);
            if character == '\n' {
                line = Some(position);
                break;
            }
        }
        // Lines are preferred as long as the piece stays at least half full.
        if position < limit / 2 && space.is_some() {
            break;
        }
        after = Some(character);
    }
    line.or(space).unwrap_or(boundary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    /// The cuts of the `tokenizers` crate.
    fn reference(text: &str) -> Vec<&str> {
        let mut pieces = PreTokenizedString::from(text);
        ByteLevel::new(false, true, true).pre_tokenize(&mut pieces).unwrap();
        pieces
            .get_splits(OffsetReferential::Original, OffsetType::Byte)
            .into_iter()
            .map(|(_, (start, end), _)| &text[start..end])
            .collect()
    }

    fn check(text: &str) {
        assert_eq!(words(text).collect::<Vec<_>>(), reference(text), "of {text:?}");
    }

    #[test]
    fn the_cuts_are_those_of_the_crate() {
        check("Hello  world's\n\n  it's 3,000 'round we'll I'd've x''s \u{a0} end \n");
        check(" \n");
        check("   leading");
        check("trailing \t ");
        check("Zażółć gęślą 12½ jaźń — «кавычки» 漢字かな\u{3000}全角 🙂🙂 a\u{301}e\u{200d}");
        check("\u{85}a\u{2028}b \u{1c} c");
    }

    #[test]
    fn every_character_has_the_class_of_the_crate() {
        // Each character between two letters, and after a space: the cuts tell its class. Beyond
        // the scripts in use only every 31st is tried: those planes are uniform or empty.
        let mut text = String::new();
        let tried = (0..0x3_4000).chain((0x3_4000..=0x10_FFFF).step_by(31));
        for character in tried.filter_map(char::from_u32) {
            text.push('a');
            text.push(character);
            text.push_str(" 7");
            if text.len() > 4000 {
                check(&text);
                text.clear();
            }
        }
        check(&text);
    }

    #[test]
    fn random_mixtures_are_cut_alike() {
        let alphabet: Vec<char> = "ab'sretvlmd 1½ \n\t\u{a0}.,-é漢🙂".chars().collect();
        let mut state = 1_u64;
        for length in 0..3000 {
            let text: String = (0..length % 40)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    alphabet[(state >> 33) as usize % alphabet.len()]
                })
                .collect();
            check(&text);
        }
    }

    #[test]
    fn cutting_changes_no_word() {
        let text =
            "One two three.\n\nFour  five's six\nseven 漢字 eight \n nine ten eleven twelve.";
        for limit in 16..text.len() {
            let (mut rest, mut pieces) = (text, Vec::new());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cut(rest, limit));
                assert!(!piece.is_empty() && piece.len() <= limit);
                pieces.extend(words(piece));
                rest = after;
            }
            assert_eq!(pieces, words(text).collect::<Vec<_>>(), "limit {limit}");
        }
    }

    #[test]
    fn text_without_white_space_is_cut_between_characters() {
        let text = "漢".repeat(100);
        assert_eq!(cut(&text, 100), 99);
        assert_eq!(cut(&text, 300), 300);
    }
}
