//! The choice of an arithmetic: a store keeps it, a run that has begun keeps its class.
//!
//! What needs two arithmetics of bf16 is skipped, aloud, where the CPU has one. Planted timings are
//! tested in `src/lab/arithmetic/tests.rs`, on any machine.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use scarce_engine::isa::{Arithmetic, Isa, Precision};
use serde_json::{Value, json};

use crate::best::small_corpus;
use crate::program::{
    answer, ended, failure, listen, run, scarce, signal, wait_until, working_files,
};

/// The bf16 arithmetics of this CPU, at least two.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn arithmetics() -> Option<Vec<&'static str>> {
    let all: Vec<_> =
        Arithmetic::of(Isa::detect(), Precision::Bf16).map(Arithmetic::name).collect();
    if all.len() < 2 {
        eprintln!("SKIPPED: this CPU has one arithmetic of bf16, {}", all[0]);
        return None;
    }
    Some(all)
}

/// An instruction set that has one arithmetic of bf16; the smallest is slow.
fn plain_set() -> &'static str {
    Isa::detect().min(Isa::Avx2).name()
}

/// A corpus whose held-out splits take no time, written once.
fn corpus() -> &'static str {
    static CORPUS: OnceLock<(tempfile::TempDir, String)> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        let corpus = small_corpus(folder.path());
        (folder, corpus)
    };
    &CORPUS.get_or_init(make).1
}

/// Settings of runs that are over soon.
const SMALL: &str = "--set data.sequence_tokens=16 --set optim.batch_sequences=4 \
    --set data.budget_tokens=1024 --set model.layers=1 --set model.width=32 --set model.heads=2";

/// A run of 16 steps an epoch on one thread.
fn train(store: &Path, epochs: u32, more: &str) -> Vec<String> {
    let (corpus, store) = (corpus(), store.display());
    let line = format!(
        "train --corpus {corpus} --store {store} --threads 1 --checkpoint-every 0.01 --json \
         --set data.epochs={epochs} --set evaluation.points=3 {SMALL} {more}"
    );
    line.split_whitespace().map(str::to_owned).collect()
}

/// Epochs of a run that is surely still going on when its first checkpoint is seen.
const LONG: u32 = 40;

