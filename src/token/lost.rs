//! What a tokenizer loses of a text, and how many bytes each of its tokens stands for.
//!
//! A byte-level tokenizer spells every byte, so the lengths of its tokens add up to the text, and
//! what is missing was lost. Others are asked where in the text each token lies: what lies between
//! two tokens was dropped (most often white space) and counts to the length of the second; what an
//! unknown token stands for is lost, too. A normalizer may change characters before: a character
//! that the normalized text has fewer of was lost, except for other spellings of the same character
//! (Unicode's canonical equivalence) and the sign for a space.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use tokenizers::normalizers::unicode::NFD;
use tokenizers::{Encoding, NormalizedString, Normalizer, NormalizerWrapper};

use super::alphabet::character_byte;
use super::{TokenBytes, words};
use crate::{Error, Result};

/// Bytes of a text, and how many of them no token tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostText {
    /// Bytes of text.
    pub text_bytes: u64,
    /// Bytes that tokens stand for which mean "unknown".
    pub unknown_bytes: u64,
    /// Bytes that were dropped, or changed into others.
    pub dropped_bytes: u64,
}

impl LostText {
    /// Adds what another text lost.
    pub fn add(&mut self, other: Self) {
        self.text_bytes += other.text_bytes;
        self.unknown_bytes += other.unknown_bytes;
        self.dropped_bytes += other.dropped_bytes;
    }

    /// Bytes lost in any way.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.unknown_bytes + self.dropped_bytes).min(self.text_bytes)
    }

    /// Share of the text that is lost.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.bytes() as f64 / self.text_bytes.max(1) as f64
    }
}

/// Bytes that tokens were seen to stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct SeenLengths(BTreeMap<u32, (u64, u64)>);

impl SeenLengths {
    fn add(&mut self, token: u32, bytes: u64) {
        let (sum, count) = self.0.entry(token).or_default();
        *sum += bytes;
        *count += 1;
    }

    /// Bytes that all tokens seen stand for, by these lengths.
    pub(super) fn told(&self, lengths: &TokenBytes) -> u64 {
        self.0.iter().map(|(&token, &(_, count))| lengths.of(token) * count).sum()
    }

    /// The mean length of each token that was seen; the others keep theirs. Each is rounded so that
    /// all together come as near to the text as they can, the frequent ones first.
    pub(super) fn improve<'a>(all: impl Iterator<Item = &'a Self>, lengths: &mut [u16]) {
        let mut sums = BTreeMap::<u32, (u64, u64)>::new();
        for (&token, &(bytes, seen)) in all.flat_map(|seen| &seen.0) {
            let (sum, count) = sums.entry(token).or_default();
            *sum += bytes;
            *count += seen;
        }
        let mut tokens: Vec<_> = sums.into_iter().collect();
        tokens.sort_by_key(|&(token, (_, count))| (Reverse(count), token));
        // Bytes that the tokens before have too few.
        let mut owed = 0_i64;
        for (token, (sum, count)) in tokens {
            let (sum, count) = (sum as i64, count as i64);
            let wanted = (sum + owed + count / 2).div_euclid(count);
            // A rare token must not carry what a frequent one left, so each is off by two at most.
            let length = wanted.clamp((sum / count - 1).max(0), sum / count + 2);
            owed += sum - length * count;
            if let Some(old) = lengths.get_mut(token as usize) {
                *old = u16::try_from(length).unwrap_or(u16::MAX);
            }
        }
    }
}

/// What is lost of a text whose tokens are these.
pub(super) fn measure(
    text: &str,
    encoding: &Encoding,
    unknown: Option<u32>,
    normalizer: Option<&NormalizerWrapper>,
    seen: &mut SeenLengths,
) -> Result<LostText> {
    let mut lost = LostText { text_bytes: text.len() as u64, ..LostText::default() };
    let (ids, offsets) = (encoding.get_ids(), encoding.get_offsets());
    let mut between = Dropped::default();
    // Where the tokens so far end, and the last one with its bytes.
    let (mut end, mut last) = (0, None);
    for index in 0..=ids.len() {
        let (from, to) = offsets.get(index).copied().unwrap_or((text.len(), text.len()));
        let (from, to) = (from.min(text.len()), to.min(text.len()));
        if let (Some((_, bytes)), Some(_)) = (&mut last, normalizer) {
            let marks = composed(&text.as_bytes()[end..end.max(from)]);
            *bytes += marks as u64;
            end += marks;
        }
        let gap = &text.as_bytes()[end.min(from)..from];
        between.add(gap);
        let own = to.saturating_sub(end.max(from)) as u64;
        end = end.max(to);
        let Some(&token) = ids.get(index) else {
            // What is left at the end counts to the last token.
            if let Some((_, bytes)) = &mut last {
                *bytes += gap.len() as u64;
            }
            break;
        };
        // The sign for a space tells one, even if the space itself went before.
        if gap.contains(&b' ') && encoding.get_tokens()[index].starts_with('▁') {
            between.spaces -= 1;
        }
        if Some(token) == unknown {
            lost.unknown_bytes += own;
        }
        if let Some((token, bytes)) = last.replace((token, own + gap.len() as u64)) {
            seen.add(token, bytes);
        }
    }
    if let Some((token, bytes)) = last {
        seen.add(token, bytes);
    }
    let changed = normalizer.map_or(Ok(Dropped::default()), |normalizer| changed(text, normalizer));
    let changed = changed?;
    // What the normalizer takes away may lie between tokens, and must not count twice.
    lost.dropped_bytes = between.spaces.max(changed.spaces) + between.others.max(changed.others);
    Ok(lost)
}

