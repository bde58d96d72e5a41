//! Whole corpora and stores to be damaged, and hashes that agree with the damage.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use scarce::data::{Manifest, SideFacts};
use scarce::spec::{Job, JobId, SideName};
use scarce::store::{CheckpointHeader, Checkpoints, FileFacts, NamedModel, Store};

use super::samples::{SPEC, Samples};
use crate::program::answer;

/// Paths of what is copied and read; never written to once it is made.
pub(super) struct World {
    /// A corpus with a side set.
    pub(super) corpus: PathBuf,
    /// A second corpus.
    pub(super) other: PathBuf,
    /// A store with records of two versions, foreign runs, a name, and an unfinished run.
    pub(super) store: PathBuf,
    /// A spec whose record is there.
    pub(super) spec: PathBuf,
    /// A spec whose run has a checkpoint.
    pub(super) unfinished: PathBuf,
}

impl World {
    /// The paths below a folder.
    pub(super) fn at(folder: &Path) -> Self {
        let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
        Self {
            corpus: formats.join("corpus-1-side"),
            other: formats.join("corpus-1"),
            store: folder.join("store"),
            spec: folder.join("spec.toml"),
            unfinished: folder.join("unfinished.toml"),
        }
    }

    /// Makes the store by the program itself.
    pub(super) fn make(folder: &Path) -> Self {
        let world = Self::at(folder);
        let formats = world.corpus.parent().unwrap();
        Self::copy(&formats.join("store-1"), &world.store);
        fs::write(&world.spec, SPEC).unwrap();
        fs::write(&world.unfinished, format!("{SPEC}[seeds]\ninit = 1\n")).unwrap();
        let store = world.store.to_str().unwrap();
        let table = folder.join("runs.csv");
        fs::write(&table, &Samples::make(Path::new(env!("CARGO_MANIFEST_DIR"))).runs[0].1).unwrap();
        answer(["import", "runs", table.to_str().unwrap(), "--store", store]);
        let train = |spec: &Path| {
            let words =
                ["train", spec.to_str().unwrap(), "--store", store, "--json", "--threads", "1"];
            let words = words.iter().map(OsString::from).chain(world.corpora());
            serde_json::from_str::<Value>(&answer(words)).unwrap()
        };
        let id = |record: &Value| record["id"].as_str().unwrap().parse::<JobId>().unwrap();
        let (record, second) = (train(&world.spec), train(&world.unfinished));
        let opened = Store::open(&world.store).unwrap();
        world.unfinish(&opened, &second, id(&second));
        let corpus = Manifest::read(&world.corpus).unwrap().id;
        let named = serde_json::json!({ "corpus": corpus, "members": [id(&record)] });
        let named: NamedModel = serde_json::from_value(named).unwrap();
        opened.set_name("x", &named).unwrap();
        let words = ["eval", "x", "--split", "test", "--store", store];
        answer(words.iter().map(OsString::from).chain(world.corpora()));
        world
    }

    /// Puts a checkpoint in the place of a record.
    fn unfinish(&self, store: &Store, record: &Value, id: JobId) {
        let work = store.work_path(id);
        fs::create_dir_all(&work).unwrap();
        fs::write(work.join("metrics.jsonl"), "").unwrap();
        let count = record["cost"]["parameters"].as_u64().unwrap();
        let values: Vec<f32> = (0..count).map(|n| (n % 17) as f32 * 1e-3).collect();
        let names = ["weights", "first-moment", "second-moment"];
        let header = CheckpointHeader {
            job: id,
            numerics: serde_json::from_value(record["numerics"].clone()).unwrap(),
            step: 1,
            metrics_bytes: 0,
            metrics_blake3: None,
            wall_seconds: 1.0,
            cpu_seconds: 1.0,
            sections: names.map(|name| (name.to_owned(), count)).to_vec(),
        };
        Checkpoints::new(&work).save(&header, &[&values[..]; 3]).unwrap();
        fs::remove_dir_all(store.record_path(id)).unwrap();
    }

    /// The flags that name both corpora.
    pub(super) fn corpora(&self) -> Vec<OsString> {
        let one = |path: &Path| [OsString::from("--corpus"), path.into()];
        [one(&self.corpus), one(&self.other)].concat()
    }

    /// Copies a folder.
    pub(super) fn copy(from: &Path, to: &Path) {
        for path in Self::files(from) {
            let target = to.join(path.strip_prefix(from).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(&path, target).unwrap();
        }
    }

    /// The files below a folder, in order.
    pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files.extend(Self::files(&path)) } else { files.push(path) }
        }
        files.sort();
        files
    }
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn facts(path: &Path) -> Value {
    serde_json::to_value(FileFacts::of(&fs::read(path).unwrap())).unwrap()
}