fn bf16(store: &Path, epochs: u32) -> Vec<String> {
    train(store, epochs, "--set precision=bf16")
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The arithmetic of the class of a record that was printed.
fn class(printed: &str) -> String {
    json_of(printed)["numerics"]["arithmetic"].as_str().unwrap().to_owned()
}

fn choices(store: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(store.join("arithmetic.json")).unwrap();
    json_of(&text)["choices"].as_array().unwrap().clone()
}

/// Writes a choice for this machine, as if it had been measured.
fn plant(store: &Path, arithmetic: &str) {
    let doctor = json_of(&answer(["doctor", "--json"]));
    let choice = json!({
        "cpu": doctor["machine"]["cpu"], "isa": doctor["detected_isa"], "precision": "bf16",
        "arithmetic": arithmetic, "rates": [], "version": env!("CARGO_PKG_VERSION"),
        "chosen_unix_seconds": 0,
    });
    std::fs::create_dir_all(store).unwrap();
    let text = json!({ "choices": [choice] }).to_string();
    // A store that exists may be open elsewhere.
    std::fs::write(store.join("new"), text).unwrap();
    std::fs::rename(store.join("new"), store.join("arithmetic.json")).unwrap();
}

/// A store that has chosen.
fn store_with(arithmetic: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    // A run in f32 makes a store and chooses nothing.
    answer(train(&store, 1, ""));
    plant(&store, arithmetic);
    (folder, store)
}

fn weights(store: &Path, id: &str) -> Vec<u8> {
    std::fs::read(store.join("records").join(id).join("weights.safetensors")).unwrap()
}

/// Starts a run and interrupts it once it has a checkpoint.
fn interrupted(arguments: &[String], store: &Path) -> Output {
    let child = listen(arguments);
    wait_until("a checkpoint", || !working_files(store, "checkpoint").is_empty());
    signal(&child, "-TERM");
    let output = ended("the end of a run", child);
    assert_eq!(output.status.code(), Some(85), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn a_store_decides_the_class_of_new_runs() {
    let Some(all) = arithmetics() else { return };
    let mut bits = Vec::new();
    for arithmetic in all {
        let (_folder, store) = store_with(arithmetic);
        let doctor =
            |more| answer([&["doctor", "--store", store.to_str().unwrap()][..], more].concat());
        let told = json_of(&doctor(&["--json"]));
        assert_eq!(told["numerics"]["bf16"]["arithmetic"], arithmetic);
        assert_eq!(told["reasons"]["bf16"]["kind"], "stored");
        assert!(doctor(&[]).contains("chosen for `"), "{}", doctor(&[]));
        let plan = answer([&bf16(&store, 1)[..], &["--dry-run".to_owned()]].concat());
        assert_eq!(json_of(&plan)["numerics"]["arithmetic"], arithmetic);
        let record = answer(bf16(&store, 1));
        assert_eq!(class(&record), arithmetic);
        bits.push(weights(&store, json_of(&record)["id"].as_str().unwrap()));
        // The set that is forced has an arithmetic of its own, and touches no choice.
        let forced = scarce(bf16(&store, 2)).env("SCARCE_ISA", plain_set()).output().unwrap();
        assert_eq!(class(std::str::from_utf8(&forced.stdout).unwrap()), "bf16-rounded");
        assert_eq!(choices(&store)[0]["arithmetic"], arithmetic);
    }
    bits.dedup();
    assert!(bits.len() > 1, "classes differ in their bits");
}

#[test]
fn a_run_goes_on_in_its_class_after_the_choice_has_changed() {
    let Some(all) = arithmetics() else { return };
    for (begun, changed) in [(all[0], all[1]), (all[1], all[0])] {
        let (_folder, store) = store_with(begun);
        interrupted(&bf16(&store, LONG), &store);
        plant(&store, changed);
        let record = answer(bf16(&store, LONG));
        assert_eq!(class(&record), begun);
        // A replay starts anew, in the record's class: no step was of another one.
        let id = json_of(&record)["id"].as_str().unwrap().to_owned();
        let store_name = store.to_str().unwrap();
        let replay = ["verify", &id, "--replay", "--store", store_name, "--corpus", corpus()];
        assert!(answer(replay).contains("the weights are the same bytes"));
        assert_eq!(class(&answer(bf16(&store, 1))), changed);
    }
}

#[test]
fn two_runs_that_start_at_once_agree_on_their_class() {
    let Some(all) = arithmetics() else { return };
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let start = |seed: u32| {
            let more = format!("--set precision=bf16 --set seeds.init={seed}");
            listen(train(folder.path(), 1, &more))
        };
        let classes = [start(1), start(2)].map(|child| {
            let output = ended("a run", child);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            class(std::str::from_utf8(&output.stdout).unwrap())
        });
        let chosen = choices(folder.path());
        assert_eq!(chosen.len(), 1, "{chosen:?}");
        assert_eq!(chosen[0]["rates"].as_array().unwrap().len(), all.len());
        assert!(classes.iter().all(|class| chosen[0]["arithmetic"] == *class), "{classes:?}");
    }
}

#[test]
fn workers_read_what_the_store_has_chosen() {
    let Some(all) = arithmetics() else { return };
    for arithmetic in all {
        let (_folder, store) = store_with(arithmetic);
        let (corpus, path) = (corpus(), store.display());
        let line = format!(
            "ensemble --corpus {corpus} --store {path} --members 2 --workers 2 --json \
             --set precision=bf16 --set data.epochs=1 {SMALL}"
        );
        answer(line.split_whitespace());
        let runs = answer(["runs", "--store", store.to_str().unwrap(), "--json"]);
        let classes: Vec<_> = runs
            .lines()
            .map(json_of)
            .filter_map(|record| {
                let numerics = record["numerics"]["arithmetic"].as_str()?.to_owned();
                (numerics != "f32").then_some(numerics)
            })
            .collect();
        assert!(classes.len() >= 3 && classes.iter().all(|it| it == arithmetic), "{classes:?}");
    }
}

#[test]
fn a_run_is_not_continued_on_a_machine_without_its_class() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let small = |arguments: Vec<String>| {
        let mut command = scarce(arguments);
        command.env("SCARCE_ISA", plain_set());
        command
    };
    interrupted(&bf16(&store, LONG), &store);
    // As if it had been begun on another machine.
    for path in working_files(&store, "checkpoint") {
        in_another_class(&path);
    }
    let output = small(bf16(&store, LONG)).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    let told = "was started in numerics class cpu/bf16-amx/exact/2, but this is cpu/bf16-rounded/";
    assert!(errors.contains(told), "{errors}");
    assert!(errors.contains("hint: continue it on the machine or with the SCARCE_ISA"), "{errors}");
}

/// Gives a checkpoint the class of AMX, with the lengths and the hash that belong to it.
fn in_another_class(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let (magic, rest) = bytes.split_at(20);
    let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
    let mut header = json_of(std::str::from_utf8(&rest[8..8 + length]).unwrap());
    header["numerics"]["arithmetic"] = json!("bf16-amx");
    let header = header.to_string();
    let sections = &rest[8 + length..rest.len() - 32];
    let mut changed =
        [magic, &(header.len() as u64).to_le_bytes(), header.as_bytes(), sections].concat();
    let hash = blake3::hash(&changed);
    changed.extend(hash.as_bytes());
    std::fs::write(path, changed).unwrap();
}

#[test]
fn a_record_of_a_class_that_is_not_here_is_not_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let mut command = scarce(bf16(&store, 1));
    let record = command.env("SCARCE_ISA", plain_set()).output().unwrap();
    let record = json_of(std::str::from_utf8(&record.stdout).unwrap());
    assert_eq!(record["numerics"]["arithmetic"], "bf16-rounded");
    assert_eq!(record["machine"]["isa"], plain_set());
    assert!(!store.join("arithmetic.json").exists(), "what is forced is no choice");
    let id = record["id"].as_str().unwrap();
    let store_name = store.to_str().unwrap();
    let replay = ["verify", id, "--replay", "--store", store_name, "--corpus", corpus()];
    // Whatever this CPU would choose, it can do what any CPU can.
    assert!(answer(replay).contains("the weights are the same bytes"));

    let place = store.join("records").join(id);
    let path = place.join("record.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("bf16-rounded", "bf16-amx");
    std::fs::write(&path, &text).unwrap();
    let manifest = std::fs::read_to_string(place.join("manifest.json")).unwrap();
    let mut manifest = json_of(&manifest);
    let hash = blake3::hash(text.as_bytes()).to_hex();
    manifest["record.json"] = json!({ "bytes": text.len(), "blake3": hash.as_str() });
    std::fs::write(place.join("manifest.json"), manifest.to_string()).unwrap();
    let output = scarce(replay).env("SCARCE_ISA", plain_set()).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("made in numerics class cpu/bf16-amx/exact/2, this"), "{errors}");
}

