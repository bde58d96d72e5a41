//! `scarce runs`, `show` and `verify`: looking at a store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::foreign::ForeignArgs;
use super::options::{AllowArgs, MAKES_STORES, Places, SpecSource, ThreadArgs, existing_store};
use super::{corpus, foreign, print, progress::Bar};
use crate::data::{Corpus, MANIFEST_FILE, Manifest, PartReader};
use crate::draw::table::{Align, Table};
use crate::lab::{Corpora, WorkOptions, add_floors, ledger, replay};
use crate::spec::preset::PRESETS;
use crate::spec::{Job, JobId, Origin, SideSet, field};
use crate::store::{Loss, NamedModel, Outcome, Record, SideMean, Store, TrainedOn, utc};
use crate::{Error, Result};

/// Arguments of `scarce runs`.
#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    /// Directory of the records
    #[arg(long, default_value = "scarce-store", value_name = "DIR")]
    store: PathBuf,
    /// Print one JSON record a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    foreign: ForeignArgs,
}

/// Arguments of `scarce show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Id of a record, a unique beginning of it, the name of a model, or the directory of a corpus
    #[arg(value_name = "ID|NAME|CORPUS")]
    id: Option<String>,
    /// Instead of a record: resolve this spec and show where each value comes from
    #[arg(long, value_name = "SPEC.toml", conflicts_with = "id")]
    spec: Option<PathBuf>,
    /// Override a key of the spec
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Explain every key that a spec may have
    #[arg(long, conflicts_with_all = ["id", "spec"])]
    fields: bool,
    #[command(flatten)]
    places: Places,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `scarce verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Id of a record, a unique beginning of it, or the name of a model
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    places: Places,
    /// Train it again, for which its corpus is needed, and compare the weights byte for byte
    #[arg(long)]
    replay: bool,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    allow: AllowArgs,
}

pub(super) fn list(arguments: &RunsArgs) -> Result<()> {
    let store = existing_store(&arguments.store, MAKES_STORES)?;
    if arguments.foreign.foreign {
        return foreign::list(&store, &arguments.foreign, arguments.json);
    }
    let mut table = Table::new(&[
        ("id", Align::Left),
        ("kind", Align::Left),
        ("outcome", Align::Left),
        ("loss (nats/token)", Align::Right),
        ("parameters", Align::Right),
        ("tokens", Align::Right),
        ("finished", Align::Left),
    ]);
    for record in store.records(&mut |text| print::warning(&text))? {
        if arguments.json {
            print::json(&record);
            continue;
        }
        let of_split =
            Loss::headline(&record.losses).map(|loss| format!("{} {}", loss.split, loss.text()));
        let of_side = || {
            let loss = Loss::headline(&record.side_losses)?;
            Some(format!("{} {}", loss.split.name, loss.text()))
        };
        let loss = of_split.or_else(of_side).unwrap_or_else(|| "-".to_owned());
        table.push([
            record.id.short(),
            record.kind.to_string(),
            outcome(&record),
            loss,
            record.cost.parameters.to_string(),
            record.cost.tokens.to_string(),
            utc(record.finished_unix_seconds),
        ]);
    }
    if !arguments.json {
        print::data(&format!("{}{}", table.to_text(), names(&store)?));
    }
    Ok(())
}

/// A line per name: the model's members.
fn names(store: &Store) -> Result<String> {
    let mut text = String::new();
    for name in store.names()? {
        let model = match store.named(&name) {
            Ok(Some(model)) => model,
            Ok(None) => continue,
            Err(error) => {
                print::warning(&format!("the name `{name}` is left out: {error}"));
                continue;
            }
        };
        let members: Vec<String> = model.members.iter().map(JobId::short).collect();
        text += &format!("\n`{name}` is the average of {}", members.join(", "));
    }
    Ok(if text.is_empty() { text } else { text + "\n" })
}

pub(super) fn show(arguments: &ShowArgs) -> Result<()> {
    if arguments.fields {
        print::data(&fields());
        return Ok(());
    }
    let Some(prefix) = &arguments.id else { return show_spec(arguments) };
    if Path::new(prefix).join(MANIFEST_FILE).is_file() {
        return show_corpus(Path::new(prefix), arguments.json);
    }
    let store = existing_store(&arguments.places.store, MAKES_STORES)?;
    if let Some(model) = store.named(prefix)? {
        show_named(prefix, &model, arguments.json);
        return Ok(());
    }
    let id = match store.find(prefix) {
        Ok(id) => id,
        Err(error) => return foreign::show(&store, prefix, arguments.json, error),
    };
    let Some(mut record) = store.record(id)? else {
        return Err(Error::data(format!("record {} has gone away", id.short())));
    };
    if !arguments.places.corpus.is_empty() {
        find_floors(&mut record, &store, &arguments.places.open_corpora()?)?;
    }
    if arguments.json {
        print::json(&record);
        return Ok(());
    }
    let mut text = spec_text(&store.job(id)?, None);
    text += &format!("\nid          {id}\noutcome     {}\n", outcome(&record));
    if let Some(loss) = Loss::headline(&record.losses).filter(|_| record.losses.len() > 1) {
        text += &format!("loss        {} {} {}\n", loss.split, loss.name, loss_text(loss));
    }
    if !record.allowed.is_empty() {
        text += &format!("allowed     {}\n", record.allowed);
    }
    for loss in &record.losses {
        text += &format!("{:<12}{} {}\n", loss.split, loss.name, loss_text(loss));
    }
    text += &sides_text(&record);
    for measured in &record.measured {
        text += &format!("{:<12}{} {:.4}\n", "measured", measured.name, measured.value);
    }
    text += &reads_text(&record.trained_on);
    let cost = &record.cost;
    text += &format!(
        "cost        {} steps, {} tokens, {:.3e} FLOP\n",
        cost.steps, cost.tokens, cost.flops
    );
    text += &format!(
        "time        {} wall, {} CPU, peak memory {}\n",
        print::seconds(cost.wall_seconds),
        print::seconds(cost.cpu_seconds),
        print::bytes(cost.peak_memory_bytes)
    );
    let machine = &record.machine;
    text += &format!(
        "machine     {}, {} of {} processors, {}, {}\n",
        machine.cpu, machine.threads, machine.processors, machine.isa, machine.system
    );
    text += &format!("numerics    {}\n", record.numerics);
    text += &format!(
        "finished    {} by scarce {}\n",
        utc(record.finished_unix_seconds),
        record.version
    );
    print::data(&text);
    Ok(())
}

fn show_corpus(directory: &Path, as_json: bool) -> Result<()> {
    let manifest = Manifest::read(directory)?;
    if as_json {
        print::json(&manifest);
    } else {
        print::data(&corpus::describe(&manifest));
    }
    Ok(())
}

/// What a name stands for.
fn show_named(name: &str, model: &NamedModel, as_json: bool) {
    let members: Vec<String> = model.members.iter().map(JobId::to_string).collect();
    if as_json {
        print::json(&json!({ "name": name, "corpus": model.corpus, "members": members }));
        return;
    }
    let what = match &members[..] {
        [_] => "one run".to_owned(),
        all => format!("the mean of the logits of {} runs", all.len()),
    };
    let corpus = model.corpus.short();
    print::data(&format!("{name}: {what} on corpus {corpus}\n{}\n", members.join("\n")));
}

/// The floor under the losses of a record that is older than this program's knowledge of it.
fn find_floors(record: &mut Record, store: &Store, corpora: &Corpora) -> Result<()> {
    let (id, sequence_tokens) = match store.job(record.id)? {
        Job::Train(spec) => (spec.data.corpus, spec.data.sequence_tokens),
        Job::Evaluate(spec) => (spec.corpus, spec.sequence_tokens),
        Job::Ensemble(spec) => (spec.corpus, spec.sequence_tokens),
        Job::Ngram(spec) => (spec.corpus, spec.sequence_tokens),
    };
    let (corpus, missing) = (corpora.get(id)?, |loss: &&Loss| loss.above_floor.is_none());
    let Some(split) = record.losses.iter().find(missing).map(|loss| loss.split) else {
        return Ok(());
    };
    let ledger = ledger(store, record.id, split)?;
    add_floors(&mut record.losses, &ledger, corpus, (split, sequence_tokens as usize))
}

fn show_spec(arguments: &ShowArgs) -> Result<()> {
    let ShowArgs { spec: None, set, places, .. } = arguments else { return show_file(arguments) };
    if set.is_empty() && places.corpus.is_empty() {
        return Err(Error::usage("what is to be shown?").hint(
            "a record by its id (`scarce runs` lists them), a named model, the directory of a \
             corpus, or a spec with --spec",
        ));
    }
    show_file(arguments)
}

/// A spec with its defaults, and where each value comes from.
fn show_file(arguments: &ShowArgs) -> Result<()> {
    let corpora = arguments.places.open_corpora()?;
    let source = SpecSource { spec: arguments.spec.clone(), set: arguments.set.clone() };
    let resolved = source.resolve(&corpora)?;
    let job = Job::Train(resolved.spec);
    if arguments.json {
        print::json(&job);
    } else {
        print::data(&format!("{}\nid {}\n", spec_text(&job, Some(&resolved.origins)), job.id()));
    }
    Ok(())
}

pub(super) fn verify(arguments: &VerifyArgs) -> Result<()> {
    let store = existing_store(&arguments.places.store, MAKES_STORES)?;
    let ids = store.members(&arguments.id)?;
    for &id in &ids {
        let files = store.verify(id)?;
        print::data(&format!("{}: {} files are as they were written\n", id.short(), files.len()));
    }
    if !arguments.replay {
        return Ok(());
    }
    let corpora = arguments.places.open_corpora()?;
    let options = WorkOptions { allowed: arguments.allow.set(), ..arguments.threads.options() };
    ids.into_iter().try_for_each(|id| verify_replay(id, (&store, &corpora), &options))
}

/// Trains a run again and says that its weights are the same.
fn verify_replay(
    id: JobId,
    (store, corpora): (&Store, &Corpora),
    options: &WorkOptions,
) -> Result<()> {
    let (bar, start) = (Bar::new("replaying"), std::time::Instant::now());
    let mut report = |report: crate::lab::Report| bar.run(&report, start, 0);
    let result = replay(id, (store, corpora), options, &mut report);
    bar.finish();
    result?;
    print::data(&format!("{}: trained again, the weights are the same bytes\n", id.short()));
    Ok(())
}

fn outcome(record: &Record) -> String {
    match record.outcome {
        Outcome::Finished => "finished".to_owned(),
        Outcome::Diverged { step } => format!("diverged at step {step}"),
    }
}

/// A loss with its units, in bits per byte and above the floor, too, where these are known.
pub(super) fn loss_text<P>(loss: &Loss<P>) -> String {
    let bits = loss.bits_per_byte.map(|bits| format!(", {bits:.4} bits/byte"));
    let above = loss
        .above_floor
        .map(|above| format!("; {} above the floor of {:.4}", above.text(), above.floor_nats));
    let (bits, above) = (bits.unwrap_or_default(), above.unwrap_or_default());
    format!("{} nats/token{bits}{above}", loss.text())
}

/// The losses of a record on side sets, and their mean, a line each.
pub(super) fn sides_text(record: &Record) -> String {
    let mut text = String::new();
    for loss in &record.side_losses {
        let (set, name) = (&loss.split.name, &loss.name);
        text += &format!("{:<12}{set}: {name} {}\n", "side", loss_text(loss));
    }
    for mean in &record.side_means {
        let SideMean { name, sets, bits_per_byte, .. } = mean;
        let bits = bits_per_byte.map(|bits| format!(", {bits:.4} bits/byte"));
        let (mean, bits) = (mean.text(), bits.unwrap_or_default());
        let over = if *sets == 1 { "1 set".to_owned() } else { format!("{sets} sets") };
        text += &format!("{:<12}{name} {mean} nats/token{bits} over {over}\n", "side mean");
    }
    text
}

/// What a run reads of each corpus, a line each.
pub(super) fn reads_text(reads: &[TrainedOn]) -> String {
    let line = |read: &TrainedOn| {
        let TrainedOn { corpus, tokens, epochs } = read;
        format!("{:<12}{} {tokens} tokens, {epochs:.2} epochs\n", "data", corpus.short())
    };
    reads.iter().map(line).collect()
}

/// The side sets that runs on this corpus will read, a line each.
pub(super) fn planned_sides(corpus: &Corpus) -> String {
    let line = |(side, part): (SideSet, &PartReader)| {
        let (name, tokens) = (side.name, part.tokens());
        format!("{:<12}{name}, {tokens} tokens: every run reports its loss on it\n", "side")
    };
    corpus.sides().map(line).collect()
}

/// The spec, one key a line, with the origin of each value if it is known.
pub(super) fn spec_text(job: &Job, origins: Option<&BTreeMap<String, Origin>>) -> String {
    let mut text = String::new();
    for line in job.canonical().lines().skip(1) {
        let key = line.split(" = ").next().unwrap_or_default();
        match origins.and_then(|origins| origins.get(key)) {
            Some(origin) => text += &format!("{line:<44} # {origin}\n"),
            None => text += &format!("{line}\n"),
        }
    }
    text
}

/// Every key, what it accepts and what it means.
fn fields() -> String {
    let mut table =
        Table::new(&[("key", Align::Left), ("accepts", Align::Left), ("meaning", Align::Left)]);
    table.push(["model.preset", "word", "a shape by its name"].map(str::to_owned));
    for entry in field::FIELDS {
        let accepts = match entry.accepts {
            field::Accepts::Count | field::Accepts::Large => "whole number".to_owned(),
            field::Accepts::Real => "number".to_owned(),
            field::Accepts::Flag => "true or false".to_owned(),
            field::Accepts::Word(words) => words.join(" | "),
            field::Accepts::Id => "64 hex digits".to_owned(),
        };
        table.push([entry.key.to_owned(), accepts, entry.meaning.to_owned()]);
    }
    let presets: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    format!(
        "{}\nshapes: {}\ndefaults depend on the corpus: `scarce show --spec SPEC.toml --corpus \
         DIR` shows every value and where it comes from\n",
        table.to_text(),
        presets.join(", ")
    )
}
