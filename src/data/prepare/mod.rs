//! From what people have to a corpus.
//!
//! The input is passed by two or three times and never held in memory: the first pass counts
//! documents (and stops at a hundred), the second samples the training text for the tokenizer and
//! indexes the held-out text, the third encodes and writes.

mod copies;
mod duplicates;
mod encode;
mod learn;
mod lost;
mod plan;
mod sample;
mod sequences;
mod sides;
mod split;
mod synthetic;
mod units;
mod vocabulary;

use std::path::PathBuf;

use serde::Serialize;

use super::corpus::{
    CorpusWriter, InputFacts, Manifest, Provenance, Publication, Splits, TokenizerFacts,
    check_target,
};
use super::input::{
    Content, FileKind, InputFile, InvalidUtf8, Observer, ReadCounts, Sources, StandardInput,
    TokenInteger, expand, indexed_files, is_standard_input,
};
use crate::disk::FreshFolder;
use crate::error::quoted;
use crate::spec::{Allowed, SideName};
use crate::token::TokenBytes;
use crate::{Error, Result};
use lost::Losses;
use plan::{Inputs, Plan};
use vocabulary::Tokens;

pub use plan::SequenceSplit;
pub use synthetic::{prepare_language, prepare_synthetic};

/// What to prepare, and how.
#[derive(Clone, Debug)]
pub struct PrepareOptions {
    /// Files and directories: the training text, and the held-out text unless that is given apart.
    pub inputs: Vec<PathBuf>,
    /// Validation text. Without `test` it is divided between validation and test.
    pub val: Vec<PathBuf>,
    /// Test text.
    pub test: Vec<PathBuf>,
    /// Side sets (mission D7): a name of its own and a file or directory for each.
    pub sides: Vec<(SideName, PathBuf)>,
    /// The directory to write.
    pub target: PathBuf,
    /// Whether a corpus that lies there is replaced.
    pub overwrite: bool,
    /// The field or column that holds the text.
    pub text_field: String,
    /// What to do about bytes that are not UTF-8.
    pub invalid_utf8: InvalidUtf8,
    /// A tokenizer to use instead of training one.
    pub tokenizer: Option<PathBuf>,
    /// V, the size of the tokenizer to train, or of the vocabulary of token files.
    pub vocabulary: Option<u32>,
    /// The token that separates documents, by text (or id, for token files).
    pub separator: Option<String>,
    /// Share of the input for validation, unless `val` is given.
    pub val_share: f64,
    /// Share of the input for the test split, unless `val` or `test` is given.
    pub test_share: f64,
    /// Hold out shuffled sequences instead of documents.
    pub sequences: Option<SequenceSplit>,
    /// Seed of the split and of the tokenizer's sample.
    pub seed: u64,
    /// Threads that encode.
    pub threads: usize,
    /// What all files hold, whatever they are called.
    pub format: Option<FileKind>,
    /// The integers of token files without a header.
    pub token_integer: Option<TokenInteger>,
    /// Whether copies of training documents are kept.
    pub keep_duplicates: bool,
    /// What the person who asked has consented to.
    pub allowed: Allowed,
}

impl PrepareOptions {
    /// Options with every default, for these inputs and this target.
    #[must_use]
    pub fn new(inputs: Vec<PathBuf>, target: PathBuf) -> Self {
        Self {
            inputs,
            val: Vec::new(),
            test: Vec::new(),
            sides: Vec::new(),
            target,
            overwrite: false,
            text_field: "text".to_owned(),
            invalid_utf8: InvalidUtf8::Refuse,
            tokenizer: None,
            vocabulary: None,
            separator: None,
            val_share: 0.1,
            test_share: 0.05,
            sequences: None,
            seed: 0,
            threads: 1,
            format: None,
            token_integer: None,
            keep_duplicates: false,
            allowed: Allowed::NONE,
        }
    }
}

/// A corpus that was prepared.
#[derive(Clone, Debug, Serialize)]
pub struct Prepared {
    /// What it holds.
    pub manifest: Manifest,
    /// How it came to its place.
    pub publication: Publication,
    /// What the user should know about how it was made, as sentences.
    pub notes: Vec<String>,
}

