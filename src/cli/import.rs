//! `scarce import`: runs of other programs into the store, beside the records.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::print;
use crate::error::quoted_path;
use crate::exchange::{
    self, Choice, Decimal, Filter, Format, Gathered, Import, Imported, Mapping, OnDuplicate,
    Written,
};
use crate::store::{Added, ForeignDraft, ForeignHistory, ForeignRun, ForeignSource, Place, Store};
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
  csv        a row per run, or per step where there is a column `step`; also .tsv
  wandb-csv  a table of runs, or a chart (`Step`, `RUN - METRIC`, ...), exported from W&B's pages
  jsonl      an object a line: runs, or the steps of run.scan_history()
  parquet    the same as a table
  json       run lists and benchmark results of the reference, converted from pickle
  wandb      W&B's offline files, wandb/offline-run-*/run-*.wandb

FILE `-` is standard input, with --format. The final loss of a run with steps is that of its largest
step. A setting that is also logged is what the configuration says.

Fields for --map: id, name, project, state, tags, model, parameters, tokens, epochs, data, schedule,
lr, weight_decay, batch, sequence_tokens, steps, flops, train_seed, data_seed, members, step, loss,
train_loss. Any other word keeps a column under that name. `--map lr=` reads no column as lr.

Runs of one id and different content are an error, unless --on-duplicate says which stay.

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
    /// What separates the columns of tables, if it is not certain: comma, semicolon, tab, pipe, a
    /// character
    #[arg(long, value_name = "SEPARATOR")]
    delimiter: Option<String>,
    /// The mark before decimals, if it is not certain: point or comma
    #[arg(long, value_name = "MARK")]
    decimal: Option<String>,
    /// Which column means what, for example loss=final_loss,lr=optim.lr
    #[arg(long, value_name = "FIELD=COLUMN")]
    map: Vec<String>,
    /// Whose rules choose among the runs; under the reference's, names are read, too
    #[arg(long, value_enum, default_value = "all")]
    filter: FilterName,
    /// Only runs with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// What becomes of runs of one id and different content
    #[arg(long, value_enum, default_value = "refuse", value_name = "RULE")]
    on_duplicate: DuplicateName,
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

/// Rules for duplicates by their names.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum DuplicateName {
    /// They are an error
    Refuse,
    /// The first one stays, or the one in the store
    First,
    /// The last one of this import stays
    Last,
    /// All stay; the second `a` becomes `a#2`
    Number,
    /// They are parts of one run, which was resumed, say
    Join,
}

impl DuplicateName {
    fn rule(self) -> OnDuplicate {
        match self {
            Self::Refuse => OnDuplicate::Refuse,
            Self::First => OnDuplicate::First,
            Self::Last => OnDuplicate::Last,
            Self::Number => OnDuplicate::Number,
            Self::Join => OnDuplicate::Join,
        }
    }
}

/// What became of one file.
struct Done {
    imported: Imported,
    counts: Counts,
}

/// Where its runs went.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    new: u64,
    known: u64,
    /// Left out for another run of the same id, or joined to it.
    duplicates: u64,
}

/// Runs on their way into a store.
struct Intake {
    draft: ForeignDraft,
    rule: OnDuplicate,
    /// Runs that wait for the last file, where a later one may change them.
    waiting: Vec<Gathered>,
    counts: Vec<Counts>,
}

impl Intake {
    /// Takes a run of the file that is being read, the last one that was begun.
    fn take(
        &mut self,
        mut run: ForeignRun,
        history: &ForeignHistory,
        source: &ForeignSource,
    ) -> Result<()> {
        let file = self.counts.len() - 1;
        match self.rule {
            OnDuplicate::Last | OnDuplicate::Join => {
                let (history, source) = (history.clone(), source.clone());
                self.waiting.push(Gathered { run, history, source, file });
                return Ok(());
            }
            OnDuplicate::First => {
                if matches!(self.draft.place(&run, history)?, Place::Taken | Place::Stored) {
                    self.counts[file].duplicates += 1;
                    return Ok(());
                }
            }
            OnDuplicate::Number => {
                let id = run.id.clone();
                let mut number = 1_u64;
                while !matches!(self.draft.place(&run, history)?, Place::Free | Place::Same) {
                    number += 1;
                    run.id = format!("{id}#{number}");
                }
            }
            OnDuplicate::Refuse => {}
        }
        self.add(file, run, history, source)
    }

