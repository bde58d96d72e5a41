//! Damage to bytes: what breaks downloads, disks and hands do, and what an enemy would.

use super::draw::Draws;
use super::structure::mutate_value;

/// No mutated input is longer.
const BYTES_MAX: usize = 1 << 20;

/// Numbers at and beyond the ends of types.
const NUMBERS: [&str; 20] = [
    "0",
    "-0",
    "-1",
    "1",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e309",
    "-1e-320",
    "NaN",
];

/// Words that mean something in one of the formats.
const WORDS: [&str; 64] = [
    "null",
    "true",
    "false",
    "nan",
    "inf",
    "-inf",
    "Infinity",
    "\"\"",
    "[]",
    "{}",
    "[",
    "{",
    "\"",
    "'",
    ",",
    ";",
    "\t",
    "\n",
    "\r\n",
    "=",
    ":",
    "\\",
    "\\ud800",
    "\\u0000",
    "\u{feff}",
    "\0",
    "\u{1b}[2J",
    "\u{9b}",
    "\u{202e}",
    "中文",
    "é",
    "\u{301}",
    "step",
    "loss",
    "final_loss",
    "_step",
    "lr",
    "members",
    "run_id",
    "Name",
    "ID",
    "State",
    "model.params",
    "tokens",
    "text",
    "kind",
    "study",
    "[plan]",
    "[base]",
    "[model]",
    "grid",
    "epochs",
    "width",
    "vocabulary",
    "bytes",
    "blake3",
    "id",
    "corpus",
    "members",
    "<|endoftext|>",
    "Ġ",
    "##",
    "[UNK]",
    "dropout",
];

/// Damages an input in one to four ways. `others` are whole inputs to be spliced in.
pub(super) fn mutate(bytes: &mut Vec<u8>, others: &[&[u8]], draws: &mut Draws) {
    // Half of what can be parsed stays so, and is damaged in its meaning only.
    if draws.once_in(2) && mutate_value(bytes, draws) {
        if draws.once_in(3) {
            mutate_value(bytes, draws);
        }
        return;
    }
    // Half of what has a fixed layout keeps its length.
    let keeps_length = draws.once_in(2) && std::str::from_utf8(bytes).is_err();
    let ways = 1 + draws.below(2) + draws.below(3);
    for _ in 0..ways {
        if keeps_length {
            in_place(bytes, draws);
            continue;
        }
        once(bytes, others, draws);
        bytes.truncate(BYTES_MAX);
    }
}

/// Damage that changes no length.
fn in_place(bytes: &mut [u8], draws: &mut Draws) {
    let place = draws.below(bytes.len());
    match draws.below(3) {
        0 => overwrite(bytes, place, draws),
        1 => overwrite(bytes, draws.below(bytes.len().min(64)), draws),
        _ => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << draws.below(8);
            }
        }
    }
}

fn once(bytes: &mut Vec<u8>, others: &[&[u8]], draws: &mut Draws) {
    let length = bytes.len();
    // Headers and first lines say the most.
    let end = if draws.once_in(3) { length.min(200) } else { length };
    let place = draws.below(end + 1);
    match draws.below(16) {
        0 => bytes.truncate(place),
        1 => drop(bytes.drain(draws.span(length))),
        2 if length > 0 => bytes[place.min(length - 1)] ^= 1 << draws.below(8),
        3 if length > 0 => bytes[place.min(length - 1)] = draws.bits() as u8,
        4 => {
            let random = (0..1 + draws.below(8)).map(|_| draws.bits() as u8).collect::<Vec<_>>();
            insert(bytes, place, &random);
        }
        5 => {
            let span = bytes[draws.span(length)].to_vec();
            let times = if draws.once_in(8) { 1 + draws.below(5000) } else { 1 };
            insert(bytes, place, &span.repeat(times.min(BYTES_MAX / span.len().max(1))));
        }
        6 => {
            let other = draws.of(others);
            let part = other[draws.span(other.len())].to_vec();
            insert(bytes, place, &part);
        }
        7 => {
            let other = draws.of(others);
            bytes.truncate(place);
            bytes.extend(&other[draws.below(other.len())..]);
        }
        8 | 9 => replace_number(bytes, place, draws),
        10 | 11 => {
            let word = draws.of(&WORDS);
            insert(bytes, place, word.as_bytes());
        }
        12 | 13 => overwrite(bytes, place, draws),
        14 if draws.once_in(4) => {
            let (open, count) = (draws.of(&["[", "{\"a\":", "(", "a.", "x"]), draws.below(20_000));
            insert(bytes, place, open.repeat(count).as_bytes());
        }
        _ => swap_words(bytes, place, draws),
    }
}

fn insert(bytes: &mut Vec<u8>, place: usize, new: &[u8]) {
    bytes.splice(place..place, new.iter().copied());
}

/// Puts an extreme number in the place of the next one that is written in digits.
fn replace_number(bytes: &mut Vec<u8>, place: usize, draws: &mut Draws) {
    let digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes[place..].iter().position(digit).map(|found| place + found) else {
        return;
    };
    let inside = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-');
    let end =
        bytes[start..].iter().position(|byte| !inside(byte)).map_or(bytes.len(), |n| start + n);
    let number = draws.of(&NUMBERS);
    bytes.splice(start..end, number.bytes());
}

/// Overwrites a little-endian field, as lengths and counts are stored, by an extreme number.
fn overwrite(bytes: &mut [u8], place: usize, draws: &mut Draws) {
    let width = [1, 2, 4, 8][draws.below(4)];
    let place = if draws.once_in(2) { place & !3 } else { place };
    let length = bytes.len() as u64;
    let numbers = [0, 1, length, length + 1, u64::MAX, u64::MAX >> 1, 1 << 31, 1 << 40, 34 << 30];
    let value = numbers[draws.below(numbers.len())].to_le_bytes();
    if let Some(field) = bytes.get_mut(place..place + width) {
        field.copy_from_slice(&value[..width]);
    }
}

/// Exchanges two words: keys change places with values, columns with each other.
fn swap_words(bytes: &mut Vec<u8>, place: usize, draws: &mut Draws) {
    let word = |from: usize| {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let start = from + bytes[from..].iter().position(is_word)?;
        let end = start + bytes[start..].iter().position(|byte| !is_word(byte))?;
        Some(start..end)
    };
    let second = draws.below(bytes.len() + 1);
    let (Some(a), Some(b)) = (word(place.min(second)), word(place.max(second))) else { return };
    if a.end <= b.start {
        let (first, last) = (bytes[a.clone()].to_vec(), bytes[b.clone()].to_vec());
        bytes.splice(b, first);
        bytes.splice(a, last);
    }
}