/// Prepares a corpus.
///
/// # Errors
/// If an input cannot be read or holds something else than its name promises, if a split would be
/// empty, if options contradict each other, or if the corpus cannot be written. Nothing is left
/// behind then.
pub fn prepare(options: &PrepareOptions, observer: &mut dyn Observer) -> Result<Prepared> {
    check_target(&options.target)?;
    plan::check_shares(options)?;
    let mut skipped = Vec::new();
    let standard_input = standard_input(options, observer)?;
    let sources = Sources {
        format: options.format,
        standard_input: standard_input.as_ref().map(|stored| stored.file().clone()),
    };
    let sides = plan::list_sides(options, &sources, &mut skipped)?;
    let mut files = Splits::default();
    let mut list = |paths: &[PathBuf]| -> Result<_> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let (files, passed_over) = expand(paths, &sources)?;
        skipped.extend(passed_over);
        Ok(files)
    };
    files.train = list(&options.inputs)?;
    files.val = list(&options.val)?;
    files.test = list(&options.test)?;
    let inputs = Inputs { files, sides };
    let of_splits = || inputs.files.train.iter().chain(&inputs.files.val).chain(&inputs.files.test);
    let all = || of_splits().chain(inputs.sides.iter().flat_map(|side| &side.files));
    let tokens = all().filter(|file| file.kind == FileKind::Tokens).count();
    let input = input_facts(of_splits());
    let mut prepared = match tokens {
        0 => run::<String>(options, &inputs, input, observer),
        _ if tokens == all().count() => run::<Vec<u32>>(options, &inputs, input, observer),
        _ => Err(Error::usage("token files (.bin) and texts cannot be mixed in one corpus")
            .hint("bring all files of the corpus and of its side sets into the same form")),
    }?;
    prepared.notes.extend(standard_input.as_ref().and_then(StandardInput::note));
    if let Some(first) = skipped.first() {
        let (count, first) = (skipped.len(), quoted(first));
        prepared
            .notes
            .push(format!("{count} files of unknown kinds were passed over, `{first}` among them"));
    }
    Ok(prepared)
}

/// Stores standard input, if it is asked for.
fn standard_input(
    options: &PrepareOptions,
    observer: &mut dyn Observer,
) -> Result<Option<StandardInput>> {
    let sides = options.sides.iter().map(|(_, path)| path);
    let all = options.inputs.iter().chain(&options.val).chain(&options.test).chain(sides);
    match all.filter(|path| is_standard_input(path)).count() {
        0 => Ok(None),
        1 => {
            let folder = FreshFolder::beside(&options.target)?;
            StandardInput::store(folder, options.format, observer).map(Some)
        }
        _ => Err(Error::usage("`-` is given twice, but standard input can be read only once")),
    }
}

/// Facts of these files, before they are read.
fn input_facts<'a>(files: impl Iterator<Item = &'a InputFile> + Clone) -> InputFacts {
    InputFacts {
        file_count: files.clone().count() as u64,
        files: files.take(1000).map(|file| file.name.clone()).collect(),
        ..InputFacts::default()
    }
}

/// Prepares a corpus of texts or of tokens.
fn run<C: Content>(
    options: &PrepareOptions,
    inputs: &Inputs,
    mut input: InputFacts,
    observer: &mut dyn Observer,
) -> Result<Prepared> {
    let given = vocabulary::given::<C>(options, &inputs.files.train)?;
    let plan = Plan::new::<C>(options, inputs, given.as_ref(), observer)?;
    let mut notes = plan.notes.clone();
    let indexed = match (C::IS_TEXT, options.token_integer) {
        (false, None) => indexed_files(&inputs.files.train),
        _ => 0,
    };
    if indexed > 0 {
        notes.push(format!(
            "{indexed} token files were read as the .idx files of Megatron beside them say"
        ));
    }
    if let Some(sequences) = options.sequences {
        let tokens = given.ok_or_else(|| {
            Error::usage("a split by sequences is defined on tokens: it needs a tokenizer first")
                .hint("give `--tokenizer FILE`; preparing once without this split makes one")
        })?;
        notes.extend(tokens.notes.clone());
        let writer = CorpusWriter::create(&options.target, options.overwrite, tokens.vocabulary())?;
        let tokens = (&tokens, Losses::new(options.allowed));
        let of_input = (input, &mut notes);
        let (manifest, publication) =
            sequences::write::<C>(&plan, sequences, tokens, writer, of_input, observer)?;
        return Ok(Prepared { manifest, publication, notes });
    }
    let mut learned = learn::learn::<C>(&plan, options.seed, given.is_none(), observer)?;
    learned.check_splits(&plan)?;
    let tokens = match given {
        Some(tokens) => tokens,
        None => Tokens::train(&mut learned, options)?,
    };
    notes.extend(tokens.notes.clone());
    let writer = CorpusWriter::create(&options.target, options.overwrite, tokens.vocabulary())?;
    let gap_bytes = learned.gap_length;
    let with = (&tokens, Losses::new(options.allowed));
    let mut encoded = encode::encode::<C>(&plan, learned.duplicates, with, writer, observer)?;
    record_counts(&mut input, &mut notes, encoded.counts);
    let mut duplicates = encoded.duplicates.report();
    let of_sides = duplicates.split_off(1);
    let duplicates = duplicates[0];
    notes.extend(encode::describe("held-out", &duplicates));
    for (side, duplicates) in plan.sides.iter().zip(&of_sides) {
        notes.extend(encode::describe(side.name.as_str(), duplicates));
    }
    let (writer, losses) = (&mut encoded.writer, &mut encoded.losses);
    let facts = finish_lengths(&tokens, encoded.lengths, losses, writer, &mut notes)?;
    let side = sides::encode::<C>(&plan, Some(of_sides), (&tokens, losses), writer, observer)?;
    let (facts, allowed) = finish_losses(facts, losses, &mut notes)?;
    if plan.cuts_sections() {
        notes.push(plan.describe_sections(gap_bytes));
    }
    let (manifest, publication) = encoded.writer.finish(Provenance {
        synthetic: None,
        tokenizer: facts,
        split_policy: plan.policy(gap_bytes),
        duplicates: Some(duplicates),
        input,
        allowed,
        floor_nats: Splits::default(),
        side,
    })?;
    Ok(Prepared { manifest, publication, notes })
}

