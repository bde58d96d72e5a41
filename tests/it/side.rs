//! Side sets through the program: prepared beside a corpus, reported by every run, read by `eval`,
//! and never part of a run's identity (mission D7).

use std::fs;
use std::path::{Path, PathBuf};

use scarce::data::Corpus;
use serde_json::Value;

use crate::program::{answer, failure, run};

/// Files, corpora and a store in a scratch directory.
struct Desk(tempfile::TempDir);

/// A text of distinct paragraphs about `topic`.
fn text(topic: &str, paragraphs: u64) -> String {
    let line = |n: u64| format!("{topic} {n} of {}, and {} more.\n\n", n * n, n * 7919 % 10_007);
    (0..paragraphs).map(line).collect()
}

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        fs::write(desk.path("book.txt"), text("Paragraph", 2600)).unwrap();
        fs::write(desk.path("verse.txt"), text("Stanza", 60)).unwrap();
        let record = |n: u64| serde_json::json!({ "text": format!("Sum {n} is {}.", n * n) });
        let records: String = (0..90).map(|n| record(n).to_string() + "\n").collect();
        fs::write(desk.path("sums.jsonl"), records).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Words of a command, with `@` for the directory of the desk.
    fn words(&self, line: &str) -> Vec<String> {
        let directory = format!("{}/", self.0.path().display());
        line.split_whitespace().map(|word| word.replace('@', &directory)).collect()
    }

    fn prepare(&self, more: &str) {
        answer(self.words(&format!("prepare @book.txt --vocab 300 {more}")));
    }

    /// A short run on the corpus `corpus`.
    fn train(&self, corpus: &str, store: &str, more: &str) -> Vec<String> {
        self.words(&format!(
            "train --corpus @{corpus} --store @{store} --threads 1 --set model.layers=1 \
             --set model.width=32 --set data.sequence_tokens=64 --set data.epochs=1 \
             --set evaluation.points=2 --set evaluation.sample_tokens=256 {more}"
        ))
    }

    fn json(&self, words: Vec<String>) -> Value {
        serde_json::from_str(&answer(words)).unwrap()
    }
}

const SIDES: &str = "--side verse=@verse.txt --side sums=@sums.jsonl";

#[test]
fn a_run_reports_its_loss_on_every_side_set() {
    let desk = Desk::new();
    desk.prepare(&format!("--out @corpus {SIDES}"));
    let record = desk.json(desk.train("corpus", "store", "--json"));
    let sides = record["side_losses"].as_array().unwrap();
    let names: Vec<&Value> = sides.iter().map(|loss| &loss["split"]["name"]).collect();
    assert_eq!(names, ["sums", "verse"]);
    let corpus = Corpus::open(desk.path("corpus")).unwrap();
    for ((side, part), loss) in corpus.sides().zip(sides) {
        assert_eq!(loss["split"]["id"], side.id.to_string());
        // The first token of every window of 64 is context only.
        let windows = part.tokens().div_ceil(64);
        assert_eq!(loss["tokens"], part.tokens() - windows);
        assert!(loss["standard_error_nats"].is_f64() || loss["clusters"] == 1);
        let bytes = loss["nats"].as_f64().unwrap() / loss["bits_per_byte"].as_f64().unwrap();
        assert!(bytes > 0.5 && bytes < 10.0, "{loss}");
    }
    // The mean counts every set alike; its error comes from independent sets.
    let nats = |of: &Value| of["nats"].as_f64().unwrap();
    let mean = &record["side_means"][0];
    assert_eq!((&mean["name"], &mean["sets"]), (&Value::from("model"), &Value::from(2)));
    assert!((nats(mean) - (nats(&sides[0]) + nats(&sides[1])) / 2.0).abs() < 1e-12);
    // Choices are made on `losses`, which know no side set.
    assert_eq!(record["losses"].as_array().unwrap().len(), 1);
    assert_eq!(record["losses"][0]["split"], "val");

    let id = record["id"].as_str().unwrap();
    check_metrics(&desk.path("store/records").join(id), sides);
    for shown in [
        answer(desk.words(&format!("show {id} --store @store"))),
        answer(desk.train("corpus", "store", "")),
    ] {
        for part in ["sums: model ", "verse: model ", "side mean   model ", "over 2 sets"] {
            assert!(shown.contains(part), "{shown:?} lacks {part:?}");
        }
        assert!(shown.contains(&format!("{:.4}", nats(mean))) && shown.contains("bits/byte"));
    }
    answer(desk.words(&format!("verify {id} --store @store --replay --corpus @corpus")));
}