    fn add(
        &mut self,
        file: usize,
        run: ForeignRun,
        history: &ForeignHistory,
        source: &ForeignSource,
    ) -> Result<()> {
        let counts = &mut self.counts[file];
        match self.draft.add(run, history, source)? {
            Added::New => counts.new += 1,
            Added::Known => counts.known += 1,
        }
        Ok(())
    }

    /// Settles what waited and makes everything visible. Returns how many runs are new.
    fn publish(mut self) -> Result<(u64, Vec<Counts>)> {
        let waiting = std::mem::take(&mut self.waiting);
        for one in &waiting {
            self.counts[one.file].duplicates += 1;
        }
        for one in exchange::settle(waiting, self.rule) {
            self.counts[one.file].duplicates -= 1;
            self.add(one.file, one.run, &one.history, &one.source)?;
        }
        Ok((self.draft.publish()?, self.counts))
    }
}

pub(super) fn run(arguments: &ImportArgs) -> Result<()> {
    let What::Runs(arguments) = &arguments.what;
    let mapping = Mapping::parse(&arguments.map)?;
    let format = arguments.format.as_deref().map(Format::parse).transpose()?;
    let written = Written {
        delimiter: arguments.delimiter.as_deref().map(exchange::parse_delimiter).transpose()?,
        decimal: arguments.decimal.as_deref().map(Decimal::parse).transpose()?,
    };
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
    let draft = if trial {
        ForeignDraft::trial()
    } else {
        Store::open(&arguments.store)?.foreign_draft(arguments.dry_run)?
    };
    let rule = arguments.on_duplicate.rule();
    let mut intake = Intake { draft, rule, waiting: Vec::new(), counts: Vec::new() };
    let mut files = Vec::new();
    for path in &arguments.files {
        intake.counts.push(Counts::default());
        let mut sink = |run: ForeignRun, history: &ForeignHistory, source: &ForeignSource| {
            intake.take(run, history, source)
        };
        let request = Import { path, format, written, mapping: &mapping, choice: &choice, prefix };
        let imported = exchange::import(&request, &mut sink)?;
        for warning in &imported.warnings {
            print::warning(&format!("{}: {warning}", quoted_path(path)));
        }
        files.push(imported);
    }
    let (new, counts) = intake.publish()?;
    for (imported, counts) in files.into_iter().zip(counts) {
        tell(&Done { imported, counts }, arguments.json);
    }
    let verb = if arguments.dry_run { "would be imported" } else { "imported" };
    print::note(&format!("{new} runs {verb} in {}", print::seconds(start.elapsed().as_secs_f64())));
    Ok(())
}

/// Says what became of a file.
fn tell(file: &Done, json: bool) {
    let Done { imported, counts: Counts { new, known, duplicates } } = file;
    let Imported { source, runs, taken, without_loss, left_out, .. } = imported;
    if json {
        let left_out: serde_json::Map<String, serde_json::Value> = left_out
            .iter()
            .map(|(reason, (count, _))| ((*reason).to_owned(), (*count).into()))
            .collect();
        print::json(&serde_json::json!({
            "file": source.file, "format": source.format, "blake3": source.blake3, "runs": runs,
            "taken": taken, "new": new, "known": known, "duplicates": duplicates,
            "without_loss": without_loss, "left_out": left_out,
        }));
        return;
    }
    let mut text = format!("{}: {runs} runs, {new} new, {known} known", source.file);
    if *without_loss > 0 {
        text += &format!(", {without_loss} without a final loss");
    }
    if *duplicates > 0 {
        text += &format!(", {duplicates} of an id that another has");
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
