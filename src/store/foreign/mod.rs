//! `STORE/foreign/`: runs that other programs made, apart from the records.
//!
//! One import leaves one *batch*, which appears by one rename and never changes:
//! `foreign/BATCH/runs.jsonl` has a line per run, `history.jsonl` the course of each, and
//! `manifest.json` their hashes; BATCH is the hash of both. A folder per run would need several
//! flushes to disk for each, minutes for ten thousand.

mod run;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Store;
use crate::disk::{
    FileFacts, FreshFolder, HashedFile, InTheWay, has_ending, is_whole, list, manifest, regular,
    temporary_path,
};
use crate::error::quoted;
use crate::{Error, Result};

pub use run::{ForeignHistory, ForeignRun, ForeignSettings, ForeignSource};

/// Files of a batch.
const RUNS: &str = "runs.jsonl";
const HISTORY: &str = "history.jsonl";

/// The identity of a foreign run: 64 hexadecimal digits.
pub type ForeignId = String;

/// A foreign run in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForeignRecord {
    /// BLAKE3 of the source's hash and the content.
    pub record: ForeignId,
    /// Always true: it tells these lines from records wherever they are copied to.
    pub foreign: bool,
    /// Where it was read.
    pub source: ForeignSource,
    /// BLAKE3 of what is known of the run, its course included and its source not.
    pub content: String,
    /// Where its line of `history.jsonl` begins and how long it is, in bytes.
    pub history: Option<(u64, u64)>,
    /// What is known of it.
    pub run: ForeignRun,
}

/// What became of a run that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It will be in the store.
    New,
    /// The store, or this batch, has the very same run already.
    Known,
}

/// Whether an id is free for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// No run has it.
    Free,
    /// The very same run has it.
    Same,
    /// Another run of this import has it.
    Taken,
    /// Another run in the store has it, which stays.
    Stored,
}

/// The run that has an id.
#[derive(Clone, Debug)]
struct Holder {
    content: String,
    source: ForeignSource,
    /// Whether it was in the store before this import.
    stored: bool,
}

/// An import in progress: nothing is visible before it is published, and dropping it removes it.
#[derive(Debug)]
pub struct ForeignDraft {
    /// What has each id.
    known: BTreeMap<String, Holder>,
    /// None if nothing is written.
    batch: Option<Batch>,
    count: u64,
}

/// What an import writes.
#[derive(Debug)]
struct Batch {
    folder: FreshFolder,
    runs: HashedFile,
    history: HashedFile,
    /// Holds the store's foreign area for this process: two imports cannot both add one run.
    _lock: File,
}

impl Store {
    fn foreign_path(&self) -> PathBuf {
        self.root().join("foreign")
    }

    /// The folders of all batches, in ascending order.
    fn batches(&self) -> Result<Vec<PathBuf>> {
        let mut folders = list(&self.foreign_path())?;
        folders.retain(|folder| is_whole(folder) && folder.extension().is_none());
        Ok(folders)
    }

    /// All foreign runs, in the order of their ids. Their files are checked against their hashes.
    pub fn foreign(&self) -> Result<Vec<ForeignRecord>> {
        let mut records = Vec::new();
        for folder in self.batches()? {
            records.extend(read_batch(&folder)?);
        }
        records.sort_by(|a, b| (&a.run.id, &a.record).cmp(&(&b.run.id, &b.record)));
        Ok(records)
    }

    /// The foreign runs whose record id starts with `prefix`, or whose own id is `prefix`.
    pub fn find_foreign(&self, prefix: &str) -> Result<Vec<ForeignRecord>> {
        let mut records = self.foreign()?;
        let is_meant = |one: &ForeignRecord| one.record.starts_with(prefix) || one.run.id == prefix;
        records.retain(|one| !prefix.is_empty() && is_meant(one));
        Ok(records)
    }

    /// The course of a foreign run; empty where the source had none.
    pub fn foreign_history(&self, record: &ForeignRecord) -> Result<ForeignHistory> {
        let Some((start, bytes)) = record.history else { return Ok(ForeignHistory::default()) };
        for folder in self.batches()? {
            if read_batch(&folder)?.iter().any(|one| one.record == record.record) {
                return read_history(&folder, start, bytes);
            }
        }
        Err(Error::data(format!("the foreign run `{}` has gone away", record.run.id)))
    }

    /// Starts an import; with `dry_run` nothing is written, but every check is made.
    pub fn foreign_draft(&self, dry_run: bool) -> Result<ForeignDraft> {
        let root = self.foreign_path();
        let lock = if dry_run { None } else { Some(lock(&root)?) };
        let holder = |one: ForeignRecord| {
            (one.run.id, Holder { content: one.content, source: one.source, stored: true })
        };
        let known = self.foreign()?.into_iter().map(holder).collect();
        let batch = lock.map(|lock| Batch::new(&root, lock)).transpose()?;
        Ok(ForeignDraft { known, batch, count: 0 })
    }
}

