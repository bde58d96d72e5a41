//! A run that is killed and continued ends with the same bytes as one that was left alone, and has
//! not done its steps twice.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use scarce::store::{Checkpoint, Checkpoints};
use serde_json::Value;

use crate::program::{
    answer, ended, listen, pocket_corpus, scarce, signal, slow, start, wait_until, working_files,
};

/// A run of 50 steps an epoch, with a checkpoint every so many seconds.
fn train(store: &Path, precision: &str, epochs: u32, seconds: f64) -> Vec<String> {
    let (corpus, store) = (pocket_corpus().display(), store.display());
    let line = format!(
        "train --corpus {corpus} --store {store} --threads 1 --checkpoint-every {seconds} \
         --set model.preset=pocket-20k --set optim.batch_sequences=4 --set data.epochs={epochs} \
         --set evaluation.points=3 \
         --set model.dropout=0.1 --set evaluation.sample_tokens=1024 --set precision={precision}"
    );
    line.split_whitespace().map(str::to_owned).collect()
}

/// Often enough that a run that is killed has one.
const OFTEN: f64 = 0.02;
/// Only when the run is asked to stop.
const NEVER: f64 = 1e6;
/// Epochs of a run that is surely still going on when its first checkpoints are seen.
const LONG: u32 = 4;

/// The only record of a store.
struct Record {
    folder: PathBuf,
}

impl Record {
    fn of(store: &Path) -> Self {
        let mut records = std::fs::read_dir(store.join("records")).unwrap();
        let folder = records.next().expect("there is a record").unwrap().path();
        assert!(records.next().is_none(), "there is one record");
        Self { folder }
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap()
    }

    /// Seconds of wall-clock time and of processors.
    fn seconds(&self) -> [f64; 2] {
        let record: Value = serde_json::from_slice(&self.bytes("record.json")).unwrap();
        ["wall_seconds", "cpu_seconds"].map(|key| record["cost"][key].as_f64().unwrap())
    }

    /// Everything of the metrics that does not depend on the clock.
    fn metrics(&self) -> Vec<Value> {
        let text = String::from_utf8(self.bytes("metrics.jsonl")).unwrap();
        let line = |line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("tokens_per_second").unwrap();
            line
        };
        text.lines().map(line).collect()
    }
}

/// What a run looks like that nobody disturbs.
struct Reference {
    weights: Vec<u8>,
    metrics: Vec<Value>,
    duration: Duration,
}

impl Reference {
    fn of(precision: &str, epochs: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = Instant::now();
        answer(train(folder.path(), precision, epochs, OFTEN));
        let (record, duration) = (Record::of(folder.path()), start.elapsed());
        Self { weights: record.bytes("weights.safetensors"), metrics: record.metrics(), duration }
    }

    /// The run that several tests disturb.
    fn long() -> &'static Self {
        static REFERENCE: OnceLock<Reference> = OnceLock::new();
        REFERENCE.get_or_init(|| Self::of("f32", LONG))
    }

    fn check(&self, store: &Path, what: &str) {
        let record = Record::of(store);
        assert!(record.bytes("weights.safetensors") == self.weights, "{what}: other weights");
        assert_eq!(record.metrics(), self.metrics, "{what}");
        assert_eq!(std::fs::read_dir(store.join("work")).unwrap().count(), 0, "{what}");
    }
}

/// What is left of a run that has ended early: its newest whole checkpoint, and the metrics that
/// go with it.
struct Left {
    checkpoint: Checkpoint,
    metrics: Vec<u8>,
}

impl Left {
    fn of(store: &Path) -> Self {
        let newest = working_files(store, "checkpoint").pop().expect("there is a checkpoint");
        let work = newest.parent().unwrap();
        let checkpoint = Checkpoints::new(work).latest(None, &mut |_| ()).unwrap();
        let checkpoint = checkpoint.expect("it is whole");
        let mut metrics = std::fs::read(work.join("metrics.jsonl")).unwrap();
        metrics.truncate(usize::try_from(checkpoint.header.metrics_bytes).unwrap());
        Self { checkpoint, metrics }
    }

    /// The steps of before were not done again: their lines hold the very speeds of then, and
    /// their seconds count.
    fn check_continued(&self, store: &Path) {
        let (header, record) = (&self.checkpoint.header, Record::of(store));
        assert!(header.step > 0 && !self.metrics.is_empty());
        assert!(record.bytes("metrics.jsonl").starts_with(&self.metrics), "steps were repeated");
        let [wall, cpu] = record.seconds();
        assert!(wall > header.wall_seconds && cpu >= header.cpu_seconds, "{wall} {cpu} {header:?}");
    }
}

