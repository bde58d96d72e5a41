//! A file that is being read: what the readers of the formats share, and what becomes of its runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::alias;
use super::dialect::Written;
use super::fields::{Mapping, loss_hint};
use super::filter::{Choice, Verdict};
use super::history::Course;
use super::row::Row;
use crate::error::quoted;
use crate::store::{ForeignHistory, ForeignRun, ForeignSource};
use crate::{Error, Result};

/// Steps of interleaved runs that are held in memory; those of one run are thinned anyway.
const HELD_MAX: usize = 20_000_000;
/// Names of columns that are remembered to check a mapping against.
const COLUMNS_MAX: usize = 5000;
/// Warnings that are kept of one file.
const WARNINGS_MAX: usize = 20;

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table with a row per run, or per step where a column `step` exists.
    Csv,
    /// Exports of W&B's pages: a table of runs, or a chart with a column per run.
    WandbCsv,
    /// An object a line: runs, or the steps of `run.scan_history()`.
    Jsonl,
    /// The same as a table of Parquet.
    Parquet,
    /// The reference's run lists and results as JSON.
    Json,
    /// W&B's offline files.
    Wandb,
}

/// Formats with the words that name them.
const FORMATS: [(Format, &str); 6] = [
    (Format::Csv, "csv"),
    (Format::WandbCsv, "wandb-csv"),
    (Format::Jsonl, "jsonl"),
    (Format::Parquet, "parquet"),
    (Format::Json, "json"),
    (Format::Wandb, "wandb"),
];

impl Format {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        FORMATS.iter().find(|(format, _)| *format == self).map_or("", |(_, name)| name)
    }

    /// The format of this name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn parse(name: &str) -> Result<Self> {
        let found = FORMATS.iter().find(|(_, known)| *known == name).map(|(format, _)| *format);
        found.ok_or_else(|| unknown(&format!("`{}` is no format", quoted(name))))
    }

    /// The format that a file's name ends with.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match ending.as_str() {
            "csv" | "tsv" => Ok(Self::Csv),
            "jsonl" | "ndjson" => Ok(Self::Jsonl),
            "parquet" => Ok(Self::Parquet),
            "json" => Ok(Self::Json),
            "wandb" => Ok(Self::Wandb),
            "pkl" | "pickle" => {
                Err(Error::usage("pickle files are not read: one can run any code").hint(
                    "where you trust it: python -c \"import pickle, json; json.dump(pickle.load(\
                     open('runs.pkl', 'rb')), open('runs.json', 'w'), default=lambda o: \
                     o.to_dict('list') if hasattr(o, 'to_dict') else o.item())\"",
                ))
            }
            _ if path.as_os_str() == STDIN => {
                Err(unknown("standard input has no name that says its format"))
            }
            "gz" | "zst" => Err(Error::usage("compressed files are not read here").hint(
                "unpack it on the way: zstd -dc FILE | scarce import runs - --format csv; or gzip",
            )),
            _ => Err(unknown("its name does not say its format")),
        }
    }
}

/// The path that stands for standard input.
pub(super) const STDIN: &str = "-";

fn unknown(what: &str) -> Error {
    let names: Vec<&str> = FORMATS.iter().map(|(_, name)| *name).collect();
    Error::usage(what).hint(format!("say it with --format: {}", names.join(", ")))
}

/// What is read and what is taken of it.
#[derive(Clone, Copy, Debug)]
pub struct Import<'a> {
    /// The file.
    pub path: &'a Path,
    /// Its format, where its name does not say it.
    pub format: Option<Format>,
    /// How a table of text is written, where that is not certain.
    pub written: Written,
    /// Which column means what.
    pub mapping: &'a Mapping,
    /// What is taken.
    pub choice: &'a Choice,
    /// What goes before every id, with a slash.
    pub prefix: Option<&'a str>,
}

/// What became of a file.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The file.
    pub source: ForeignSource,
    /// Runs that it holds.
    pub runs: u64,
    /// Runs that were taken.
    pub taken: u64,
    /// Runs that were taken without a final loss: they diverged, or were not evaluated.
    pub without_loss: u64,
    /// Runs that were left out, counted by the reason, with the first of them.
    pub left_out: BTreeMap<&'static str, (u64, String)>,
    /// What was odd, in words, without the file's name.
    pub warnings: Vec<String>,
}

/// Takes a run, its course and where they come from.
pub type Sink<'a> = dyn FnMut(ForeignRun, &ForeignHistory, &ForeignSource) -> Result<()> + 'a;

/// A file that is being read: what the readers of the formats share.
pub(super) struct Reading<'a> {
    pub(super) mapping: &'a Mapping,
    warnings: Vec<String>,
    /// Warnings beyond those that are kept.
    untold: usize,
    /// Name of the file without its ending: the id of a run that has none.
    pub(super) stem: String,
    /// Columns that occurred.
    pub(super) columns: BTreeSet<String>,
    import: Import<'a>,
    done: Imported,
    sink: &'a mut Sink<'a>,
    /// Runs whose steps are mixed with those of others, in the order of their first step.
    held: Vec<Held>,
    place: BTreeMap<String, usize>,
    held_steps: usize,
}

/// A run whose steps are being gathered.
struct Held {
    row: Row,
    course: Course,
    /// The largest step so far.
    newest: u64,
}

