//! The pass before encoding: samples the training text and indexes the held-out text.

use super::PrepareOptions;
use super::duplicates::DuplicateFinder;
use super::plan::Plan;
use super::sample::{SAMPLE_BYTES_MAX, Sample};
use super::units::Unit;
use super::vocabulary::Tokens;
use crate::data::corpus::{Splits, TrainedFacts};
use crate::data::input::{Content, Observer};
use crate::spec::Split;
use crate::token::{train, train_at_most};
use crate::{Error, Result};

/// What the pass found.
pub(super) struct Learned<C> {
    /// Text to train the tokenizer on, if one is to be trained.
    pub(super) sample: Option<Sample>,
    pub(super) duplicates: DuplicateFinder<C>,
    /// Bytes or tokens of training text.
    pub(super) train_length: u64,
    /// Bytes or tokens left out at borders.
    pub(super) gap_length: u64,
    documents: Splits<u64>,
}

/// Makes the pass.
pub(super) fn learn<C: Content>(
    plan: &Plan,
    seed: u64,
    train_tokenizer: bool,
    observer: &mut dyn Observer,
) -> Result<Learned<C>> {
    let mut learned = Learned {
        sample: train_tokenizer.then(|| Sample::new(seed, SAMPLE_BYTES_MAX)),
        duplicates: DuplicateFinder::new(),
        train_length: 0,
        gap_length: 0,
        documents: Splits::default(),
    };
    plan.pass("reading", &mut |unit| learned.take(&unit), observer)?;
    for side in plan.sides {
        learned.duplicates.start_set();
        let mut index = |unit: Unit<C>| {
            learned.duplicates.held_out(unit.key, unit.starts_document, &unit.content);
            Ok(())
        };
        plan.pass_side("reading", side, &mut index, observer)?;
    }
    learned.duplicates.seal();
    Ok(learned)
}

impl<C: Content> Learned<C> {
    fn take(&mut self, unit: &Unit<C>) -> Result<()> {
        let length = unit.content.length() as u64;
        let Some(split) = unit.split else {
            self.gap_length += length;
            return Ok(());
        };
        *self.documents.get_mut(split) += u64::from(unit.starts_document);
        if split == Split::Train {
            self.train_length += length;
            if let Some(sample) = &mut self.sample {
                sample.offer(unit.key, unit.content.text());
            }
        } else {
            self.duplicates.held_out(unit.key, unit.starts_document, &unit.content);
        }
        Ok(())
    }

    /// An error if a split would be empty, before the work of encoding.
    pub(super) fn check_splits(&self, plan: &Plan) -> Result<()> {
        match Split::ALL.into_iter().find(|&split| *self.documents.get(split) == 0) {
            None => Ok(()),
            Some(split) => Err(Error::data(format!("the {split} split would be empty"))
                .hint(plan.hint_for_empty(split))),
        }
    }
}

impl Tokens {
    /// Trains a tokenizer on the sample, which is used up: the passes that follow need its room.
    pub(super) fn train<C: Content>(
        learned: &mut Learned<C>,
        options: &PrepareOptions,
    ) -> Result<Self> {
        let sample = learned.sample.take().expect("a sample was taken to train on");
        let texts: Vec<String> = sample.into_texts().collect();
        let (tokenizer, sample_bytes) = match options.vocabulary {
            Some(size) => train(&texts, size)?,
            // A text that repeats little fills less than what suits its length.
            None => train_at_most(&texts, default_size(learned.train_length))?,
        };
        drop(texts);
        let size = tokenizer.vocabulary();
        let trained = TrainedFacts { sample_bytes, seed: options.seed };
        let mut tokens = Self::of(tokenizer, options, Some(trained))?;
        if options.vocabulary.is_none() {
            tokens.notes.push(format!(
                "a vocabulary of {size} suits this amount of text; `--vocab N` gives another"
            ));
        }
        Ok(tokens)
    }
}

/// A vocabulary that a text of this many bytes can fill with tokens that it repeats.
fn default_size(train_bytes: u64) -> u32 {
    match train_bytes {
        0..200_000 => 320,
        200_000..1_000_000 => 512,
        1_000_000..4_000_000 => 1024,
        _ => 4096,
    }
}