impl Batch {
    fn new(root: &Path, lock: File) -> Result<Self> {
        let folder = FreshFolder::create(temporary_path(&root.join("draft")))?;
        let create = |name| HashedFile::create(folder.path().join(name));
        let (runs, history) = (create(RUNS)?, create(HISTORY)?);
        Ok(Self { folder, runs, history, _lock: lock })
    }
}

/// Waits for other imports into this store.
fn lock(root: &Path) -> Result<File> {
    fs::create_dir_all(root).map_err(|cause| Error::io("create", root, &cause))?;
    let path = root.join("lock");
    let locked = || -> std::io::Result<File> {
        regular::check_absent_or_regular(&path)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        file.lock()?;
        // Whoever left these was killed: the lock was theirs.
        for entry in fs::read_dir(root)? {
            let path = entry?.path();
            if has_ending(&path, "tmp") {
                fs::remove_dir_all(path)?;
            }
        }
        Ok(file)
    };
    locked().map_err(|cause| Error::io("lock", &path, &cause))
}

fn read_batch(folder: &Path) -> Result<Vec<ForeignRecord>> {
    let path = folder.join(RUNS);
    let bytes = regular::read(&path).map_err(|cause| Error::io("read", &path, &cause))?;
    if manifest::read(folder)?.get(RUNS) != Some(&FileFacts::of(&bytes)) {
        return Err(damaged(&path));
    }
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let parse = |line| {
        serde_json::from_slice(line)
            .map_err(|cause| Error::data(format!("`{}`: {cause}", path.display())))
    };
    lines.map(parse).collect()
}

fn damaged(path: &Path) -> Error {
    manifest::damaged(path).hint("remove the folder that it lies in and import the files again")
}

/// Reads one line of a batch's histories; the whole file is hashed first, piece by piece.
fn read_history(folder: &Path, start: u64, bytes: u64) -> Result<ForeignHistory> {
    let path = folder.join(HISTORY);
    let io = |cause: std::io::Error| Error::io("read", &path, &cause);
    let expected = manifest::read(folder)?.remove(HISTORY).ok_or_else(|| damaged(&path))?;
    let mut file = regular::open_regular(&path).map_err(io)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file).map_err(io)?;
    let within = start.checked_add(bytes).is_some_and(|end| end <= expected.bytes);
    if hasher.finalize().to_hex().as_str() != expected.blake3 || !within {
        return Err(damaged(&path));
    }
    file.seek(SeekFrom::Start(start)).map_err(io)?;
    serde_json::from_reader(BufReader::new(file.take(bytes)))
        .map_err(|cause| Error::data(format!("`{}`: {cause}", path.display())))
}

impl ForeignDraft {
    /// An import into nothing: every check is made against an empty store.
    #[must_use]
    pub fn trial() -> Self {
        Self { known: BTreeMap::new(), batch: None, count: 0 }
    }

    /// What has the id of a run.
    pub fn place(&self, run: &ForeignRun, history: &ForeignHistory) -> Result<Place> {
        let Some(holder) = self.known.get(&run.id) else { return Ok(Place::Free) };
        let content = hashed(run, history)?.0.finalize().to_hex();
        Ok(match holder.stored {
            _ if holder.content == content.as_str() => Place::Same,
            true => Place::Stored,
            false => Place::Taken,
        })
    }

    /// Adds a run. A run of the same id with another content is an error that names both files.
    pub fn add(
        &mut self,
        run: ForeignRun,
        history: &ForeignHistory,
        source: &ForeignSource,
    ) -> Result<Added> {
        let (mut hasher, history_json) = hashed(&run, history)?;
        let content = hasher.finalize().to_hex().to_string();
        if let Some(holder) = self.known.get(&run.id) {
            let same = holder.content == content;
            return if same { Ok(Added::Known) } else { Err(clash(&run.id, holder, source)) };
        }
        hasher.update(b"\n").update(source.blake3.as_bytes());
        let id = hasher.finalize().to_hex().to_string();
        let holder = Holder { content: content.clone(), source: source.clone(), stored: false };
        self.known.insert(run.id.clone(), holder);
        self.count += 1;
        let Some(batch) = &mut self.batch else { return Ok(Added::New) };
        let place = match history.step.is_empty() {
            true => None,
            false => Some((batch.history.bytes(), line(&mut batch.history, &history_json)?)),
        };
        let source = source.clone();
        let record =
            ForeignRecord { record: id, foreign: true, source, content, history: place, run };
        line(&mut batch.runs, &json(&record)?)?;
        Ok(Added::New)
    }

    /// Makes the new runs visible, all at once. Returns how many there are.
    pub fn publish(self) -> Result<u64> {
        let Some(mut batch) = self.batch.filter(|_| self.count > 0) else { return Ok(self.count) };
        let (runs, history) = (batch.runs.finish()?, batch.history.finish()?);
        let name = blake3::hash(format!("{}\n{}\n", runs.blake3, history.blake3).as_bytes());
        let folder = &mut batch.folder;
        folder.files = [(RUNS.to_owned(), runs), (HISTORY.to_owned(), history)].into();
        folder.seal(json(&folder.files)?.as_bytes())?;
        let target = folder.path().with_file_name(name.to_hex().as_str());
        // Whoever was faster has published the same bytes: the name is their hash.
        folder.publish(&target, InTheWay::Stays)?;
        Ok(self.count)
    }
}

