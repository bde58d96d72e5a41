//! From what a user wrote to a full spec: defaults, preset, corpus, file, flags, in this order.
//! Every value remembers where it came from.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::canonical::{flatten, to_value, unflatten};
use super::data::{DataSpec, Mask, OrderMode};
use super::field;
use super::id::CorpusId;
use super::optim::{Decay, OptimSpec, Schedule};
use super::preset;
use super::text::parse_toml;
use super::train::{Evaluation, Objective, Precision, Seeds, Start, TrainSpec};
use crate::error::{quoted, suggest};
use crate::number::parse_amount;
use crate::{Error, Result};

/// What a spec needs to know of the corpus that it is resolved against.
#[derive(Clone, Copy, Debug)]
pub struct CorpusFacts {
    /// Content id.
    pub id: CorpusId,
    /// Vocabulary size.
    pub vocabulary: u32,
    /// Tokens of the training split.
    pub train_tokens: u64,
}

/// What the user wrote.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Name (for messages) and text of a TOML file.
    pub file: Option<(&'a str, &'a str)>,
    /// `key=value` overrides, later ones win.
    pub sets: &'a [String],
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The model preset.
    Preset,
    /// The corpus.
    Corpus,
    /// The spec file.
    File,
    /// `--set`.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Preset => "preset",
            Self::Corpus => "corpus",
            Self::File => "file",
            Self::Flag => "flag",
        })
    }
}

/// A full spec and the origin of each of its values, by dotted key.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The spec.
    pub spec: TrainSpec,
    /// Where each value came from.
    pub origins: BTreeMap<String, Origin>,
}

/// The model when neither file nor flags name one.
const DEFAULT_PRESET: &str = "pocket-150k";
/// The one key that is not a field: it stands for a whole shape and leaves no trace but that.
const PRESET_KEY: &str = "model.preset";

type Leaves = BTreeMap<String, Value>;

/// Resolves a request against a corpus, checks every value and rejects unknown keys.
pub fn resolve(request: &Request<'_>, corpus: &CorpusFacts) -> Result<Resolved> {
    let mut file = match request.file {
        Some((name, text)) => parse_file(name, text)?,
        None => Leaves::new(),
    };
    let mut flags = parse_sets(request.sets)?;
    let named = flags.remove(PRESET_KEY).or(file.remove(PRESET_KEY));
    let preset = match &named {
        None => preset::find(DEFAULT_PRESET)?,
        Some(Value::String(name)) => preset::find(name)?,
        Some(other) => preset::find(&other.to_string())?,
    };

    let file_name = request.file.map_or("spec", |(name, _)| name);
    let mut layers = Layers::default();
    let base = defaults(preset.model(corpus.vocabulary), corpus);
    let (of_corpus, of_preset, built_in) =
        split_defaults(flatten(&to_value(&base)), named.is_some());
    layers.add(built_in, Origin::Default);
    layers.add(of_preset, Origin::Preset);
    layers.add(of_corpus, Origin::Corpus);
    layers.add(checked(file, file_name)?, Origin::File);
    layers.add(checked(flags, "--set")?, Origin::Flag);
    layers.fit_budget(corpus);

    let Layers { leaves, origins } = layers;
    let spec: TrainSpec = serde_json::from_value(unflatten(&leaves))
        .map_err(|cause| Error::usage(format!("{file_name}: {cause}")))?;
    check_context(&spec, corpus)?;
    spec.validate().map_err(|error| error.within(file_name))?;
    check_corpus(&spec, corpus)?;
    Ok(Resolved { spec, origins })
}

/// The corpus that a request names by its id, if it does: with several at hand, that one is meant.
pub fn named_corpus(request: &Request<'_>) -> Result<Option<CorpusId>> {
    const KEY: &str = "data.corpus";
    let of_file = request.file.map(|(name, text)| parse_file(name, text)).transpose()?;
    let named = parse_sets(request.sets)?.remove(KEY).or(of_file.and_then(|mut f| f.remove(KEY)));
    Ok(named.and_then(|id| id.as_str()?.parse().ok()))
}

/// The keys that overrides set, a table as several.
///
/// # Errors
/// If an override is none.
pub fn set_keys(sets: &[String]) -> Result<Vec<String>> {
    Ok(parse_sets(sets)?.into_keys().collect())
}

#[derive(Default)]
struct Layers {
    leaves: Leaves,
    origins: BTreeMap<String, Origin>,
}