/// Writes the lengths of tokens, and checks that they add up to the text.
fn finish_lengths(
    tokens: &Tokens,
    lengths: Option<(TokenBytes, u64)>,
    losses: &Losses,
    writer: &mut CorpusWriter,
    notes: &mut Vec<String>,
) -> Result<Option<TokenizerFacts>> {
    let mut facts = tokens.facts.clone();
    let Some((lengths, told_bytes)) = lengths else { return Ok(facts) };
    writer.token_bytes(&lengths.lengths)?;
    let exact = lengths.exact && losses.is_empty();
    if let Some(facts) = &mut facts {
        facts.token_bytes_exact = exact;
    }
    let text_bytes = losses.text_bytes();
    let sum = match text_bytes {
        0 => String::new(),
        all => {
            format!(", which add up to {:.1} % of the text", 100.0 * told_bytes as f64 / all as f64)
        }
    };
    if !exact {
        notes.push(format!(
            "bits per byte are estimates with this tokenizer, from the lengths of its tokens{sum}"
        ));
    }
    Ok(facts)
}

/// Judges what was lost of the text.
fn finish_losses(
    mut facts: Option<TokenizerFacts>,
    losses: &Losses,
    notes: &mut Vec<String>,
) -> Result<(Option<TokenizerFacts>, Allowed)> {
    let (lost, allowed) = losses.judge(notes)?;
    if let Some(facts) = &mut facts {
        facts.lost = lost;
    }
    Ok((facts, allowed))
}

/// Enters what was met while reading into the facts of the input.
fn set_counts(input: &mut InputFacts, counts: ReadCounts) {
    input.empty_documents = counts.empty_documents;
    input.null_texts = counts.null_texts;
    input.replaced_characters = counts.replaced_characters;
    input.copies_left_out = counts.copies_left_out;
    input.copies_kept = counts.copies_kept;
}

fn record_counts(input: &mut InputFacts, notes: &mut Vec<String>, counts: ReadCounts) {
    set_counts(input, counts);
    let ReadCounts { empty_documents, null_texts, replaced_characters, .. } = counts;
    if empty_documents > 0 {
        let of_null = match null_texts {
            0 => String::new(),
            count => format!(", {count} of them null or without the field"),
        };
        notes.push(format!("{empty_documents} documents without text were left out{of_null}"));
    }
    if replaced_characters > 0 {
        notes
            .push(format!("{replaced_characters} pieces of invalid UTF-8 were replaced by U+FFFD"));
    }
    if counts.copies_left_out > 0 {
        notes.push(format!(
            "{} documents are copies of others and were left out, so that none counts twice; \
             `--keep-duplicates` keeps those of the training split",
            counts.copies_left_out
        ));
    }
    if counts.copies_kept > 0 {
        notes.push(format!(
            "{} copies of training documents were kept: an epoch reads them again, and numbers of \
             training tokens count them as new text",
            counts.copies_kept
        ));
    }
}

#[cfg(test)]
mod tests;