/// Makes the manifest of a corpus agree with a changed file, ids included.
pub(super) fn agree_corpus(corpus: &Path, changed: &Path) {
    let path = corpus.join("manifest.json");
    let Some(mut manifest) = read_json(&path) else { return };
    let Some(files) = manifest.get_mut("files").and_then(Value::as_object_mut) else { return };
    if changed != path {
        files.insert(name(changed).to_owned(), facts(changed));
        agree_counts(&mut manifest, changed);
    }
    let files = serde_json::from_value::<BTreeMap<String, FileFacts>>(manifest["files"].clone());
    let number = |key: &str| manifest[key].as_u64().map(|number| number as u32);
    let (Ok(files), Some(vocabulary)) = (files, number("vocabulary")) else { return };
    let separator = number("separator");
    let id = Manifest::content_id(vocabulary, separator, &files);
    let sides: Vec<SideName> = manifest["side"]
        .as_object()
        .into_iter()
        .flat_map(|sides| sides.keys().filter_map(|name| name.parse().ok()))
        .collect();
    for side in sides {
        let id = SideFacts::content_id(&side, vocabulary, separator, &files);
        put_id(&mut manifest["side"][side.as_str()], &id);
    }
    put_id(&mut manifest, &id);
    fs::write(path, manifest.to_string()).unwrap();
}

/// Makes the counts of a part agree with the length of its changed file.
fn agree_counts(manifest: &mut Value, changed: &Path) {
    let bytes = fs::metadata(changed).unwrap().len();
    let Some((part, kind)) = name(changed).split_once('.') else { return };
    let (key, count) = match kind {
        "tokens" => ("tokens", bytes / 2),
        "documents" => ("documents", (bytes / 8).saturating_sub(1)),
        _ => return,
    };
    let place = match part.strip_prefix("side-") {
        Some(side) => manifest.pointer_mut(&format!("/side/{side}/{key}")),
        None => manifest.pointer_mut(&format!("/splits/{part}/{key}")),
    };
    if let Some(place) = place {
        *place = count.into();
    }
}

/// Makes a store agree with a changed file. Returns where that file is then.
pub(super) fn agree_store(store: &Path, changed: PathBuf) -> PathBuf {
    let folder = changed.parent().unwrap().to_owned();
    let above = folder.parent().unwrap();
    if changed.extension().is_some_and(|ending| ending == "checkpoint") {
        let mut bytes = fs::read(&changed).unwrap();
        bytes.truncate(bytes.len().saturating_sub(32));
        let hash = *blake3::hash(&bytes).as_bytes();
        bytes.extend(hash);
        fs::write(&changed, bytes).unwrap();
        return changed;
    }
    let in_manifest = above == store.join("records") || above == store.join("foreign");
    if !in_manifest || name(&changed) == "manifest.json" {
        return changed;
    }
    let mut target = folder.clone();
    if name(&changed) == "spec.toml"
        && let Ok(job) =
            toml::from_str::<Job>(&String::from_utf8_lossy(&fs::read(&changed).unwrap()))
    {
        target = above.join(job.id().to_string());
        set_id(&folder, job.id());
    }
    agree_manifest(&folder, name(&changed));
    if above == store.join("foreign") {
        let hash = |file: &str| facts(&folder.join(file))["blake3"].as_str().unwrap().to_owned();
        let text = format!("{}\n{}\n", hash("runs.jsonl"), hash("history.jsonl"));
        target = above.join(blake3::hash(text.as_bytes()).to_hex().as_str());
    }
    if target != folder && !target.exists() {
        fs::rename(&folder, &target).unwrap();
        return target.join(name(&changed));
    }
    changed
}

/// Names an id in an object; damage may have left something else.
fn put_id(value: &mut Value, id: &impl ToString) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert("id".to_owned(), id.to_string().into());
    }
}

fn set_id(record: &Path, id: JobId) {
    let path = record.join("record.json");
    let Some(mut value) = read_json(&path) else { return };
    put_id(&mut value, &id);
    fs::write(&path, value.to_string()).unwrap();
    agree_manifest(record, "record.json");
}

fn agree_manifest(folder: &Path, file: &str) {
    let path = folder.join("manifest.json");
    let Some(mut manifest) = read_json(&path) else { return };
    manifest[file] = facts(&folder.join(file));
    fs::write(path, manifest.to_string()).unwrap();
}
