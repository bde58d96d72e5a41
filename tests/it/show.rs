//! `scarce show`: what a corpus holds, and how far a record lies above the exact floor.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{answer, failure, pocket_corpus};

fn parsed(line: &str) -> Value {
    serde_json::from_str(&answer(line.split_whitespace())).unwrap()
}

#[test]
fn a_corpus_shows_its_floor_on_every_split() {
    let corpus = pocket_corpus().display();
    let shown = answer(["show", &corpus.to_string()]);
    let manifest = parsed(&format!("show {corpus} --json"));
    assert!(shown.contains(manifest["id"].as_str().unwrap()), "{shown}");
    for split in ["train", "val", "test"] {
        let floor = manifest["splits"][split]["floor_nats"].as_f64().unwrap();
        let row = shown.lines().find(|line| line.starts_with(split)).unwrap();
        assert!(row.ends_with(&format!("{floor:.4}")), "{row}");
    }
    assert!(shown.contains("built in, pocket: documents of 128 tokens"), "{shown}");
}

#[test]
fn a_corpus_of_text_shows_how_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let text: String = (0..3000).map(|n| format!("Line {n} of {} texts.\n\n", n * n)).collect();
    fs::write(path("a.txt"), text).unwrap();
    fs::write(path("b.txt"), "Other words.").unwrap();
    let (a, b, out) = (path("a.txt"), path("b.txt"), path("corpus"));
    answer(format!("prepare {a} --vocab 300 --out {out} --side other={b}").split_whitespace());
    let shown = answer(["show", &out]);
    for part in ["a.txt first", "by sections", "trained on", "300 tokens", "other (side)", "near"] {
        assert!(shown.contains(part), "{shown} lacks {part}");
    }
    let id = parsed(&format!("show {out} --json"))["side"]["other"]["id"].clone();
    assert!(shown.contains(&format!("other {}", id.as_str().unwrap())), "{shown}");
    fs::write(folder.path().join("corpus/manifest.json"), "{}").unwrap();
    let (code, errors) = failure(["show", &out]);
    assert!(code == 3 && errors.contains("not a manifest"), "{errors}");
}

#[test]
fn a_record_shows_what_lies_above_the_floor() {
    let folder = tempfile::tempdir().unwrap();
    let (corpus, store) = (pocket_corpus().display(), folder.path().join("store"));
    let store = store.display();
    let train = |sequence_tokens: u32| {
        parsed(&format!(
            "train --corpus {corpus} --store {store} --set model.layers=1 --set model.width=32 \
             --set data.epochs=1 --set data.sequence_tokens={sequence_tokens} --json"
        ))
    };
    let record = train(128);
    let loss = &record["losses"][0];
    let number = |value: &Value| value.as_f64().unwrap();
    let above = &loss["above_floor"];
    let floor = number(&parsed(&format!("show {corpus} --json"))["splits"]["val"]["floor_nats"]);
    assert!((number(&above["floor_nats"]) - floor).abs() < 1e-6);
    assert!((number(&above["nats"]) - (number(&loss["nats"]) - floor)).abs() < 1e-6);
    let error = number(&above["standard_error_nats"]);
    assert!(error > 0.0, "{loss}");
    let id = record["id"].as_str().unwrap();
    let shown = answer(format!("show {id} --store {store}").split_whitespace());
    let text =
        format!("; {:.4} ± {error:.4} above the floor of {floor:.4}", number(&above["nats"]));
    assert!(shown.contains(&text), "{shown} lacks {text}");
    // Half documents predict other tokens: their floor is not known.
    assert_eq!(train(64)["losses"][0]["above_floor"], Value::Null);
    let line = format!("eval {id} --store {store} --corpus {corpus} --split test --json");
    let losses = parsed(&line)["losses"].as_array().unwrap().clone();
    assert!(losses.iter().all(|loss| number(&loss["above_floor"]["nats"]) > 0.0));
}

/// Takes what an older program did not write out of a record.
fn make_older(record: &Path) {
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(record.join(name)).unwrap()).unwrap()
    };
    let (mut json, mut manifest) = (read("record.json"), read("manifest.json"));
    json["losses"][0].as_object_mut().unwrap().remove("above_floor").unwrap();
    let bytes = serde_json::to_vec(&json).unwrap();
    let hash = blake3::hash(&bytes).to_hex();
    manifest["record.json"] = json!({ "bytes": bytes.len(), "blake3": hash.as_str() });
    fs::write(record.join("record.json"), bytes).unwrap();
    fs::write(record.join("manifest.json"), manifest.to_string()).unwrap();
}

#[test]
fn the_floor_under_an_older_record_is_found_in_its_corpus() {
    let folder = tempfile::tempdir().unwrap();
    let (corpus, store) = (pocket_corpus().display(), folder.path().display());
    let record = parsed(&format!(
        "train --corpus {corpus} --store {store} --set model.layers=1 --set model.width=32 \
         --set data.epochs=1 --json"
    ));
    let id = record["id"].as_str().unwrap();
    make_older(&folder.path().join("records").join(id));
    let line = format!("show {id} --store {store}");
    assert!(!answer(line.split_whitespace()).contains("floor"));
    let found = parsed(&format!("{line} --corpus {corpus} --json"));
    assert_eq!(found["losses"][0]["above_floor"], record["losses"][0]["above_floor"]);
    assert!(found["losses"][0]["above_floor"].is_object());
}