impl Layers {
    /// Puts a layer over the others. A changed `kind` drops the old kind's own fields.
    fn add(&mut self, layer: Leaves, origin: Origin) {
        for (key, value) in &layer {
            let changed = self.leaves.get(key).is_some_and(|old| old != value);
            if let (Some(prefix), true) = (key.strip_suffix("kind"), changed) {
                self.leaves.retain(|old, _| !old.starts_with(prefix));
                self.origins.retain(|old, _| !old.starts_with(prefix));
            }
        }
        self.origins.extend(layer.keys().map(|key| (key.clone(), origin)));
        self.leaves.extend(layer);
    }

    /// A budget that nobody named follows the sequence length that somebody did.
    fn fit_budget(&mut self, corpus: &CorpusFacts) {
        const KEY: &str = "data.budget_tokens";
        let sequence = self.leaves.get("data.sequence_tokens").and_then(Value::as_u64);
        if self.origins.get(KEY) == Some(&Origin::Corpus) && sequence.is_some_and(|t| t > 0) {
            let sequence = sequence.unwrap_or(1);
            let fitting = corpus.train_tokens / sequence * sequence;
            self.leaves.insert(KEY.to_owned(), Value::from(fitting));
        }
    }
}

/// The standard recipe on a pocket scale: nobody's optimum, everybody's starting point.
fn defaults(model: super::ModelSpec, corpus: &CorpusFacts) -> TrainSpec {
    TrainSpec {
        start: Start::Random {},
        model,
        data: DataSpec {
            corpus: corpus.id,
            budget_tokens: corpus.train_tokens,
            sequence_tokens: 128,
            epochs: 8.0,
            order: OrderMode::Sequences,
            mask: Mask::AcrossDocuments {},
            mixture: Vec::new(),
        },
        optim: OptimSpec::Adamw {
            lr: 3e-3,
            weight_decay: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            clip_norm: 1.0,
            decay_norms: false,
            batch_sequences: 16,
            schedule: Schedule { decay: Decay::Cosine, warmup_share: 0.01, min_lr_ratio: 0.0 },
        },
        objective: Objective::NextToken {},
        seeds: Seeds { init: 0, order: 42 },
        evaluation: Evaluation { points: 20, sample_tokens: 16_384 },
        precision: Precision::F32,
    }
}

/// Sorts built-in values by what they follow from: the corpus, a named preset, or nothing.
fn split_defaults(leaves: Leaves, preset_named: bool) -> (Leaves, Leaves, Leaves) {
    let from_corpus =
        |key: &str| matches!(key, "data.corpus" | "data.budget_tokens" | "model.vocabulary");
    let (of_corpus, rest): (Leaves, Leaves) =
        leaves.into_iter().partition(|(key, _)| from_corpus(key));
    let (of_preset, built_in) =
        rest.into_iter().partition(|(key, _)| preset_named && key.starts_with("model."));
    (of_corpus, of_preset, built_in)
}

fn parse_file(name: &str, text: &str) -> Result<Leaves> {
    let table: toml::Table =
        parse_toml(text).map_err(|cause| Error::usage(format!("{name}: {cause}")))?;
    table_leaves(table).map_err(|error| error.within(name))
}

fn parse_sets(sets: &[String]) -> Result<Leaves> {
    let mut leaves = Leaves::new();
    for set in sets {
        let place = format!("--set {}", quoted(set));
        let Some((key, value)) = set.split_once('=') else {
            return Err(Error::usage(format!("{place}: `key=value` was expected")));
        };
        let (key, value) = (key.trim(), value.trim());
        // A bare word is a string: nobody should have to quote quotes on a command line.
        let parsed = parse_toml::<toml::Table>(&format!("value = {value}"))
            .ok()
            .and_then(|mut table| table.remove("value"));
        let parsed = match parsed {
            // 1e6 and 25k are whole numbers, too.
            None | Some(toml::Value::Float(_)) => amount(value).or(parsed),
            other => other,
        };
        let parsed = parsed.unwrap_or_else(|| toml::Value::String(value.to_owned()));
        let table = toml::Table::from_iter([("value".to_owned(), parsed)]);
        for (leaf, value) in table_leaves(table).map_err(|error| error.within(&place))? {
            leaves.insert(format!("{key}{}", &leaf["value".len()..]), value);
        }
    }
    Ok(leaves)
}