impl<'a> Reading<'a> {
    /// What is read, before any of it.
    pub(super) fn new(
        import: &Import<'a>,
        sink: &'a mut Sink<'a>,
        source: ForeignSource,
        stem: String,
    ) -> Self {
        let done = Imported {
            source,
            runs: 0,
            taken: 0,
            without_loss: 0,
            left_out: BTreeMap::new(),
            warnings: Vec::new(),
        };
        Self {
            mapping: import.mapping,
            warnings: Vec::new(),
            untold: 0,
            stem,
            columns: BTreeSet::new(),
            import: *import,
            done,
            sink,
            held: Vec::new(),
            place: BTreeMap::new(),
            held_steps: 0,
        }
    }

    /// Passes on what is held back, once all is read, and says what became of the file.
    pub(super) fn finish(mut self) -> Result<Imported> {
        for held in std::mem::take(&mut self.held) {
            self.run(held.row, held.course)?;
        }
        if self.done.runs == 0 {
            return Err(Error::data("the file holds no run"));
        }
        self.mapping.check(&self.columns)?;
        let lossless = self.done.taken > 0 && self.done.without_loss == self.done.taken;
        let known = self.columns.iter().any(|name| self.mapping.role(name).is_some());
        let results = self.columns.iter().any(|name| name.ends_with("/acc"));
        if lossless && !known && !results {
            let hint = loss_hint(&self.columns);
            self.warn(format!("no column of losses is known: {hint}"));
        }
        if self.untold > 0 {
            self.warnings.push(format!("and {} more warnings", self.untold));
        }
        self.done.warnings.append(&mut self.warnings);
        Ok(self.done)
    }

    /// How a table of text is written, as far as the user says.
    pub(super) fn written(&self) -> Written {
        self.import.written
    }

    /// Notes something odd, once.
    pub(super) fn warn(&mut self, warning: String) {
        match self.warnings.contains(&warning) {
            true => {}
            false if self.warnings.len() >= WARNINGS_MAX => self.untold += 1,
            false => self.warnings.push(warning),
        }
    }

    /// Passes a run on, if the filter takes it.
    pub(super) fn run(&mut self, row: Row, mut course: Course) -> Result<()> {
        for name in row.values.keys() {
            if self.columns.len() < COLUMNS_MAX && !self.columns.contains(name) {
                self.columns.insert(name.clone());
            }
        }
        if course.points() > 0 {
            self.columns.extend(self.mapping.columns_of_steps());
        }
        self.done.runs += 1;
        let mut notes = Vec::new();
        let (mut run, mut history) = self.mapping.run(&row, &mut course, &self.stem, &mut notes)?;
        let before = run.headline.clone();
        match self.import.choice.judge(&mut run) {
            Verdict::LeftOut(reason) => {
                let count = self.done.left_out.entry(reason).or_insert((0, run.id));
                count.0 += 1;
                return Ok(());
            }
            Verdict::Taken(note) => notes.extend(note),
        }
        notes.into_iter().for_each(|note| self.warn(note));
        if run.headline != before {
            history = course.finish(run.headline.as_deref());
        }
        if let Some(prefix) = self.import.prefix {
            run.id = format!("{prefix}/{}", run.id);
        }
        self.done.taken += 1;
        self.done.without_loss += u64::from(run.loss_nats().is_none());
        (self.sink)(run, &history, &self.done.source).map_err(|error| row.place(error))
    }

    /// Takes in a row that may be a run or, if it has a step, a step of one.
    pub(super) fn row(&mut self, row: Row) -> Result<()> {
        match self.mapping.step(&row)? {
            Some(step) => self.step(row, step),
            None => self.run(row, Course::default()),
        }
    }

    /// Takes in a step of a run that comes with its row.
    fn step(&mut self, row: Row, step: u64) -> Result<()> {
        let id = self.mapping.id(&row).unwrap_or_default();
        let place = match self.place.get(&id) {
            Some(&place) => place,
            None => {
                self.place.insert(id, self.held.len());
                let course = Course::default();
                self.held.push(Held { row: row.clone(), course, newest: step });
                self.held.len() - 1
            }
        };
        let held = &mut self.held[place];
        self.mapping.losses(&row, step, &mut held.course)?;
        held.take(row, step, self.mapping);
        self.held_steps += 1;
        if self.held_steps.is_multiple_of(HELD_MAX) {
            let kept: usize = self.held.iter().map(|held| held.course.points()).sum();
            if kept > HELD_MAX {
                return Err(Error::data(format!("more than {HELD_MAX} steps of mixed runs"))
                    .hint("split the file so that each part has fewer runs"));
            }
        }
        Ok(())
    }
}

impl Held {
    /// Takes in what a step says of its run. What a first step does not say, a later one may;
    /// losses belong to their steps, and what changes from step to step was logged and not set.
    fn take(&mut self, row: Row, step: u64, mapping: &Mapping) {
        let newest = step >= self.newest;
        for (name, value) in row.values {
            let known = self.row.values.get(&name);
            let changed = known.is_some_and(|known| *known != value) && !value.is_null();
            if known.is_some() && mapping.role(&name).is_none() {
                let is_setting = || alias::number_field(&name).is_some() || mapping.maps(&name);
                if !changed || !is_setting() {
                    continue;
                }
                self.row.logged.insert(name.clone());
                self.row.varied.insert(name.clone());
                if !newest {
                    continue;
                }
            }
            self.row.values.insert(name, value);
        }
        self.newest = self.newest.max(step);
    }
}