/// Bytes at the start of what no token covers that belong to the character before: a normalizer
/// that composes `e` and an accent says of the whole that it lies where the `e` was.
fn composed(gap: &[u8]) -> usize {
    static MARKS: LazyLock<Vec<(char, char)>> =
        LazyLock::new(|| words::ranges(r"[\p{M}\x{1160}-\x{11FF}]"));
    let text = std::str::from_utf8(gap).unwrap_or_default();
    let rest = text.trim_start_matches(|character| words::within(&MARKS, character));
    text.len() - rest.len()
}

/// Bytes of white space, and of everything else.
#[derive(Default)]
struct Dropped {
    spaces: u64,
    others: u64,
}

impl Dropped {
    fn add(&mut self, bytes: &[u8]) {
        let spaces = bytes.iter().filter(|byte| byte.is_ascii_whitespace()).count();
        self.spaces += spaces as u64;
        self.others += (bytes.len() - spaces) as u64;
    }
}

/// What the normalizer takes away.
fn changed(text: &str, normalizer: &NormalizerWrapper) -> Result<Dropped> {
    let failed = |cause: tokenizers::Error| {
        Error::data(format!("the tokenizer cannot normalize this text: {cause}"))
    };
    let mut normalized = NormalizedString::from(text);
    normalizer.normalize(&mut normalized).map_err(failed)?;
    let mut dropped = Dropped::default();
    if normalized.get() == text {
        return Ok(dropped);
    }
    let decomposed = |text: &str| -> Result<String> {
        if text.is_ascii() {
            return Ok(text.to_owned());
        }
        let mut text = NormalizedString::from(text);
        NFD.normalize(&mut text).map_err(failed)?;
        Ok(text.get().to_owned())
    };
    let after = if spells_bytes(normalizer) {
        let bytes: Vec<u8> = normalized.get().chars().filter_map(character_byte).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    } else {
        normalized.get().to_owned()
    };
    let mut counts = BTreeMap::<char, i64>::new();
    let plain = |character| if character == '▁' { ' ' } else { character };
    decomposed(text)?.chars().for_each(|c| *counts.entry(plain(c)).or_default() += 1);
    decomposed(&after)?.chars().for_each(|c| *counts.entry(plain(c)).or_default() -= 1);
    for (character, count) in counts {
        let bytes = u64::try_from(count).unwrap_or(0) * character.len_utf8() as u64;
        match character.is_ascii_whitespace() {
            true => dropped.spaces += bytes,
            false => dropped.others += bytes,
        }
    }
    Ok(dropped)
}

/// Whether the normalizer spells bytes in GPT-2's alphabet.
pub(super) fn spells_bytes(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::ByteLevel(_) => true,
        NormalizerWrapper::Sequence(all) => all.as_ref().iter().any(spells_bytes),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_lengths_add_up_to_the_text() {
        let mut seen = [SeenLengths::default(), SeenLengths::default()];
        // Token 1 has 2.5 bytes on average, token 2 has 4, and token 3 has 1.25.
        for n in 0..40 {
            seen[n % 2].add(1, 2 + n as u64 / 20);
        }
        (0..10).for_each(|_| seen[0].add(2, 4));
        (0..4).for_each(|n| seen[1].add(3, 1 + n / 3));
        let mut lengths = vec![9; 5];
        SeenLengths::improve(seen.iter(), &mut lengths);
        assert_eq!((lengths[0], lengths[4]), (9, 9));
        let lengths = TokenBytes { lengths, exact: false };
        let told: u64 = seen.iter().map(|seen| seen.told(&lengths)).sum();
        assert!(told.abs_diff(100 + 40 + 5) <= 5, "{told}: {lengths:?}");
    }
}
