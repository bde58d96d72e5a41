//! The alphabet of byte-level tokenizers: a character for every byte.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The character that spells a byte in byte-level tokenizers: printable bytes spell themselves, the
/// others characters from U+0100 on (GPT-2's alphabet).
pub(super) fn byte_character(byte: u8) -> char {
    ALPHABET[usize::from(byte)]
}

static ALPHABET: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut others = '\u{100}'..;
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        match byte {
            b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
            _ => others.next().expect("there are more than 256 characters"),
        }
    })
});

/// The byte that a character of the alphabet spells.
pub(super) fn character_byte(character: char) -> Option<u8> {
    BYTES.get(&character).copied()
}

static BYTES: LazyLock<BTreeMap<char, u8>> =
    LazyLock::new(|| (0..=u8::MAX).map(|byte| (byte_character(byte), byte)).collect());

/// Spells the bytes of a word.
pub(super) fn spell(word: &str, spelled: &mut String) {
    spelled.clear();
    spelled.extend(word.bytes().map(byte_character));
}
