//! `scarce prepare`: from text, or from the built-in language, to a corpus.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::options::{AllowArgs, MANY};
use super::signals::Interrupt;
use super::{corpus, print};
use crate::data::{
    FileKind, InvalidUtf8, Observer, PrepareOptions, Prepared, Publication, SequenceSplit,
    TokenInteger, prepare, prepare_synthetic,
};
use crate::error::quoted;
use crate::spec::SideName;
use crate::{Error, Result};

/// Arguments of `scarce prepare`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Inputs are files and directories of .txt, .md, .jsonl, .json (each also .gz or .zst), .parquet, and
.bin of nanoGPT, llm.c or Megatron; `-` is standard input, and --format reads any other name. In
directories plain .json is passed over. Exact copies of documents are left out. By default 10 % of
the documents become the validation split and 5 % the sealed test split, by a hash of their content.
A corpus is token files, splits, tokenizer and manifest.")]
pub(super) struct PrepareArgs {
    /// Files and directories to read
    #[arg(value_name = "INPUT", required_unless_present = "synthetic")]
    inputs: Vec<PathBuf>,
    /// The directory to write
    #[arg(long, value_name = "CORPUS")]
    out: PathBuf,
    /// Write the built-in language instead: `pocket` or `pocket-large`
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["inputs", "val", "test", "side", "vocab", "tokenizer"]
    )]
    synthetic: Option<String>,
    /// What every file holds, whatever it is called
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Field of JSON, or column of Parquet files, that holds the text; nested as raw.content
    #[arg(long, value_name = "FIELD", default_value = "text")]
    text_field: String,
    /// Size of the byte-level tokenizer to train [default: by the amount of text]
    #[arg(long, value_name = "N")]
    vocab: Option<u32>,
    /// Use this tokenizer.json instead of training one
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Token that separates documents [default: the tokenizer's end of text]
    #[arg(long, value_name = "TOKEN")]
    separator: Option<String>,
    /// Validation text; divided between val and test unless --test is given
    #[arg(long, value_name = "FILE", num_args = 1..)]
    val: Vec<PathBuf>,
    /// Test text
    #[arg(long, value_name = "FILE", num_args = 1..)]
    test: Vec<PathBuf>,
    /// Side set: text of another domain, on which every run reports its loss and nothing else is
    /// done; once per set
    #[arg(long, value_name = "NAME=PATH")]
    side: Vec<String>,
    /// Share of the input for validation
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    val_share: f64,
    /// Share of the input for the test split
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    test_share: f64,
    /// Hold out shuffled sequences instead of documents, as the paper does
    #[arg(long)]
    paper_split: bool,
    /// With --paper-split: tokens of a sequence
    #[arg(long, value_name = "T", default_value_t = 4096, requires = "paper_split")]
    sequence_tokens: u32,
    /// With --paper-split: sequences of each held-out split
    #[arg(long, value_name = "N", default_value_t = 1024, requires = "paper_split")]
    held_out_sequences: u64,
    /// Integers of .bin files without a header [default: u16, refused if they look wider]
    #[arg(long, value_enum, value_name = "TYPE")]
    token_width: Option<TokenWidth>,
    /// Keep exact copies of documents in the training split
    #[arg(long)]
    keep_duplicates: bool,
    #[command(flatten)]
    allow: AllowArgs,
    /// What to do about bytes that are not UTF-8, and about escapes of half surrogate pairs
    #[arg(long, value_enum, value_name = "POLICY", default_value = "refuse")]
    invalid_utf8: Utf8Policy,
    /// Seed of the split and of the sample that the tokenizer is trained on
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Replace a corpus that is already there
    #[arg(long)]
    force: bool,
    /// Threads that encode [default: all cores]
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=MANY))]
    threads: Option<u16>,
    /// Print what was done, notes and the manifest as JSON
    #[arg(long)]
    json: bool,
}

/// The values of `--format`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// A document per file
    Text,
    /// A document per line, in a field of an object
    Jsonl,
    /// A document per object, in a list or one after the other
    Json,
    /// A document per row
    Parquet,
    /// Tokens
    Bin,
}

/// The values of `--token-width`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum TokenWidth {
    /// One byte
    U8,
    /// Two bytes: nanoGPT's
    #[value(alias = "i16")]
    U16,
    /// Four bytes, also with a sign
    #[value(alias = "i32")]
    U32,
    /// Eight bytes, also with a sign
    #[value(alias = "i64")]
    U64,
}

/// The values of `--invalid-utf8`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Utf8Policy {
    /// Stop and say where
    Refuse,
    /// Put U+FFFD in their place
    Replace,
}

/// Runs the command.
///
/// # Errors
/// As [`prepare`] and [`prepare_synthetic`].
pub(super) fn run(args: PrepareArgs) -> Result<()> {
    let (json, target) = (args.json, args.out.clone());
    let prepared = write(args)?;
    for note in &prepared.notes {
        print::note(&format!("note: {note}"));
    }
    if json {
        print::json(&prepared);
    } else {
        print::data(&as_table(&prepared, &target));
    }
    Ok(())
}

/// Writes the corpus, and shows on the way how far it has come.
fn write(args: PrepareArgs) -> Result<Prepared> {
    if let Some(name) = &args.synthetic {
        return prepare_synthetic(name, &args.out, args.force);
    }
    let options = options(args)?;
    let mut progress = Progress::new(Interrupt::listen()?);
    let prepared = prepare(&options, &mut progress);
    progress.bar.finish_and_clear();
    prepared
}

