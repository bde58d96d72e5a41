//! A run that is killed and continued ends with the same bytes as one that was left alone.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{answer, pocket_corpus, scarce, slow};

/// Arguments of a run of about 100 steps.
fn train(store: &Path, precision: &str, threads: usize) -> Vec<String> {
    train_epochs(store, precision, threads, 2)
}

/// A run of 50 steps an epoch.
fn train_epochs(store: &Path, precision: &str, threads: usize, epochs: u32) -> Vec<String> {
    let corpus = pocket_corpus().display();
    let (store, threads) = (store.display(), threads.to_string());
    let line = format!(
        "train --corpus {corpus} --store {store} --threads {threads} --checkpoint-every 0.02 \
         --set optim.batch_sequences=4 --set data.epochs={epochs} --set evaluation.points=3 \
         --set model.dropout=0.1 --set evaluation.sample_tokens=1024 --set precision={precision}"
    );
    line.split_whitespace().map(str::to_owned).collect()
}

/// The final weights of the only record of a store.
fn weights(store: &Path) -> Vec<u8> {
    let mut records = std::fs::read_dir(store.join("records")).unwrap();
    let record = records.next().expect("there is a record").unwrap().path();
    assert!(records.next().is_none(), "there is one record");
    std::fs::read(record.join("weights.safetensors")).unwrap()
}

/// What a run looks like that nobody disturbs.
struct Reference {
    weights: Vec<u8>,
    duration: Duration,
}

fn reference(precision: &str, epochs: u32) -> Reference {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    answer(train_epochs(folder.path(), precision, 1, epochs));
    Reference { weights: weights(folder.path()), duration: start.elapsed() }
}

/// Kills a run again and again and lets it end at last. Threads change from part to part.
fn killed(precision: &str, kills: u32, seed: u64, reference: &Reference) {
    let folder = tempfile::tempdir().unwrap();
    let mut state = seed;
    for kill in 0..kills {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let share = (state >> 40) as f64 / f64::from(1 << 24);
        let threads = 1 + (kill % 2) as usize;
        let mut child = scarce(train(folder.path(), precision, threads))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(reference.duration.mul_f64(share));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    answer(train(folder.path(), precision, 2));
    assert_eq!(weights(folder.path()), reference.weights, "{precision}, seed {seed}");
}

#[test]
fn a_killed_run_ends_with_the_same_bytes() {
    for precision in ["f32", "bf16"] {
        let reference = reference(precision, 2);
        let chains = if slow() { 5 } else { 1 };
        for chain in 0..chains {
            killed(precision, 4, 17 * chain + 3, &reference);
        }
    }
}

/// Epochs of a run that is surely still going on when its first checkpoints are seen.
const LONG: u32 = 6;

#[test]
fn a_terminated_run_says_so_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let reference = reference("f32", LONG);
    let child = scarce(train_epochs(folder.path(), "f32", 2, LONG))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Wait for a checkpoint, so that the signal arrives while it trains.
    let work = folder.path().join("work");
    let checkpointed = || {
        let runs = std::fs::read_dir(&work).into_iter().flatten().flatten();
        let mut files = runs.flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten());
        files.any(|file| {
            file.is_ok_and(|file| file.path().extension().is_some_and(|e| e == "checkpoint"))
        })
    };
    while !checkpointed() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(85), "{errors}");
    assert!(errors.contains("error: stopped after step"), "{errors}");
    assert!(errors.contains("hint: the same command goes on from there"), "{errors}");
    answer(train_epochs(folder.path(), "f32", 1, LONG));
    assert_eq!(weights(folder.path()), reference.weights);
}

#[test]
fn a_damaged_checkpoint_is_skipped_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let reference = reference("f32", LONG);
    let mut child = scarce(train_epochs(folder.path(), "f32", 1, LONG))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut checkpoints = Vec::new();
    while checkpoints.len() < 2 {
        std::thread::sleep(Duration::from_millis(5));
        let runs = std::fs::read_dir(folder.path().join("work")).into_iter().flatten().flatten();
        let files = runs.flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten());
        checkpoints = files
            .flatten()
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|e| e == "checkpoint"))
            .collect();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Whatever exists now: damage the newest.
    let run = checkpoints[0].parent().unwrap().to_owned();
    let mut now: Vec<_> = std::fs::read_dir(run)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "checkpoint"))
        .collect();
    now.sort();
    let newest = now.last().unwrap();
    let mut bytes = std::fs::read(newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(newest, bytes).unwrap();
    let output = scarce(train_epochs(folder.path(), "f32", 1, LONG)).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("is damaged (wrong hash): using the one before"), "{errors}");
    assert_eq!(weights(folder.path()), reference.weights);
}