/// A number as people write it on a command line, if it is one with an exponent or a suffix. An id
/// may be all digits: nobody writes a number of so many.
fn amount(text: &str) -> Option<toml::Value> {
    let decimal = text.contains('.') && !text.ends_with(char::is_alphabetic);
    let value = parse_amount(text).filter(|_| !decimal && text.len() < LONGEST_NUMBER)?;
    let whole = value.fract() == 0.0 && value.abs() < 9e15;
    Some(if whole { toml::Value::Integer(value as i64) } else { toml::Value::Float(value) })
}

/// Characters of the longest number that anybody types, and some more.
const LONGEST_NUMBER: usize = 32;

/// Leaves of a TOML table. Non-finite numbers and dates have no canonical text and are rejected.
fn table_leaves(table: toml::Table) -> Result<Leaves> {
    fn convert(value: toml::Value) -> Result<Value> {
        Ok(match value {
            toml::Value::String(text) => Value::String(text),
            toml::Value::Integer(number) => Value::from(number),
            toml::Value::Boolean(flag) => Value::Bool(flag),
            toml::Value::Float(number) if number.is_finite() => Value::from(number),
            toml::Value::Float(number) => {
                return Err(Error::usage(format!("`{number}` is not a finite number")));
            }
            toml::Value::Datetime(date) => {
                return Err(Error::usage(format!("`{date}` is a date: no key takes one")));
            }
            toml::Value::Array(items) => {
                Value::Array(items.into_iter().map(convert).collect::<Result<_>>()?)
            }
            toml::Value::Table(fields) => Value::Object(
                fields
                    .into_iter()
                    .map(|(key, value)| match convert(value) {
                        Ok(value) => Ok((key, value)),
                        Err(error) => Err(error.within(format!("`{}`", quoted(&key)))),
                    })
                    .collect::<Result<_>>()?,
            ),
        })
    }
    Ok(flatten(&convert(toml::Value::Table(table))?))
}

/// Checks keys and types; unknown keys get a suggestion.
fn checked(leaves: Leaves, place: &str) -> Result<Leaves> {
    leaves
        .into_iter()
        .map(|(key, value)| {
            let Some(field) = field::find(&key) else {
                let keys = field::FIELDS.iter().map(|field| field.key).chain([PRESET_KEY]);
                let error = Error::usage(format!("{place}: unknown key `{}`", quoted(&key)));
                let meant = field::of_last_part(&key).map(|key| format!("did you mean `{key}`?"));
                return Err(match meant.or_else(|| suggest(&key, keys)) {
                    Some(hint) => error.hint(hint),
                    None => error.hint("`scarce show --fields` lists all keys"),
                });
            };
            match field.accepts.check(&value) {
                Ok(value) => Ok((key, value)),
                Err(what) => {
                    let error = Error::usage(format!("{place}: `{key}`: {what}"));
                    let number = value.as_str().and_then(parse_amount);
                    let accepts = "`scarce show --fields` says what each key accepts";
                    Err(error.hint(match number {
                        Some(_) => "it is text because it is in quotes: leave them out",
                        None => accepts,
                    }))
                }
            }
        })
        .collect()
}

fn check_context(spec: &TrainSpec, corpus: &CorpusFacts) -> Result<()> {
    let sequence = spec.data.sequence_tokens;
    if u64::from(sequence) > corpus.train_tokens {
        return Err(Error::usage(format!(
            "`data.sequence_tokens` = {sequence} is longer than the corpus' {} training tokens",
            corpus.train_tokens
        )));
    }
    Ok(())
}

fn check_corpus(spec: &TrainSpec, corpus: &CorpusFacts) -> Result<()> {
    if spec.data.corpus != corpus.id {
        return Err(Error::usage(format!(
            "the spec was written for corpus {}, but this corpus is {}",
            spec.data.corpus.short(),
            corpus.id.short()
        ))
        .hint("drop `data.corpus` from the spec, or give the corpus it names"));
    }
    if spec.model.vocabulary < corpus.vocabulary {
        return Err(Error::usage(format!(
            "`model.vocabulary` = {} is smaller than the corpus' vocabulary of {}",
            spec.model.vocabulary, corpus.vocabulary
        )));
    }
    if spec.data.budget_tokens > corpus.train_tokens {
        let sequence = u64::from(spec.data.sequence_tokens);
        let most = corpus.train_tokens / sequence * sequence;
        return Err(Error::usage(format!(
            "`data.budget_tokens` = {} is larger than the corpus' {} training tokens",
            spec.data.budget_tokens, corpus.train_tokens
        ))
        .hint(format!("the largest budget is {most}; repeat data with `data.epochs`")));
    }
    Ok(())
}
