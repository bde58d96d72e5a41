//! `scarce eval`: held-out loss of trained models, alone and averaged.

use clap::Args;
use serde_json::json;

use super::options::{AllowArgs, Places, ThreadArgs, ask};
use super::print;
use super::progress::Bar;
use super::signals::Interrupt;
use crate::data::Corpus;
use crate::draw::table::{Align, Table};
use crate::error::{quoted, suggest};
use crate::eval::side_means;
use crate::eval::statistics::LEVEL;
use crate::lab::{Corpora, Crowd, Demand, WorkOptions, ledger, work};
use crate::number::signed;
use crate::report::number::interval;
use crate::spec::{EvaluateSpec, Job, JobId, Part, Split};
use crate::store::{Average, Column, Loss, Record, SideLoss, Store};
use crate::{Error, Result};

/// Arguments of `scarce eval`.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// Ids of training records, unique beginnings of them, or names of models; several make an
    /// ensemble
    #[arg(required = true, value_name = "ID")]
    members: Vec<String>,
    #[command(flatten)]
    places: Places,
    /// What is read: train, val, test or a side set's name; every read of `test` is logged
    #[arg(long, default_value = "val", value_name = "NAME")]
    split: String,
    /// Read every side set of the corpus, and show the mean over them
    #[arg(long, conflicts_with = "split")]
    sides: bool,
    /// Another model (several make an ensemble): the difference to it, paired over blocks of text
    #[arg(long, num_args = 1.., value_name = "ID", conflicts_with = "sides")]
    against: Vec<String>,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    allow: AllowArgs,
    /// Print the record as JSON; with --sides all records and the mean, with --against the
    /// difference
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &EvalArgs) -> Result<()> {
    let corpora = arguments.places.open_corpora()?;
    let store = Store::open(&arguments.places.store)?;
    let members = find(&store, &arguments.members)?;
    let corpus = corpora.get(super::options::facts(&corpora)?.id)?;
    let parts = parts(arguments, corpus)?;
    if !arguments.against.is_empty() {
        return compare(arguments, (&store, &corpora, corpus), (&members, &parts[0]));
    }
    if let Some(record) = stored(&store, &members, &parts)? {
        return show(arguments, &parts, &[record]);
    }
    let places = (&store, &corpora, corpus);
    let records = parts.iter().map(|part| evaluate(arguments, places, (&members, part)));
    show(arguments, &parts, &records.collect::<Result<Vec<_>>>()?)
}

/// The training runs behind ids, beginnings of ids, and names.
fn find(store: &Store, texts: &[String]) -> Result<Vec<JobId>> {
    let found = texts.iter().map(|text| match text.contains(',') {
        true => Err(Error::usage(format!("`{}` is no id and no name", quoted(text)))
            .hint(format!("several are separated by blanks: {}", quoted(&text.replace(',', " "))))),
        false => store.members(text),
    });
    Ok(found.collect::<Result<Vec<_>>>()?.concat())
}

/// The record of members on a part of the corpus, measured now if it is not known.
fn evaluate(
    arguments: &EvalArgs,
    (store, corpora, corpus): (&Store, &Corpora, &Corpus),
    (members, part): (&[JobId], &Part),
) -> Result<Record> {
    let Job::Train(first) = store.job(members[0])? else {
        return Err(Error::usage(format!("{} is not a training run", members[0].short())));
    };
    let interrupt = Interrupt::listen()?;
    let job = Job::Evaluate(EvaluateSpec {
        members: members.to_vec(),
        corpus: corpus.id(),
        split: part.clone(),
        sequence_tokens: first.data.sequence_tokens,
        mask: first.data.mask,
        precision: first.precision,
    });
    let options = WorkOptions { allowed: arguments.allow.set(), ..arguments.threads.options() };
    let of_job = std::slice::from_ref(&job);
    ask(of_job, (Some(store), corpora), options.allowed)?;
    let crowd = Crowd { workers: 1, threads: options.threads };
    if !store.has(job.id()) {
        Demand::of(of_job, (store, corpora), crowd)?.check(None, crowd)?;
    }
    let bar = Bar::new("evaluating");
    let start = std::time::Instant::now();
    let mut report = |report: crate::lab::Report| bar.run(&report, start, 0);
    let record = work(&job, (store, corpora), &options, &mut report, &|| interrupt.is_set());
    bar.finish();
    record
}

