//! `scarce plot` through the real program: imported runs, records of ours, and what it refuses.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{answer, failure, pocket_corpus, run};

/// The paper's points as a table: standard best over D, regularized over N.
fn paper_table() -> String {
    let mut text = "run_id,model,tokens,epochs,lr,weight_decay,batch,data,loss\n".to_owned();
    let standard = [
        ("600m4k", 209_715_200_u64, 4, 3.749_74),
        ("600m4k", 419_430_400, 4, 3.480_73),
        ("600m4k", 838_860_800, 8, 3.245_16),
        ("600m4k", 1_677_721_600, 16, 3.059_17),
        ("150m4k", 209_715_200, 8, 3.837_52),
        ("1_4b4k", 209_715_200, 4, 3.764_32),
    ];
    for (index, (model, tokens, epochs, loss)) in standard.into_iter().enumerate() {
        let line = format!("standard-{index},{model},{tokens},{epochs},0.001,0.1,64,dclm,{loss}");
        writeln!(text, "{line}").unwrap();
    }
    let tuned = [
        ("150m4k", 16, 0.8, 3.75),
        ("300m4k", 16, 1.6, 3.587),
        ("600m4k", 8, 3.2, 3.51),
        ("1_4b4k", 8, 3.2, 3.462),
    ];
    for (model, epochs, decay, loss) in tuned {
        let line = format!("tuned-{model},{model},209715200,{epochs},0.001,{decay},64,dclm,{loss}");
        writeln!(text, "{line}").unwrap();
    }
    text
}

fn number<'v>(value: &'v Value, what: &str) -> &'v Value {
    let findings = value["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["what"] == what).unwrap_or_else(|| panic!("{value:#}"))
}

#[test]
fn imported_runs_become_the_papers_figures() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("runs.csv"), paper_table()).unwrap();
    let (store, out) = (path("store"), path("out"));
    answer(["import", "runs", &path("runs.csv"), "--store", &store]);
    let line =
        format!("plot --mode infinite-model-scaling --foreign --store {store} --out {out} --json");
    let value: Value = serde_json::from_str(&answer(line.split_whitespace())).unwrap();
    let law = number(&value, "regularized, N to infinity, D = 210M");
    assert_eq!(format!("{:.4}", law["value"].as_f64().unwrap()), "3.4294");
    assert!(law["low"].as_f64().unwrap() < 3.39 && law["high"].as_f64().unwrap() > 3.45);
    assert!(law["text"].as_str().unwrap().contains("N in billions"), "{law}");
    let single = number(&value, "data efficiency, best single model (1.4B), D = 210M");
    assert_eq!(format!("{:.2}", single["value"].as_f64().unwrap()), "2.08");
    assert!(value["lacks"].as_array().unwrap().iter().any(|lack| lack["figure"] == "trajectories"));
    for file in value["files"].as_array().unwrap() {
        let path = Path::new(file.as_str().unwrap());
        let bytes = fs::read(path).unwrap();
        let beginning: &[u8] = match path.extension().unwrap().to_str().unwrap() {
            "svg" => b"<svg ",
            "png" => b"\x89PNG",
            "pdf" => b"%PDF-1.5",
            _ => b"panel,series,kind,",
        };
        assert!(bytes.starts_with(beginning), "{}", path.display());
    }
    let csv = fs::read_to_string(folder.path().join("out/parameters-by-budget.csv")).unwrap();
    assert!(csv.contains(",3.462,,,,tuned-1_4b4k\n"), "{csv}");
    // Imported runs are not records: without being asked for they are not there.
    let line = format!("plot --mode infinite-model-scaling --store {store} --out {out}");
    let (code, errors) = failure(line.split_whitespace());
    assert!(code == 3 && errors.contains("the store has none") && errors.contains("--foreign"));
    // A mode without its runs says which ones it needs.
    let line =
        format!("plot --mode varying-hparams-experiment --foreign --store {store} --out {out}");
    let (code, errors) = failure(line.split_whitespace());
    assert!(
        code == 3 && errors.contains("members needs ensembles of a setting with K >= 3"),
        "{errors}"
    );
    // Losses on different text do not compare.
    fs::write(
        path("more.csv"),
        paper_table().replace("dclm", "books").replace("tuned-", "x-").replace("standard-", "y-"),
    )
    .unwrap();
    answer(["import", "runs", &path("more.csv"), "--store", &store]);
    let line = format!("plot --mode infinite-model-scaling --foreign --store {store} --out {out}");
    let (code, errors) = failure(line.split_whitespace());
    assert!(code == 2 && errors.contains("2 different data: books, dclm"), "{errors}");
    let line = line.replace("infinite-model-scaling", "data-scaling-laws-6-10");
    answer(format!("{line} --data dclm").split_whitespace());
}

