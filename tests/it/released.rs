//! Released JSON: documents of the program beside golden files, and every key in docs/json.md.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::golden::check_json;
use crate::program::{answer, copy_folder};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// What `fit --json` prints for a table and these words, a value a line.
fn fit(table: &Path, more: &str) -> Value {
    let words = ["fit", table.to_str().unwrap(), "--json", "--resamples", "20"];
    let text = answer(words.into_iter().chain(more.split_whitespace()));
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
}

#[test]
fn laws_of_one_axis() {
    let text = std::fs::read_to_string(path("golden/laws/k_curves.csv")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table.csv");
    let of = |line: &&str| line.starts_with("series") || line.starts_with("members_150m");
    let rows: Vec<&str> = text.lines().filter(of).chain(["alone,1,3.9"]).collect();
    std::fs::write(&table, rows.join("\n")).unwrap();
    check_json("fit", &fit(&table, "--x k --y loss --group series"));
    let axis = "--x d_billion --y loss";
    let table = path("golden/laws/standard_best_per_d.csv");
    let reach = "--reach 3.17 --reach 1.5 --base 3.74974";
    check_json("fit-reach", &fit(&table, &format!("{axis} {reach}")));
    check_json("fit-robust", &fit(&table, &format!("{axis} --loss huber-log")));
}

#[test]
fn laws_of_several_axes() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "N,K,U,epochs,loss\n".to_owned();
    for (row, n) in [0.15_f64, 0.3, 0.6, 1.4].into_iter().enumerate() {
        for k in 1..=4 {
            let error = f64::from((7 * k + 3 * row as i32) % 5 - 2) * 1e-3;
            let loss = 2.9 + 0.05 / n + 0.3 / f64::from(k) + error;
            text += &format!("{n},{k},{k}00,{k},{loss:.6}\n");
        }
    }
    let table = folder.path().join("table.csv");
    std::fs::write(&table, text).unwrap();
    check_json("fit-chinchilla", &fit(&table, "--law chinchilla --n N --d U --y loss"));
    check_json("fit-repeat", &fit(&table, "--law repeat --d U --epochs epochs --y loss"));
    check_json("fit-joint", &fit(&table, "--law joint --n N --k K --y loss"));
    let robust = "--law chinchilla --n N --d U --y loss --loss huber-log";
    check_json("fit-chinchilla-robust", &fit(&table, robust));
}

#[test]
fn evaluations() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    copy_folder(&path("formats/store-1"), &store);
    let eval = |corpus: &str, words: &str| -> Value {
        let corpus = path(corpus);
        let places = ["--store", store.to_str().unwrap(), "--corpus", corpus.to_str().unwrap()];
        let words = ["eval", "--json"].into_iter().chain(places).chain(words.split_whitespace());
        serde_json::from_str(&answer(words)).unwrap()
    };
    let of_sides = "formats/corpus-1-side";
    let ensemble = "2a808e659f22 2a808e659f22 --split sums";
    check_json("eval", &eval(of_sides, ensemble));
    check_json("eval-sides", &eval(of_sides, "2a808e659f22 --sides"));
    let same = "5e15de75a79a --against 5e15de75a79a";
    check_json("eval-against", &eval("formats/corpus-1", same));
}

/// The section of docs/json.md that names a document.
fn section<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let named = |section: &&str| section.lines().next().is_some_and(|l| l.contains(name));
    text.split("\n## ").find(named)
}

/// Top-level keys of a document, or of all of its lines, that a text does not name.
fn unnamed(text: &str, document: &Value) -> Vec<String> {
    let lines = document.as_array().map_or(std::slice::from_ref(document), Vec::as_slice);
    let keys = lines.iter().flat_map(|line| line.as_object().unwrap().keys());
    keys.filter(|key| !text.contains(&format!("`{key}`"))).cloned().collect()
}

#[test]
fn every_key_is_explained() {
    let text = std::fs::read_to_string(path("../docs/json.md")).unwrap();
    let mut bad = Vec::new();
    for entry in std::fs::read_dir(path("golden/json")).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let document = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        match section(&text, &format!("`{name}`")) {
            Some(section) => bad.extend(unnamed(section, &document)),
            None => bad.push(format!("{name} has no section")),
        }
    }
    assert!(bad.is_empty(), "docs/json.md lacks {bad:?}");
    let document = serde_json::json!([{ "nats": 1 }, { "bits": 2 }]);
    assert_eq!(unnamed("- `nats`: a loss", &document), ["bits"]);
}
