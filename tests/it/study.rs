//! `scarce tune`, `scale` and `report`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{answer, failure, pocket_corpus, run, start, wait_until};
use crate::report::check_in_browser;

/// A study file in a folder.
fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The smallest model on a tenth of the pocket corpus: 5 steps an epoch.
const BASE: &str = "[base]\nmodel.preset = 'pocket-20k'\ndata.budget_tokens = 2560\n\
                    optim.batch_sequences = 4\nevaluation = { points = 2, sample_tokens = 1024 }\n";

fn tune_file(folder: &Path) -> PathBuf {
    let plan = "[plan]\nmode = 'regularized'\ncertificate_seeds = 2\n\
                starts = [{ epochs = 1, lr = 0.01, weight_decay = 0.1 }]\n\
                grid = { epochs = [1, 2, 4], lr = [0.01], weight_decay = [0.1, 0.4] }\n";
    write(folder, "tune.toml", &format!("study = 'tune'\n{BASE}{plan}"))
}

fn scale_file(folder: &Path) -> PathBuf {
    let plan = "[plan]\nmodels = ['pocket-20k', 'pocket-38k']\nbudgets = [1280, 2560]\n\
                members = 2\nstandard_seeds = 2\nresamples = 20\ntransfer = true\n\
                grid = { epochs = [2, 4], lr = [0.01], weight_decay = [0.1, 0.4] }\n";
    write(folder, "scale.toml", &format!("study = 'scale'\n{BASE}{plan}"))
}

/// The command line of a study.
fn command(verb: &str, file: &Path, store: &Path, more: &str) -> Vec<String> {
    let corpus = pocket_corpus().display();
    let line =
        format!("{verb} {} --corpus {corpus} --store {} {more}", file.display(), store.display());
    line.split_whitespace().map(str::to_owned).collect()
}

fn json(command: &[String]) -> Value {
    serde_json::from_str(&answer(command)).unwrap()
}

fn records(store: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(store.join("records")) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_search_proves_remembers_and_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let file = tune_file(folder.path());
    let whole = folder.path().join("whole");
    let plan = json(&command("tune", &file, &whole, "--dry-run --json"));
    assert_eq!((&plan["known"], &plan["needed"]), (&Value::from(0), &Value::from(3)));
    let first = json(&command("tune", &file, &whole, "--json"));
    assert_eq!(first["best"]["setting"]["epochs"], 4.0, "more steps are better here");
    assert_eq!(first["best"]["records"].as_array().unwrap().len(), 2);
    assert_eq!(first["grid_points"], 6);
    assert_eq!(first["edges"][0][0], "epochs");
    for neighbor in first["neighbors"].as_array().unwrap() {
        assert!(neighbor["difference"]["interval_nats"].is_array(), "{neighbor}");
    }
    let before = records(&whole);
    let again = json(&command("tune", &file, &whole, "--json"));
    assert_eq!((again, records(&whole)), (first.clone(), before), "nothing is trained again");
    let plan = answer(command("tune", &file, &whole, "--dry-run"));
    assert!(plan.contains("the study is complete"), "{plan}");

    // Another store: killed as soon as it has a record, then continued.
    let killed = folder.path().join("killed");
    let mut child = start(command("tune", &file, &killed, "--json"));
    wait_until("a record", || !records(&killed).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(records(&killed).len() < records(&whole).len(), "it was killed in the middle");
    let continued = json(&command("tune", &file, &killed, "--json"));
    assert_eq!((continued, records(&killed)), (first, records(&whole)), "the same bits");

    let out = folder.path().join("report");
    let more = format!("--out {}", out.display());
    answer(command("report", &file, &whole, &more));
    check_in_browser(&out.join("report.html"));

    // A line that a full disk has torn is said, and stops no report.
    std::fs::write(whole.join("test-reads.jsonl"), "{\"corpus\": \"").unwrap();
    let output = run(command("report", &file, &whole, &more));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("1 line is torn"), "{errors}");
}