/// Appends a line and returns its length without the line feed.
fn line(file: &mut HashedFile, text: &str) -> Result<u64> {
    file.write(text.as_bytes())?;
    file.write(b"\n")?;
    Ok(text.len() as u64)
}

/// The hash of what is known of a run, to be finished or continued, and its course as JSON.
fn hashed(run: &ForeignRun, history: &ForeignHistory) -> Result<(blake3::Hasher, String)> {
    let (run_json, history_json) = (json(run)?, json(history)?);
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"scarce foreign 1\n").update(run_json.as_bytes());
    hasher.update(b"\n").update(history_json.as_bytes());
    Ok((hasher, history_json))
}

fn clash(id: &str, holder: &Holder, source: &ForeignSource) -> Error {
    let (id, file) = (quoted(id), quoted(&holder.source.file));
    if holder.stored && holder.source.blake3 == source.blake3 {
        let text = format!("the run `{id}` was read from this very file before, and differently");
        return Error::data(text).hint(
            "another --map or an older version read it: `--on-duplicate first` keeps what is \
             stored, `--as PREFIX` goes before the new ids",
        );
    }
    let ways = match holder.stored {
        true => "`first` keeps the one that is stored",
        false => "`join` makes one run of them, `first` or `last` keeps one",
    };
    Error::data(format!("the run `{id}` is known from `{file}` with another content")).hint(
        format!(
            "`--on-duplicate number` keeps both, {ways}; `--map id=COLUMN` takes other ids, \
         `--as PREFIX` goes before the new ones"
        ),
    )
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|cause| Error::data(format!("a foreign run has no JSON form: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(file: &str) -> ForeignSource {
        let blake3 = blake3::hash(file.as_bytes()).to_hex().to_string();
        ForeignSource { file: file.to_owned(), format: "csv".to_owned(), blake3 }
    }

    fn run(id: &str, loss: f64) -> ForeignRun {
        let losses = BTreeMap::from([("eval".to_owned(), loss)]);
        let headline = Some("eval".to_owned());
        ForeignRun { id: id.to_owned(), losses, headline, ..ForeignRun::default() }
    }

    /// Imports runs from one file.
    fn import(store: &Store, file: &str, runs: &[ForeignRun]) -> Result<u64> {
        let mut draft = store.foreign_draft(false)?;
        let history = ForeignHistory {
            step: vec![1, 2],
            train_loss_nats: vec![Some(5.0), None],
            eval_loss_nats: vec![None, Some(4.5)],
        };
        for run in runs {
            draft.add(run.clone(), &history, &source(file))?;
        }
        draft.publish()
    }

    #[test]
    fn a_run_is_added_once_and_clashes_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(import(&store, "a.csv", &[run("one", 4.0), run("two", 3.5)]).unwrap(), 2);
        // The same content is the same run, whatever file it came from.
        assert_eq!(import(&store, "b.csv", &[run("two", 3.5), run("two", 3.5)]).unwrap(), 0);
        let error = import(&store, "c.csv", &[run("new", 1.0), run("two", 3.6)]).unwrap_err();
        assert!(error.to_string().contains("`two` is known from `a.csv`"), "{error}");
        let found = store.foreign().unwrap();
        assert_eq!(found.len(), 2, "an import with a clash leaves nothing");
        assert_eq!(found[1].run, run("two", 3.5));
        assert_eq!(found[1].run.loss_nats(), Some(3.5));
        assert_eq!(store.foreign_history(&found[1]).unwrap().step, [1, 2]);
        assert_eq!(store.find_foreign(&found[0].record[..12]).unwrap().len(), 1);
        assert!(store.ids().unwrap().is_empty(), "a foreign run is no record");
        let left = fs::read_dir(folder.path().join("foreign")).unwrap().count();
        assert_eq!(left, 2, "a batch and the lock");
    }

    #[test]
    fn damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        import(&store, "a.csv", &[run("one", 4.0)]).unwrap();
        let record = store.foreign().unwrap().remove(0);
        let batch = store.batches().unwrap().remove(0);
        let flip = |name: &str| {
            let path = batch.join(name);
            let mut bytes = fs::read(&path).unwrap();
            bytes[3] ^= 1;
            fs::write(path, bytes).unwrap();
        };
        flip("history.jsonl");
        let error = store.foreign_history(&record).unwrap_err().to_string();
        assert!(error.contains("history.jsonl` is damaged"), "{error}");
        flip("runs.jsonl");
        let error = store.foreign().unwrap_err().to_string();
        assert!(error.contains("runs.jsonl` is damaged"), "{error}");
    }
}