#[test]
fn records_become_figures() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (store, out, corpus) = (path("store"), path("out"), pocket_corpus().display());
    let train = |more: &str| -> Value {
        let line = format!(
            "train --corpus {corpus} --store {store} --set model.preset=pocket-20k \
             --set data.budget_tokens=2560 --set data.sequence_tokens=128 --set optim.lr=0.01 \
             --set optim.batch_sequences=4 --json {more}"
        );
        serde_json::from_str(&answer(line.split_whitespace())).unwrap()
    };
    let mut ids = Vec::new();
    for seed in 0..4 {
        let record =
            train(&format!("--set data.epochs=2 --set seeds.init={seed} --set seeds.order={seed}"));
        ids.push(record["id"].as_str().unwrap().to_owned());
    }
    train("--set data.epochs=1");
    train("--set data.epochs=4");
    let members = ids.join(" ");
    let line = format!("eval {members} --corpus {corpus} --store {store} --split val --json");
    let evaluated: Value = serde_json::from_str(&answer(line.split_whitespace())).unwrap();
    let line = format!("plot --mode standard-epoch-overfitting --store {store} --out {out}");
    let said = answer(line.split_whitespace());
    assert!(said.contains("pocket-20k, D = 2.56k, lr 0.01: lowest "), "{said}");
    let csv = fs::read_to_string(folder.path().join("out/epochs.csv")).unwrap();
    // Four seeds are one point with all their records.
    let point = csv.lines().find(|line| line.contains(&ids[0])).unwrap();
    assert!(ids.iter().all(|id| point.contains(id.as_str())), "{point}");
    let line = format!("plot --mode varying-hparams-experiment --store {store} --out {out} --json");
    let value: Value = serde_json::from_str(&answer(line.split_whitespace())).unwrap();
    assert!(!value["findings"].as_array().unwrap().is_empty(), "{value}");
    let csv = fs::read_to_string(folder.path().join("out/members.csv")).unwrap();
    let loss = evaluated["losses"].as_array().unwrap().iter().find(|l| l["name"] == "logits-3");
    let nats = loss.unwrap()["nats"].as_f64().unwrap().to_string();
    let row = csv.lines().find(|line| line.contains(&nats)).unwrap();
    assert!(row.contains(evaluated["id"].as_str().unwrap()), "{row}");
}

#[test]
fn modes_are_listed_and_wrong_ones_suggested() {
    let list = answer(["plot", "--list"]);
    assert_eq!(list.lines().count(), 2 + 13, "{list}");
    assert_eq!(answer(["plot", "--list", "--json"]).lines().count(), 13);
    let (code, errors) = failure(["plot", "--mode", "seed-sience"]);
    assert!(code == 2 && errors.contains("did you mean `seed-science`?"), "{errors}");
    let (code, errors) = failure(["plot", "--mode", "seed-science", "--store", "nowhere"]);
    assert!(code == 2 && errors.contains("there is no store at `nowhere`"), "{errors}");
    assert_eq!(run(["plot"]).status.code(), Some(2));
}