fn options(args: PrepareArgs) -> Result<PrepareOptions> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Ok(PrepareOptions {
        inputs: args.inputs,
        val: args.val,
        test: args.test,
        sides: args.side.iter().map(|word| side(word)).collect::<Result<_>>()?,
        target: args.out,
        overwrite: args.force,
        text_field: args.text_field,
        invalid_utf8: match args.invalid_utf8 {
            Utf8Policy::Refuse => InvalidUtf8::Refuse,
            Utf8Policy::Replace => InvalidUtf8::Replace,
        },
        tokenizer: args.tokenizer,
        vocabulary: args.vocab,
        separator: args.separator,
        val_share: args.val_share,
        test_share: args.test_share,
        sequences: args.paper_split.then_some(SequenceSplit {
            sequence_tokens: args.sequence_tokens,
            held_out_sequences: args.held_out_sequences,
        }),
        seed: args.seed,
        threads: args.threads.map_or_else(cores, usize::from),
        format: args.format.map(|format| match format {
            Format::Text => FileKind::Text,
            Format::Jsonl => FileKind::JsonLines,
            Format::Json => FileKind::Json,
            Format::Parquet => FileKind::Parquet,
            Format::Bin => FileKind::Tokens,
        }),
        token_integer: args.token_width.map(|width| match width {
            TokenWidth::U8 => TokenInteger::U8,
            TokenWidth::U16 => TokenInteger::U16,
            TokenWidth::U32 => TokenInteger::U32,
            TokenWidth::U64 => TokenInteger::U64,
        }),
        keep_duplicates: args.keep_duplicates,
        allowed: args.allow.set(),
    })
}

/// A word `NAME=PATH` of `--side`.
fn side(word: &str) -> Result<(SideName, PathBuf)> {
    match word.split_once('=') {
        Some((name, path)) if !path.is_empty() => {
            let name = name.parse::<SideName>().map_err(|error| error.within("--side"))?;
            Ok((name, PathBuf::from(path)))
        }
        _ => Err(Error::usage(format!("--side {}: `NAME=PATH` was expected", quoted(word)))
            .hint("for example `--side wiki=wiki.jsonl`")),
    }
}

fn as_table(prepared: &Prepared, target: &std::path::Path) -> String {
    let manifest = &prepared.manifest;
    let what = match prepared.publication {
        Publication::Written => "wrote",
        Publication::AlreadyThere => "already there:",
        Publication::Extended => "side sets joined",
        Publication::Replaced => "replaced",
    };
    format!(
        "{what} `{}`, corpus {}, vocabulary {}\n\n{}",
        target.display(),
        manifest.id.short(),
        manifest.vocabulary,
        corpus::parts(manifest).to_text()
    )
}

/// Progress bars on a terminal; silence elsewhere.
struct Progress {
    bar: ProgressBar,
    interrupt: Interrupt,
}

impl Progress {
    fn new(interrupt: Interrupt) -> Self {
        Self { bar: ProgressBar::hidden(), interrupt }
    }
}

impl Observer for Progress {
    fn stage(&mut self, name: &str, bytes: u64) {
        self.bar.finish_and_clear();
        if !std::io::stderr().is_terminal() {
            return;
        }
        const TEMPLATE: &str =
            "{msg:>20} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta:>5} left";
        let style = ProgressStyle::with_template(TEMPLATE).expect("a constant template");
        self.bar = ProgressBar::new(bytes).with_style(style).with_message(name.to_owned());
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    fn advance(&mut self, bytes: u64) -> Result<()> {
        self.bar.inc(bytes);
        if self.interrupt.is_set() {
            return Err(Error::interrupted("stopped before the corpus was complete")
                .hint("nothing was written; the same command starts anew"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: PrepareArgs,
    }

    fn parse(words: &[&str]) -> std::result::Result<PrepareArgs, clap::Error> {
        Command::try_parse_from([&["prepare"], words].concat()).map(|command| command.args)
    }

    #[test]
    fn contradictory_arguments_are_refused() {
        for words in [
            &["--out", "c"][..],
            &["a.txt"],
            &["a.txt", "--out", "c", "--synthetic", "pocket"],
            &["--out", "c", "--synthetic", "pocket", "--vocab", "300"],
            &["a.txt", "--out", "c", "--sequence-tokens", "128"],
            &["a.txt", "--out", "c", "--vocab", "many"],
            &["a.txt", "--out", "c", "--invalid-utf8", "ignore"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn the_command_writes_a_corpus() {
        let above = tempfile::tempdir().unwrap();
        let out = above.path().join("corpus");
        let out_text = out.to_str().unwrap();
        write(parse(&["--synthetic", "pocket", "--out", out_text]).unwrap()).unwrap();
        crate::data::Corpus::open(&out).unwrap();
        let input = above.path().join("a.txt");
        let text: String = (0..3000).map(|n| format!("Line {n} of {} texts.\n\n", n * n)).collect();
        std::fs::write(&input, text).unwrap();
        let write = |force: &'static [&'static str]| {
            let words = [&[input.to_str().unwrap(), "--out", out_text, "--vocab", "270"], force];
            super::write(parse(&words.concat()).unwrap())
        };
        assert_eq!(write(&[]).unwrap_err().exit_code(), 2, "another corpus is there");
        write(&["--force"]).unwrap();
        assert_eq!(crate::data::Corpus::open(&out).unwrap().vocabulary(), 270);
    }

    #[test]
    fn the_table_shows_every_split() {
        let above = tempfile::tempdir().unwrap();
        let out = above.path().join("pocket");
        let prepared = prepare_synthetic("pocket", &out, false).unwrap();
        let table = as_table(&prepared, &out);
        assert!(table.contains("train        200   25600  25400              2.3372"), "{table}");
        assert!(table.contains("2.3208"), "{table}");
        let json = serde_json::json!(prepared);
        assert_eq!(json["manifest"]["splits"]["val"]["tokens"], 65_536);
    }
}
