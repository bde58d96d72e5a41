//! `scarce import`: runs of other programs into the store, beside the records.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::print;
use crate::exchange::{self, Choice, Filter, Format, Import, Imported, Mapping};
use crate::store::{Added, Store};
use crate::{Error, Result};

/// Arguments of `scarce import`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Runs from tables, exports of W&B, its offline files, and the reference's lists
    Runs(RunsArgs),
}

/// Arguments of `scarce import runs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Formats, by the ending of the name or by --format:
  csv        a row per run, or per step where there is a column `step`
  wandb-csv  a table of runs, or a chart (`Step`, `RUN - METRIC`, ...), exported from W&B's pages
  jsonl      an object a line: runs, or the steps of run.scan_history()
  parquet    the same as a table
  json       run lists and benchmark results of the reference, converted from pickle
  wandb      W&B's offline files, wandb/offline-run-*/run-*.wandb

Fields for --map: id, name, project, state, tags, model, parameters, tokens, epochs, data, schedule,
lr, weight_decay, batch, sequence_tokens, steps, flops, train_seed, data_seed, members, step, loss,
train_loss. Any other word keeps a column under that name. `--map lr=` reads no column as lr.

Imported runs are foreign: `scarce runs --foreign` lists them, and nothing mixes them with records.
The files are read first; if one is wrong, nothing is imported.")]
struct RunsArgs {
    /// Files to read
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Directory of the records
    #[arg(long, default_value = "scarce-store", value_name = "DIR")]
    store: PathBuf,
    /// Format of all files, where their names do not say it
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Which column means what, for example loss=final_loss,lr=optim.lr
    #[arg(long, value_name = "FIELD=COLUMN")]
    map: Vec<String>,
    /// Whose rules choose among the runs; under the reference's, names are read, too
    #[arg(long, value_enum, default_value = "all")]
    filter: FilterName,
    /// Only runs with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Put this and a slash before every id
    #[arg(long = "as", value_name = "PREFIX")]
    prefix: Option<String>,
    /// Read and check everything, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print a line of JSON per file
    #[arg(long)]
    json: bool,
}

/// Filters by their names.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FilterName {
    /// Every run
    All,
    /// Training and ensemble runs of the reference implementation
    Reference,
    /// Its Chinchilla sweep
    Chinchilla,
}

/// What became of one file.
struct Done {
    imported: Imported,
    new: u64,
    known: u64,
}

pub(super) fn run(arguments: &ImportArgs) -> Result<()> {
    let What::Runs(arguments) = &arguments.what;
    let mapping = Mapping::parse(&arguments.map)?;
    let format = arguments.format.as_deref().map(Format::parse).transpose()?;
    let prefix = arguments.prefix.as_deref().map(checked_prefix).transpose()?;
    let filter = match arguments.filter {
        FilterName::All => Filter::All,
        FilterName::Reference => Filter::Reference,
        FilterName::Chinchilla => Filter::Chinchilla,
    };
    let choice = Choice { filter, tag: arguments.tag.clone() };
    let start = std::time::Instant::now();
    // A trial must not make a store; an empty one stands for one that does not exist.
    let trial = arguments.dry_run && !arguments.store.join("format").is_file();
    let mut draft = if trial {
        crate::store::ForeignDraft::trial()
    } else {
        Store::open(&arguments.store)?.foreign_draft(arguments.dry_run)?
    };
    let mut files = Vec::new();
    for path in &arguments.files {
        let (mut new, mut known) = (0, 0);
        let mut sink = |run, history: &_, source: &_| {
            match draft.add(run, history, source)? {
                Added::New => new += 1,
                Added::Known => known += 1,
            }
            Ok(())
        };
        let request = Import { path, format, mapping: &mapping, choice: &choice, prefix };
        let imported = exchange::import(&request, &mut sink)?;
        for warning in &imported.warnings {
            print::warning(&format!("{}: {warning}", path.display()));
        }
        files.push(Done { imported, new, known });
    }
    let new = draft.publish()?;
    for file in &files {
        tell(file, arguments.json);
    }
    let verb = if arguments.dry_run { "would be imported" } else { "imported" };
    print::note(&format!("{new} runs {verb} in {}", print::seconds(start.elapsed().as_secs_f64())));
    Ok(())
}

/// Says what became of a file.
fn tell(file: &Done, json: bool) {
    let Done { imported, new, known } = file;
    let Imported { source, runs, taken, without_loss, left_out, .. } = imported;
    if json {
        let left_out: serde_json::Map<String, serde_json::Value> = left_out
            .iter()
            .map(|(reason, (count, _))| ((*reason).to_owned(), (*count).into()))
            .collect();
        print::json(&serde_json::json!({
            "file": source.file, "format": source.format, "blake3": source.blake3, "runs": runs,
            "taken": taken, "new": new, "known": known, "without_loss": without_loss,
            "left_out": left_out,
        }));
        return;
    }
    let mut text = format!("{}: {runs} runs, {new} new, {known} known", source.file);
    if *without_loss > 0 {
        text += &format!(", {without_loss} without a final loss");
    }
    text.push('\n');
    for (reason, (count, first)) in left_out {
        text += &format!("  {count} left out: {reason} (first: {first})\n");
    }
    print::data(&text);
}

fn checked_prefix(prefix: &str) -> Result<&str> {
    let good = !prefix.is_empty() && prefix.len() <= 64 && !prefix.contains(char::is_control);
    match good {
        true => Ok(prefix),
        false => Err(Error::usage("--as: a prefix has 1 to 64 bytes of plain text")),
    }
}