/// Every evaluation measures `val` and each side set, on a sample before the end.
fn check_metrics(record: &Path, sides: &[Value]) {
    let text = fs::read_to_string(record.join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let held_out: Vec<&Vec<Value>> =
        lines.iter().filter_map(|line| line["held_out"].as_array()).collect();
    assert!(held_out.len() >= 2);
    for evaluation in &held_out {
        let names: Vec<&Value> = evaluation.iter().map(|entry| &entry["name"]).collect();
        assert_eq!(names, ["val", "sums", "verse"]);
    }
    let (first, last) = (held_out[0], held_out[held_out.len() - 1]);
    let tokens = |entry: &Value| entry["tokens"].as_u64().unwrap();
    for (sample, all) in first.iter().zip(last) {
        assert!(tokens(sample) <= 2 * 256 && tokens(sample) < tokens(all), "{sample} {all}");
    }
    for (entry, loss) in last[1..].iter().zip(sides) {
        assert_eq!((&entry["loss_nats"], &entry["tokens"]), (&loss["nats"], &loss["tokens"]));
    }
    for side in ["sums", "verse"] {
        assert!(record.join(format!("ledger-{side}.safetensors")).is_file());
    }
}

#[test]
fn side_sets_rename_nothing_and_older_runs_can_be_read_on_them() {
    let desk = Desk::new();
    desk.prepare("--out @corpus");
    let old = desk.json(desk.train("corpus", "store", "--json"));
    let id = old["id"].as_str().unwrap().to_owned();
    assert_eq!(old["side_losses"], Value::Null);
    let before = Corpus::open(desk.path("corpus")).unwrap().id();
    // The same command with side sets: they join the corpus that is there.
    desk.prepare(&format!("--out @corpus {SIDES}"));
    assert_eq!(Corpus::open(desk.path("corpus")).unwrap().id(), before);
    let output = run(desk.train("corpus", "store", "--json"));
    let again: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(again, old, "the run is remembered under its id");
    let note = String::from_utf8(output.stderr).unwrap();
    assert!(note.contains("older than side set `sums`, `verse`"), "{note}");

    let eval = |more: &str| {
        let line = format!("eval {id} --corpus @corpus --store @store --json --threads 1 {more}");
        desk.json(desk.words(&line))
    };
    let all = eval("--sides");
    // A run on the richer corpus has the same id, in another store, and the same losses.
    let new = desk.json(desk.train("corpus", "other", "--json"));
    assert_eq!(new["id"], old["id"]);
    let records = all["records"].as_array().unwrap();
    for (record, loss) in records.iter().zip(new["side_losses"].as_array().unwrap()) {
        assert_eq!(record["side_losses"][0]["nats"], loss["nats"]);
        assert_eq!(record["losses"], Value::Array(Vec::new()));
        assert_eq!(record["side_losses"][0]["split"], loss["split"]);
    }
    assert_eq!(all["side_means"][0]["nats"], new["side_means"][0]["nats"]);
    // The job's spec names the set and its content.
    let verse = eval("--split verse");
    let spec =
        answer(desk.words(&format!("show {} --store @store", verse["id"].as_str().unwrap())));
    let name = records[1]["side_losses"][0]["split"]["id"].as_str().unwrap();
    assert!(spec.contains("split.name = \"verse\""), "{spec}");
    assert!(spec.contains(&format!("split.id = \"{name}\"")), "{spec}");
    // A record that holds the loss is asked instead of the model.
    let line = format!("eval {id} --corpus @corpus --store @other --split verse");
    let stored = answer(desk.words(&line));
    assert!(stored.starts_with(&format!("record {id}")) && !stored.contains("sums"), "{stored}");
    assert_eq!(fs::read_dir(desk.path("other/records")).unwrap().count(), 1);
}

#[test]
fn a_dry_run_names_the_side_sets() {
    let desk = Desk::new();
    desk.prepare(&format!("--out @corpus {SIDES}"));
    let shown = answer(desk.train("corpus", "store", "--dry-run"));
    assert!(shown.contains("side        sums, ") && shown.contains("side        verse, "));
    let shown = desk.json(desk.train("corpus", "store", "--dry-run --json"));
    assert_eq!(shown["side_sets"][1]["name"], "verse");
}

#[test]
fn wrong_side_sets_are_refused() {
    let desk = Desk::new();
    fs::write(desk.path("empty.txt"), "").unwrap();
    fs::write(desk.path("none.jsonl"), "{\"text\": \" \"}\n").unwrap();
    fs::write(desk.path("tokens.bin"), [1, 0, 2, 0]).unwrap();
    let check = |sides: &str, code, parts: &[&str]| {
        let line = format!("prepare @book.txt --vocab 300 --out @corpus {sides}");
        let (found, errors) = failure(desk.words(&line));
        for part in parts {
            assert!(errors.contains(part), "`{sides}` says {errors:?}, not {part:?}");
        }
        assert!(found == code && errors.starts_with("error: "), "`{sides}`: {found} {errors}");
        assert!(errors.contains("hint: ") || code == 3, "`{sides}`: {errors}");
        assert!(!desk.path("corpus").exists());
    };
    check("--side a=@verse.txt --side a=@sums.jsonl", 2, &["there are two side sets `a`", "hint"]);
    check("--side Verse=@verse.txt", 2, &["`Verse` cannot name a side set", "lowercase"]);
    check("--side a_b=@verse.txt", 2, &["`a_b` cannot name", "such as `wiki-2024`"]);
    check("--side =@verse.txt", 2, &["`` cannot name a side set"]);
    check("--side val=@verse.txt", 2, &["cannot be called `val`, which is a split"]);
    check("--side test=@verse.txt", 2, &["cannot be called `test`"]);
    check("--side verse", 2, &["`NAME=PATH` was expected", "hint: for example"]);
    check("--side verse=", 2, &["`NAME=PATH` was expected"]);
    check("--side a=@nowhere.txt", 3, &["side set `a`: failed to read", "nowhere.txt"]);
    check("--side a=@empty.txt", 3, &["side set `a`: there is no text in", "empty.txt"]);
    check("--side a=@none.jsonl", 3, &["side set `a`: there is no text", "hint: every document"]);
    check("--side a=@tokens.bin", 2, &["cannot be mixed in one corpus"]);
    let synthetic = desk.words("prepare --synthetic pocket --out @corpus --side a=@verse.txt");
    assert_eq!(failure(synthetic).0, 2);

    desk.prepare("--out @corpus --side verse=@verse.txt");
    let conflict =
        desk.words("prepare @book.txt --vocab 300 --out @corpus --side verse=@sums.jsonl");
    let (code, errors) = failure(conflict);
    assert!(code == 2 && errors.contains("another side set `verse`"), "{errors}");
    assert!(errors.contains("--force"), "{errors}");
    let id = desk.json(desk.train("corpus", "store", "--json"))["id"].as_str().unwrap().to_owned();
    let eval = |more: &str| {
        failure(desk.words(&format!("eval {id} --corpus @corpus --store @store {more}")))
    };
    let (code, errors) = eval("--split vers");
    assert!(code == 2 && errors.contains("no split or side set `vers`"), "{errors}");
    assert!(errors.contains("hint: did you mean `verse`?"), "{errors}");
    assert_eq!(eval("--split val --sides").0, 2);
    desk.prepare("--out @plain");
    let line = format!("eval {id} --corpus @plain --store @store --sides");
    let (code, errors) = failure(desk.words(&line));
    assert!(code == 2 && errors.contains("the corpus has no side sets"), "{errors}");
    assert!(errors.contains("--side NAME=PATH"), "{errors}");
}
