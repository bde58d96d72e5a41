//! The last pass: encodes, compares training text with the held-out index, and writes.

use super::duplicates::DuplicateFinder;
use super::lost::Losses;
use super::plan::Plan;
use super::units::Unit;
use super::vocabulary::{Tokens, bytes_of};
use crate::Result;
use crate::data::corpus::CorpusWriter;
use crate::data::corpus::Duplicates;
use crate::data::input::{Content, Observer, ReadCounts};
use crate::spec::Split;
use crate::token::{Encoder, LostText, TokenBytes};

/// Bytes (or tokens) that are encoded together: enough to keep all threads busy.
const BATCH: usize = 4 << 20;

/// What the pass leaves.
pub(super) struct Encoded<C> {
    pub(super) writer: CorpusWriter,
    pub(super) duplicates: DuplicateFinder<C>,
    pub(super) counts: ReadCounts,
    pub(super) losses: Losses,
    /// Bytes of text per token, and of all tokens of text together.
    pub(super) lengths: Option<(TokenBytes, u64)>,
}

/// Makes the pass.
pub(super) fn encode<C: Content>(
    plan: &Plan,
    mut duplicates: DuplicateFinder<C>,
    (tokens, mut losses): (&Tokens, Losses),
    mut writer: CorpusWriter,
    observer: &mut dyn Observer,
) -> Result<Encoded<C>> {
    let mut write = |losses: &mut Losses, unit: EncodedUnit<'_>| {
        let Some(split) = unit.split else { return Ok(()) };
        losses.add(split.name(), unit.lost);
        writer.split(split).push(unit.starts_document, unit.tokens, unit.bytes)
    };
    let mut batch = Batch::new((tokens, &mut losses), &mut write);
    let mut take = |unit: Unit<C>| {
        if unit.split == Some(Split::Train) {
            duplicates.training(unit.key, unit.starts_document, &unit.content);
        }
        if unit.split.is_some() { batch.push(unit) } else { Ok(()) }
    };
    let counts = plan.pass("encoding", &mut take, observer)?;
    let lengths = batch.finish()?;
    Ok(Encoded { writer, duplicates, counts, losses, lengths })
}

/// A unit as tokens.
pub(super) struct EncodedUnit<'a> {
    pub(super) split: Option<Split>,
    pub(super) starts_document: bool,
    /// A separator comes first if a document starts.
    pub(super) tokens: &'a [u32],
    /// Bytes of text.
    pub(super) bytes: u64,
    pub(super) lost: LostText,
}

/// Units that are encoded together, and what becomes of them then.
pub(super) struct Batch<'a, C> {
    tokens: &'a Tokens,
    losses: &'a mut Losses,
    sink: &'a mut EncodedSink<'a>,
    encoder: Option<Encoder<'a>>,
    units: Vec<Unit<C>>,
    length: usize,
}

/// Takes encoded units, and says of which part the text is that was lost.
pub(super) type EncodedSink<'a> = dyn FnMut(&mut Losses, EncodedUnit<'_>) -> Result<()> + 'a;

impl<'a, C: Content> Batch<'a, C> {
    pub(super) fn new(
        (tokens, losses): (&'a Tokens, &'a mut Losses),
        sink: &'a mut EncodedSink<'a>,
    ) -> Self {
        Self { tokens, losses, sink, encoder: tokens.encoder(), units: Vec::new(), length: 0 }
    }

    /// Takes a unit; encodes all if there are enough.
    pub(super) fn push(&mut self, unit: Unit<C>) -> Result<()> {
        self.length += unit.content.length();
        self.units.push(unit);
        if self.length >= BATCH { self.encode() } else { Ok(()) }
    }

    /// Encodes all units and passes them on.
    fn encode(&mut self) -> Result<()> {
        self.length = 0;
        let units = std::mem::take(&mut self.units);
        let contents: Vec<&C> = units.iter().map(|unit| &unit.content).collect();
        let encoded = C::encode(&contents, self.encoder.as_mut())?;
        for (unit, text) in units.iter().zip(encoded) {
            let (mut tokens, lost) = (text.tokens, text.lost);
            let bytes = match C::IS_TEXT {
                true => unit.content.length() as u64,
                false => bytes_of(self.tokens.token_bytes(), &tokens),
            };
            let Unit { split, starts_document, .. } = *unit;
            if starts_document {
                tokens.splice(0..0, self.tokens.separator);
            }
            let unit = EncodedUnit { split, starts_document, tokens: &tokens, bytes, lost };
            (self.sink)(self.losses, unit)?;
        }
        self.losses.check_early()
    }

    /// Encodes what is left. Returns bytes of text per token, and of all tokens of text that were
    /// encoded; none without a tokenizer.
    pub(super) fn finish(mut self) -> Result<Option<(TokenBytes, u64)>> {
        self.encode()?;
        let Some(given) = self.tokens.token_bytes() else { return Ok(None) };
        let Some(encoder) = &self.encoder else { return Ok(Some((given.clone(), 0))) };
        let lengths = encoder.token_bytes();
        let told = encoder.told_bytes(&lengths);
        Ok(Some((lengths, told)))
    }
}

/// What was shared, for people.
pub(super) fn describe(what: &str, duplicates: &Duplicates) -> Option<String> {
    let Duplicates { held_out_documents, exact_documents, near_documents, .. } = *duplicates;
    if exact_documents + near_documents == 0 {
        return None;
    }
    Some(format!(
        "of {held_out_documents} {what} documents {exact_documents} are also training documents, \
         and {near_documents} more share at least half of their text with the training split: \
         {what} losses will look better than they are"
    ))
}
