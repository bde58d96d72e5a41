//! A held-out split cut into windows, and the blocks that its standard errors are clustered by.

use crate::data::PartReader;
use crate::model::NO_TARGET;
use crate::{Error, Result};

/// Largest block of one document, in bytes of text: losses of neighboring tokens are alike, so
/// tokens are not independent observations, but distant parts of a book nearly are.
const BLOCK_BYTES: u64 = 64 * 1024;
/// Bytes that a token is taken to have where its text is unknown.
const BYTES_UNKNOWN: u64 = 4;

/// Consecutive windows of T tokens over a split or a side set. The first token of a window is
/// context only; a last, shorter window is filled up with positions that predict nothing.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    split: &'a PartReader,
    sequence_tokens: usize,
    /// Every how many-th window is taken.
    stride: u64,
}

/// One window, T of each.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) tokens: Vec<u32>,
    pub(super) targets: Vec<u32>,
    /// First position of the document that each position belongs to.
    pub(super) starts: Vec<u32>,
}

/// Who the predicted tokens of a set of windows are, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tokens {
    /// Block of each predicted token, numbered from 0 in order of appearance.
    pub blocks: Vec<u32>,
    /// Bytes of text of all predicted tokens together; absent where it is unknown.
    pub bytes: Option<u64>,
}

impl<'a> Windows<'a> {
    /// All windows of a split.
    ///
    /// # Errors
    /// If the split is too short for one prediction.
    pub fn all(split: &'a PartReader, sequence_tokens: usize) -> Result<Self> {
        if split.tokens() < 2 || sequence_tokens < 2 {
            return Err(Error::data(format!(
                "`{}` has {} tokens: nothing can be predicted",
                split.part(),
                split.tokens()
            )));
        }
        Ok(Self { split, sequence_tokens, stride: 1 })
    }

    /// About `sample_tokens` tokens spread evenly over the split; 0 means all.
    #[must_use]
    pub fn sample(self, sample_tokens: u64) -> Self {
        let wanted = (sample_tokens / self.sequence_tokens as u64).max(1);
        let stride = if sample_tokens == 0 { 1 } else { (self.count_all() / wanted).max(1) };
        Self { stride, ..self }
    }

    /// Windows that hold at least one prediction.
    fn count_all(&self) -> u64 {
        let (tokens, length) = (self.split.tokens(), self.sequence_tokens as u64);
        tokens / length + u64::from(tokens % length >= 2)
    }

    /// The number of windows.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(self.count_all().div_ceil(self.stride)).expect("windows fit in memory")
    }

    /// Tokens T of a window.
    #[must_use]
    pub fn sequence_tokens(&self) -> usize {
        self.sequence_tokens
    }

    pub(super) fn split(&self) -> &'a PartReader {
        self.split
    }

    fn range(&self, index: usize) -> std::ops::Range<u64> {
        let start = index as u64 * self.stride * self.sequence_tokens as u64;
        start..self.split.tokens().min(start + self.sequence_tokens as u64)
    }

    /// The tokens of a window, without padding.
    pub fn tokens(&self, index: usize) -> Result<Vec<u32>> {
        let range = self.range(index);
        let mut tokens = vec![0; (range.end - range.start) as usize];
        self.split.read(range.start, &mut tokens)?;
        Ok(tokens)
    }

    /// A window as the model wants it.
    pub(super) fn window(&self, index: usize) -> Result<Window> {
        let range = self.range(index);
        let mut tokens = self.tokens(index)?;
        let mut targets = tokens[1..].to_vec();
        targets.resize(self.sequence_tokens, NO_TARGET);
        tokens.resize(self.sequence_tokens, 0);
        let mut starts = vec![0; self.sequence_tokens];
        let mut position = range.start;
        while position < range.end {
            let document = self.split.document_bounds(self.split.document_at(position));
            let end = document.end.min(range.end);
            let first = (position - range.start) as u32;
            starts[first as usize..(end - range.start) as usize].fill(first);
            position = end;
        }
        Ok(Window { tokens, targets, starts })
    }

    /// Blocks and bytes of all predicted tokens.
    pub fn predicted(&self) -> Result<Tokens> {
        let mut blocks = Blocks { split: self.split, last: None, count: 0 };
        let mut predicted = Tokens { blocks: Vec::new(), bytes: Some(0) };
        for index in 0..self.count() {
            let start = self.range(index).start;
            let tokens = self.tokens(index)?;
            for (position, &token) in (start..).zip(&tokens) {
                let block = blocks.of(position, token);
                if position > start {
                    predicted.blocks.push(block);
                    let bytes = self.split.token_bytes(token).map(u64::from);
                    predicted.bytes = predicted.bytes.zip(bytes).map(|(sum, bytes)| sum + bytes);
                }
            }
        }
        Ok(predicted)
    }
}

/// Numbers blocks while tokens go by.
struct Blocks<'a> {
    split: &'a PartReader,
    /// Document, its end, and bytes of it seen so far.
    last: Option<(u64, u64, u64)>,
    count: u32,
}

impl Blocks<'_> {
    /// The block of the token at `position`; positions ascend.
    fn of(&mut self, position: u64, token: u32) -> u32 {
        let bytes = self.split.token_bytes(token).map_or(BYTES_UNKNOWN, u64::from);
        match &mut self.last {
            Some((_, end, seen)) if position < *end => {
                let before = *seen / BLOCK_BYTES;
                *seen += bytes;
                self.count += u32::from(*seen / BLOCK_BYTES > before);
            }
            last => {
                let document = self.split.document_at(position);
                let end = self.split.document_bounds(document).end;
                self.count += u32::from(last.is_some());
                *last = Some((document, end, bytes));
            }
        }
        self.count
    }
}