#[test]
fn a_scaling_study_is_run_reported_and_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (scale_file(folder.path()), folder.path().join("store"));
    let outcome = json(&command("scale", &file, &store, "--json"));
    let cells = outcome["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 4);
    for cell in cells {
        for recipe in ["standard", "regularized"] {
            let loss = &cell[recipe]["loss"];
            assert!(loss["above_floor_nats"].as_f64().unwrap() > 0.0, "{loss}");
            assert_eq!(cell[recipe]["of_seeds_nats"].as_array().unwrap().len(), 2);
        }
        assert_eq!(cell["ensembles"][0]["losses"].as_array().unwrap().len(), 2);
    }
    // Two sizes are no law, and are said to be none.
    let laws = outcome["laws"].as_array().unwrap();
    assert!(laws.iter().all(|law| law["fit"].is_null()), "{laws:?}");
    assert!(laws.iter().all(|law| law["refused"].as_str().unwrap().contains("no law")));
    let before = records(&store);
    let text = answer(command("scale", &file, &store, ""));
    assert!(text.contains("Does the standard recipe get worse with size?"), "{text}");
    assert_eq!(records(&store), before);
    let reads = std::fs::read_to_string(store.join("test-reads.jsonl")).unwrap();
    assert!(reads.lines().count() >= 4, "every read of `test` is logged: {reads}");

    let out = folder.path().join("report");
    answer(command("report", &file, &store, &format!("--out {}", out.display())));
    check_in_browser(&out.join("report.html"));
    assert!(out.join("figures").read_dir().unwrap().count() > 0);

    // Half of the members are gone: the report names what it lacks.
    let ensemble = outcome["cells"][0]["ensembles"][0]["evaluation"].as_str().unwrap();
    std::fs::remove_dir_all(store.join("records").join(ensemble)).unwrap();
    let (code, message) = failure(command("report", &file, &store, ""));
    assert_eq!(code, 3, "{message}");
    assert!(
        message.contains("missing: ensemble ") && message.contains(&ensemble[..12]),
        "{message}"
    );
}

#[test]
fn studies_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let check = |verb: &str, text: &str, expected: &str| {
        let file = write(folder.path(), "bad.toml", text);
        let (code, message) = failure(command(verb, &file, &store, ""));
        assert_eq!(code, 2, "{message}");
        assert!(message.contains(expected), "{message}");
    };
    let tune = |plan: &str| format!("study = 'tune'\n{BASE}[plan]\nmode = 'regularized'\n{plan}");
    check("tune", "study = 'tuning'", "did you mean `tune`?");
    check("tune", &tune("grid = { epochs = [], lr = [0.1], weight_decay = [0] }"), "no value for");
    check("tune", &tune("prune = true"), "[F5]");
    check("tune", &tune("[plan.gird]\nepochs = [1]"), "unknown field `gird`");
    check("scale", &tune(""), "is a study of kind `tune`, not `scale`");
    check("tune", &tune("").replace("2560", "25600000"), "is larger than the corpus");
    check("tune", &tune("").replace("pocket-20k", "pocket-2k"), "no model preset `pocket-2k`");
    check("tune", &tune("").replace("model.preset", "model.presets"), "unknown key");
    let absent = folder.path().join("absent.toml");
    let (code, message) = failure(command("tune", &absent, &store, ""));
    assert_eq!((code, message.contains("absent.toml")), (2, true), "{message}");
    let good = tune_file(folder.path());
    let nowhere = folder.path().join("nowhere");
    let (code, message) = failure(command("report", &good, &nowhere, ""));
    assert_eq!((code, message.contains("there is no store")), (2, true), "{message}");
    assert!(!nowhere.exists(), "a report makes no store");
    let output = run(command("scale", &scale_file(folder.path()), &store, "--set data.epochs=-1"));
    assert_eq!(output.status.code(), Some(2));
}
