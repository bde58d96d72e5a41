//! The last pass: encodes, compares training text with the held-out index, and writes.

use super::duplicates::DuplicateFinder;
use super::lost::Losses;
use super::plan::Plan;
use super::units::{Sink, Unit};
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
    duplicates: DuplicateFinder<C>,
    (tokens, losses): (&Tokens, Losses),
    writer: CorpusWriter,
    observer: &mut dyn Observer,
) -> Result<Encoded<C>> {
    let mut pass = Pass { batch: Batch::new(tokens), writer, duplicates, losses };
    let counts = plan.pass("encoding", &mut pass, observer)?;
    pass.write()?;
    let lengths = pass.batch.lengths();
    let Pass { writer, duplicates, losses, .. } = pass;
    Ok(Encoded { writer, duplicates, counts, losses, lengths })
}

struct Pass<'a, C> {
    batch: Batch<'a, C>,
    writer: CorpusWriter,
    duplicates: DuplicateFinder<C>,
    losses: Losses,
}

impl<C: Content> Sink<C> for Pass<'_, C> {
    fn unit(&mut self, unit: Unit<C>) -> Result<()> {
        if unit.split == Some(Split::Train) {
            self.duplicates.training(unit.key, unit.starts_document, &unit.content);
        }
        if unit.split.is_some() && self.batch.push(unit) {
            self.write()?;
        }
        Ok(())
    }
}

impl<C: Content> Pass<'_, C> {
    fn write(&mut self) -> Result<()> {
        let (writer, losses) = (&mut self.writer, &mut self.losses);
        self.batch.encode(&mut |unit| {
            let Some(split) = unit.split else { return Ok(()) };
            losses.add(split.name(), unit.lost);
            match unit.starts_document {
                true => writer.start_document(split, unit.tokens, unit.bytes),
                false => writer.continue_document(split, unit.tokens, unit.bytes),
            }
        })?;
        losses.check_early()
    }
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

/// Units that are encoded together.
pub(super) struct Batch<'a, C> {
    tokens: &'a Tokens,
    encoder: Option<Encoder<'a>>,
    units: Vec<Unit<C>>,
    length: usize,
}

impl<'a, C: Content> Batch<'a, C> {
    pub(super) fn new(tokens: &'a Tokens) -> Self {
        Self { tokens, encoder: tokens.encoder(), units: Vec::new(), length: 0 }
    }

    /// Takes a unit; returns whether the batch is full.
    pub(super) fn push(&mut self, unit: Unit<C>) -> bool {
        self.length += unit.content.length();
        self.units.push(unit);
        self.length >= BATCH
    }

    /// Encodes all units and passes them on.
    pub(super) fn encode(
        &mut self,
        sink: &mut dyn FnMut(EncodedUnit<'_>) -> Result<()>,
    ) -> Result<()> {
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
            sink(EncodedUnit { split, starts_document, tokens: &tokens, bytes, lost })?;
        }
        Ok(())
    }
}

impl<C> Batch<'_, C> {
    /// Bytes of text per token, and of all tokens of text that were encoded; none without a
    /// tokenizer.
    pub(super) fn lengths(&self) -> Option<(TokenBytes, u64)> {
        let given = self.tokens.token_bytes()?;
        let Some(encoder) = &self.encoder else { return Some((given.clone(), 0)) };
        let lengths = encoder.token_bytes();
        let told = encoder.told_bytes(&lengths);
        Some((lengths, told))
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
