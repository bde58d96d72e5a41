//! `scarce eval`: held-out loss of trained models, alone and averaged.

use clap::Args;

use super::options::{Places, Running, facts};
use super::progress::Bar;
use super::signals::Interrupt;
use super::{print, runs};
use crate::lab::work;
use crate::report::table::{Align, Table};
use crate::spec::{EvaluateSpec, Job, Split};
use crate::store::{Record, Store};
use crate::{Error, Result};

/// Arguments of `scarce eval`.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// Ids of training records, or unique beginnings of them; several make an ensemble
    #[arg(required = true, value_name = "ID")]
    members: Vec<String>,
    #[command(flatten)]
    places: Places,
    /// What is read; every read of `test` is logged
    #[arg(long, default_value = "val", value_parser = ["train", "val", "test"])]
    split: String,
    #[command(flatten)]
    running: Running,
    /// Print the record as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &EvalArgs) -> Result<()> {
    let corpora = arguments.places.open_corpora()?;
    let store = Store::open(&arguments.places.store)?;
    let members: Vec<_> =
        arguments.members.iter().map(|prefix| store.find(prefix)).collect::<Result<_>>()?;
    let Job::Train(first) = store.job(members[0])? else {
        return Err(Error::usage(format!("{} is not a training run", members[0].short())));
    };
    let split = Split::ALL.into_iter().find(|split| split.name() == arguments.split);
    let job = Job::Evaluate(EvaluateSpec {
        members,
        corpus: facts(&corpora)?.id,
        split: split.expect("clap checked the name"),
        sequence_tokens: first.data.sequence_tokens,
        mask: first.data.mask,
        precision: first.precision,
    });
    let interrupt = Interrupt::listen()?;
    let bar = Bar::new("evaluating");
    let start = std::time::Instant::now();
    let mut report = |report: crate::lab::Report| bar.run(&report, start, 0);
    let options = arguments.running.options()?;
    let record = work(&job, (&store, &corpora), &options, &mut report, &|| interrupt.is_set());
    bar.finish();
    let record = record?;
    if arguments.json {
        print::json(&runs::record_json(&record)?);
    } else {
        print::data(&table(&record));
    }
    Ok(())
}

fn table(record: &Record) -> String {
    let mut table = Table::new(&[
        ("model", Align::Left),
        ("loss (nats/token)", Align::Right),
        ("bits/byte", Align::Right),
        ("blocks", Align::Right),
    ]);
    for loss in &record.losses {
        let bits = loss.bits_per_byte.map_or_else(|| "-".to_owned(), |bits| format!("{bits:.4}"));
        table.push([loss.name.clone(), loss.text(), bits, loss.clusters.to_string()]);
    }
    let mut text = format!("record {}\n{}", record.id, table.to_text());
    for measured in &record.measured {
        text += &format!("{} {:+.4}\n", measured.name, measured.value);
    }
    text
}