/// Two models on the same text: their losses, and the difference with its interval.
fn compare(
    arguments: &EvalArgs,
    places: (&Store, &Corpora, &Corpus),
    (members, part): (&[JobId], &Part),
) -> Result<()> {
    let Part::Split(split) = part else {
        return Err(Error::usage("--against compares on a split, not on a side set")
            .hint("take --split val or test"));
    };
    let others = find(places.0, &arguments.against)?;
    let [left, right] = [members, &others].map(|members| -> Result<_> {
        let record = evaluate(arguments, places, (members, part))?;
        let name = match members.len() {
            1 => Column::Member(0),
            count => Column::First(Average::Logits, count),
        };
        Ok((ledger(places.0, record.id, *split)?, name, record))
    });
    let ((left, left_name, record), (right, right_name, other)) = (left?, right?);
    let difference = left.difference(left_name, &right, right_name)?;
    if arguments.json {
        print::json(&json!({
            "record": record.id, "against": other.id, "split": split,
            "nats": record.loss(left_name, *split).map(|loss| loss.nats),
            "against_nats": other.loss(right_name, *split).map(|loss| loss.nats),
            "difference_nats": difference.estimate.mean,
            "standard_error_nats": difference.estimate.standard_error,
            "interval_nats": difference.bootstrap, "level": LEVEL,
            "blocks": difference.estimate.clusters, "verdict": difference.verdict(),
        }));
        return Ok(());
    }
    let mut table = Table::new(&COLUMNS);
    let losses = [(&record, left_name), (&other, right_name)];
    let losses = losses.iter().filter_map(|(record, name)| record.loss(*name, *split));
    losses.for_each(|loss| table.push(row(split.name(), loss)));
    print::data(&format!(
        "record {}\nrecord {}\n{}first minus second: {} nats/token ({}), {:.0} % over {} blocks of \
         text: {}\n",
        record.id,
        other.id,
        table.to_text(),
        signed(difference.estimate.mean),
        interval(difference.bootstrap),
        100.0 * LEVEL,
        difference.estimate.clusters,
        difference.verdict(),
    ));
    Ok(())
}

/// The parts of the corpus that were asked for.
fn parts(arguments: &EvalArgs, corpus: &Corpus) -> Result<Vec<Part>> {
    let sides = || corpus.sides().map(|(side, _)| Part::Side(side));
    if arguments.sides {
        let parts: Vec<Part> = sides().collect();
        return match parts.is_empty() {
            false => Ok(parts),
            true => Err(Error::usage("the corpus has no side sets")
                .hint("`scarce prepare` adds one by `--side NAME=PATH`")),
        };
    }
    let known: Vec<Part> = Split::ALL.into_iter().map(Part::from).chain(sides()).collect();
    let name = &*arguments.split;
    let found = known.iter().find(|part| part.name() == name).cloned();
    found.map(|part| vec![part]).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(Part::name).collect();
        let hint = suggest(name, names.iter().copied());
        Error::usage(format!("the corpus has no split or side set `{}`", quoted(name)))
            .hint(hint.unwrap_or_else(|| format!("it has {}", names.join(", "))))
    })
}

/// The record of a single run that has measured these side sets itself, when it ended.
fn stored(store: &Store, members: &[JobId], parts: &[Part]) -> Result<Option<Record>> {
    let [member] = members else { return Ok(None) };
    let Some(record) = store.record(*member)? else { return Ok(None) };
    let measured = record.side_losses.iter().map(|loss| Part::Side(loss.split.clone()));
    let measured: Vec<Part> = measured.collect();
    Ok(parts.iter().all(|part| measured.contains(part)).then_some(record))
}

const COLUMNS: [(&str, Align); 5] = [
    ("read", Align::Left),
    ("model", Align::Left),
    ("loss (nats/token)", Align::Right),
    ("bits/byte", Align::Right),
    ("blocks", Align::Right),
];

/// Shows what the records hold of these parts.
fn show(arguments: &EvalArgs, parts: &[Part], records: &[Record]) -> Result<()> {
    let of_sides = records.iter().flat_map(|record| &record.side_losses);
    let asked = |loss: &&SideLoss| parts.contains(&Part::Side(loss.split.clone()));
    let losses: Vec<SideLoss> = of_sides.filter(asked).cloned().collect();
    let means = if arguments.sides { side_means(&losses) } else { Vec::new() };
    if arguments.json {
        print::json(&match arguments.sides {
            true => json!({ "records": records, "side_means": means }),
            false => json!(records[0]),
        });
        return Ok(());
    }
    let mut table = Table::new(&COLUMNS);
    let mut text = String::new();
    for record in records {
        text += &format!("record {}\n", record.id);
        let asked = record.losses.iter().filter(|loss| parts.contains(&loss.split.into()));
        asked.for_each(|loss| table.push(row(loss.split.name(), loss)));
    }
    losses.iter().for_each(|loss| table.push(row(loss.split.name.as_str(), loss)));
    for mean in &means {
        let read = format!("mean of {}", mean.sets);
        table.push([
            read,
            mean.name.to_string(),
            mean.text(),
            bits(mean.bits_per_byte),
            String::new(),
        ]);
    }
    text += &table.to_text();
    for measured in records.iter().flat_map(|record| &record.measured) {
        text += &format!("{} {:+.4}\n", measured.name, measured.value);
    }
    print::data(&text);
    Ok(())
}

fn row<P>(read: &str, loss: &Loss<P>) -> [String; 5] {
    let blocks = loss.clusters.to_string();
    [read.to_owned(), loss.name.to_string(), loss.text(), bits(loss.bits_per_byte), blocks]
}

fn bits(bits_per_byte: Option<f64>) -> String {
    bits_per_byte.map_or_else(|| "-".to_owned(), |bits| format!("{bits:.4}"))
}
