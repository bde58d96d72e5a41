//! One file: what format it has, its hash, and its runs on their way to whoever takes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::cell;
use super::fields::Mapping;
use super::filter::{Choice, Verdict};
use super::history::Course;
use super::row::Row;
use super::{json, jsonl, table, wandb};
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
        found.ok_or_else(|| unknown(&format!("`{name}` is no format")))
    }

    /// The format that a file's name ends with.
    fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match ending.as_str() {
            "csv" => Ok(Self::Csv),
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
            _ => Err(unknown("its name does not say its format")),
        }
    }
}

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
    pub(super) warnings: Vec<String>,
    /// Name of the file without its ending: the id of a run that has none.
    pub(super) stem: String,
    /// Columns that occurred.
    pub(super) columns: BTreeSet<String>,
    import: Import<'a>,
    done: Imported,
    sink: &'a mut Sink<'a>,
    /// Runs whose steps are mixed with those of others, in the order of their first step.
    held: Vec<(String, Row, Course)>,
    place: BTreeMap<String, usize>,
    held_steps: usize,
}

/// Reads a file and passes its runs on.
///
/// # Errors
/// Where the file is missing, of another format, or wrong in a place that the message names.
pub fn import<'a>(import: &Import<'a>, sink: &'a mut Sink<'a>) -> Result<Imported> {
    let path = import.path;
    let place = path.display().to_string();
    let mut format = match import.format {
        Some(format) => format,
        None => Format::of(path).map_err(|error| error.within(&place))?,
    };
    let io = |cause: &std::io::Error| Error::io("read", path, cause);
    let mut file = File::open(path).map_err(|cause| io(&cause))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file).map_err(|cause| io(&cause))?;
    let source = ForeignSource {
        file: cell::printable(&path.file_name().unwrap_or_default().to_string_lossy()),
        format: format.name().to_owned(),
        blake3: hasher.finalize().to_hex().to_string(),
    };
    let done = Imported {
        source,
        runs: 0,
        taken: 0,
        without_loss: 0,
        left_out: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let mut reading = Reading {
        mapping: import.mapping,
        warnings: Vec::new(),
        stem: cell::printable(&path.file_stem().unwrap_or_default().to_string_lossy()),
        columns: BTreeSet::new(),
        import: *import,
        done,
        sink,
        held: Vec::new(),
        place: BTreeMap::new(),
        held_steps: 0,
    };
    let file = File::open(path).map_err(|cause| io(&cause))?;
    if format == Format::Csv && import.format.is_none() && table::is_wandb(path)? {
        format = Format::WandbCsv;
        format.name().clone_into(&mut reading.done.source.format);
    }
    reading.all(format, file).map_err(|error| error.within(&place))?;
    Ok(reading.done)
}

#[cfg(feature = "parquet")]
fn read_parquet(file: File, reading: &mut Reading<'_>) -> Result<()> {
    super::parquet::read(file, reading)
}

#[cfg(not(feature = "parquet"))]
fn read_parquet(_: File, _: &mut Reading<'_>) -> Result<()> {
    Err(Error::usage("this program was built without Parquet")
        .hint("build it with the feature `parquet`, or export the table as CSV"))
}

impl Reading<'_> {
    fn all(&mut self, format: Format, file: File) -> Result<()> {
        match format {
            Format::Csv | Format::WandbCsv => table::read(file, format, self)?,
            Format::Jsonl => jsonl::read(file, self)?,
            Format::Parquet => read_parquet(file, self)?,
            Format::Json => json::read(file, self)?,
            Format::Wandb => wandb::read(file, self)?,
        }
        for (_, row, course) in std::mem::take(&mut self.held) {
            self.run(row, course)?;
        }
        if self.done.runs == 0 {
            return Err(Error::data("the file holds no run"));
        }
        self.mapping.check(&self.columns)?;
        let untold = self.warnings.len().saturating_sub(WARNINGS_MAX);
        self.warnings.truncate(WARNINGS_MAX);
        if untold > 0 {
            self.warnings.push(format!("and {untold} more warnings"));
        }
        self.done.warnings.append(&mut self.warnings);
        Ok(())
    }

    /// Passes a run on, if the filter takes it.
    pub(super) fn run(&mut self, row: Row, course: Course) -> Result<()> {
        for name in row.values.keys() {
            if self.columns.len() < COLUMNS_MAX && !self.columns.contains(name) {
                self.columns.insert(name.clone());
            }
        }
        if course.points() > 0 {
            self.columns.extend(self.mapping.columns_of_steps());
        }
        self.done.runs += 1;
        let (mut run, mut history) = self.mapping.run(&row, &course, &self.stem)?;
        let before = run.headline.clone();
        match self.import.choice.judge(&mut run) {
            Verdict::LeftOut(reason) => {
                let count = self.done.left_out.entry(reason).or_insert((0, run.id));
                count.0 += 1;
                return Ok(());
            }
            Verdict::Taken(note) => self.warnings.extend(note),
        }
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
                self.place.insert(id.clone(), self.held.len());
                self.held.push((id, row.clone(), Course::default()));
                self.held.len() - 1
            }
        };
        let (_, first, course) = &mut self.held[place];
        self.mapping.losses(&row, step, course)?;
        // What a first step does not say of its run, a later one may; losses belong to their steps.
        for (name, value) in row.values {
            if !first.values.contains_key(&name) || self.mapping.role(&name).is_some() {
                first.values.insert(name, value);
            }
        }
        self.held_steps += 1;
        if self.held_steps.is_multiple_of(HELD_MAX) {
            let kept: usize = self.held.iter().map(|(.., course)| course.points()).sum();
            if kept > HELD_MAX {
                return Err(Error::data(format!("more than {HELD_MAX} steps of mixed runs"))
                    .hint("split the file so that each part has fewer runs"));
            }
        }
        Ok(())
    }
}

/// Fills a buffer's worth of a reader that must not deliver more than so much between two resets:
/// an unclosed quote would otherwise take in the whole file.
#[derive(Debug)]
pub(super) struct Bounded<R> {
    input: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Bounded<R> {
    pub(super) fn new(input: R, limit: u64) -> Self {
        Self { input, left: limit, limit }
    }

    pub(super) fn reset(&mut self) {
        self.left = self.limit;
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(std::io::Error::other(format!("a row of over {} bytes", self.limit)));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Reading a file that a test has in memory.

    use super::*;

    /// What a file gave.
    #[derive(Debug)]
    pub(in super::super) struct Read {
        pub(in super::super) runs: Vec<(ForeignRun, ForeignHistory)>,
        pub(in super::super) warnings: Vec<String>,
    }

    /// Reads a file of this name and content without a mapping.
    pub(in super::super) fn read_bytes(name: &str, bytes: &[u8]) -> Result<Read> {
        read_mapped(name, bytes, "")
    }

    /// Reads it with a mapping.
    pub(in super::super) fn read_mapped(name: &str, bytes: &[u8], map: &str) -> Result<Read> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let maps: Vec<String> = (!map.is_empty()).then(|| map.to_owned()).into_iter().collect();
        let (mapping, choice) = (Mapping::parse(&maps)?, Choice::default());
        let mut runs = Vec::new();
        let mut sink = |run: ForeignRun, history: &ForeignHistory, _: &ForeignSource| {
            runs.push((run, history.clone()));
            Ok(())
        };
        let request =
            Import { path: &path, format: None, mapping: &mapping, choice: &choice, prefix: None };
        let imported = import(&request, &mut sink)?;
        Ok(Read { runs, warnings: imported.warnings })
    }
}