/// Kills a run again and again and lets it end at last. Threads change from part to part.
fn killed(precision: &str, kills: u32, seed: u64, reference: &Reference) {
    let folder = tempfile::tempdir().unwrap();
    let mut state = seed;
    for kill in 0..kills {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let share = (state >> 40) as f64 / f64::from(1 << 24);
        let mut command = train(folder.path(), precision, 2, OFTEN);
        let threads = command.iter().position(|word| word == "--threads").unwrap() + 1;
        command[threads] = (1 + kill % 2).to_string();
        let mut child = start(command);
        std::thread::sleep(reference.duration.mul_f64(share));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    answer(train(folder.path(), precision, 2, OFTEN));
    reference.check(folder.path(), &format!("{precision}, seed {seed}"));
}

#[test]
fn a_killed_run_ends_with_the_same_bytes() {
    for precision in ["f32", "bf16"] {
        let reference = Reference::of(precision, 2);
        let chains = if slow() { 5 } else { 1 };
        for chain in 0..chains {
            killed(precision, 4, 17 * chain + 3, &reference);
        }
    }
}

/// Starts the long run and kills it once it has `count` checkpoints.
fn kill_after_checkpoints(store: &Path, count: usize) {
    let mut child = start(train(store, "f32", LONG, OFTEN));
    wait_until("checkpoints", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its checkpoints");
        working_files(store, "checkpoint").len() >= count
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Ends a run that was begun, and returns what it said.
fn go_on(store: &Path) -> String {
    let output = scarce(train(store, "f32", LONG, NEVER)).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    Reference::long().check(store, &errors);
    errors
}

#[test]
fn a_continued_run_does_not_repeat_its_steps() {
    let folder = tempfile::tempdir().unwrap();
    kill_after_checkpoints(folder.path(), 2);
    let left = Left::of(folder.path());
    go_on(folder.path());
    left.check_continued(folder.path());
}

#[test]
fn a_terminated_run_says_so_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let child = listen(train(folder.path(), "f32", LONG, NEVER));
    // The signal arrives while it trains.
    let trains = || working_files(folder.path(), "jsonl").iter().any(|path| path_len(path) > 0);
    wait_until("a line of metrics", trains);
    assert!(working_files(folder.path(), "checkpoint").is_empty());
    signal(&child, "-TERM");
    let output = ended("the end", child);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(85), "{errors}");
    assert!(errors.contains("hint: the same command goes on from there"), "{errors}");
    let left = Left::of(folder.path());
    let step = left.checkpoint.header.step;
    assert!(errors.contains(&format!("error: stopped after step {step}\n")), "{errors}");
    go_on(folder.path());
    left.check_continued(folder.path());
}

fn path_len(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[test]
fn a_damaged_checkpoint_is_skipped_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    kill_after_checkpoints(folder.path(), 2);
    // Whatever exists now: damage the newest.
    let newest = working_files(folder.path(), "checkpoint").pop().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    let left = Left::of(folder.path());
    let errors = go_on(folder.path());
    assert!(errors.contains("is damaged (wrong hash): using the one before"), "{errors}");
    left.check_continued(folder.path());
}

/// Two checkpoints, and metrics that no longer are what either of them knows.
#[test]
fn metrics_that_were_cut_or_altered_are_not_taken_for_the_runs_own() {
    for alter in [(|text: &mut String| text.truncate(10)) as fn(&mut String), |text| {
        *text = text.replacen("\"train_loss_nats\":", "\"train_loss_nats\":1", 1)
    }] {
        let folder = tempfile::tempdir().unwrap();
        kill_after_checkpoints(folder.path(), 2);
        let path = working_files(folder.path(), "jsonl").remove(0);
        let mut text = std::fs::read_to_string(&path).unwrap();
        alter(&mut text);
        std::fs::write(&path, &text).unwrap();
        let errors = go_on(folder.path());
        assert!(errors.contains("does not go with metrics.jsonl, which "), "{errors}");
    }
}

/// A pipe where a checkpoint should be is nothing to wait for.
#[test]
fn a_pipe_in_the_place_of_a_checkpoint_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    kill_after_checkpoints(folder.path(), 1);
    let work = working_files(folder.path(), "checkpoint").remove(0);
    let pipe = work.with_file_name("step-999999999999.checkpoint");
    let made = std::process::Command::new("mkfifo").arg(&pipe).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this system has no named pipes");
        return;
    }
    std::fs::create_dir(pipe.with_file_name("step-888888888888.checkpoint")).unwrap();
    let output = ended("the end", listen(train(folder.path(), "f32", LONG, OFTEN)));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors.matches("(it is not a regular file): using the one before").count(), 2);
    Reference::long().check(folder.path(), &errors);
}