#[test]
fn the_doctor_says_which_kernels_and_why() {
    let told = json_of(&answer(["doctor", "--json"]));
    assert_eq!(told["reasons"]["f32"]["kind"], "only");
    let text = answer(["doctor"]);
    assert!(text.contains("numerics class cpu/f32/exact/2\n"), "{text}");
    assert!(text.contains("the only arithmetic of this precision here"), "{text}");
    if Arithmetic::of(Isa::detect(), Precision::Bf16).count() > 1 {
        assert_eq!(told["reasons"]["bf16"]["kind"], "measured");
        assert!(text.contains("GFLOP/s, bf16-rounded ") && text.contains("measured now"), "{text}");
    }
    let forced = scarce(["doctor"]).env("SCARCE_ISA", "portable").output().unwrap();
    let text = String::from_utf8(forced.stdout).unwrap();
    assert!(text.contains("forced      portable (SCARCE_ISA)\n"), "{text}");
    assert!(text.contains("the arithmetic that SCARCE_ISA stands for"), "{text}");
    let (code, errors) = failure(["doctor", "--store", "nowhere"]);
    assert_eq!(code, 2, "{errors}");
    assert!(errors.contains("there is no store at `nowhere`"), "{errors}");
}

#[test]
fn a_benchmark_takes_an_arithmetic_by_its_name() {
    let bench = |more: &str| {
        let line = format!("bench train --steps 1 --windows 1 --threads 1 --json {more}");
        run(line.split_whitespace())
    };
    let output = bench("--arithmetic bf16-rounded");
    let told = json_of(std::str::from_utf8(&output.stdout).unwrap());
    assert_eq!(told["numerics"], "cpu/bf16-rounded/exact/2");
    for unfit in ["--arithmetic f32", "--arithmetic bf16-rounded --precision f32", "--arithmetic x"]
    {
        let output = bench(unfit);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains("hint: it has "), "{errors}");
    }
}
