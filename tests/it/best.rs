//! `scarce best`: the plan, the model under its name, what a second call and bad input do.

use std::path::Path;

use serde_json::Value;

use crate::program::{answer, failure, pocket_corpus, run};
use crate::report::check_in_browser;

/// A corpus whose held-out splits are so small that reading them takes no time on any machine.
pub(crate) fn small_corpus(folder: &Path) -> String {
    const WORDS: [&str; 12] =
        ["snow", "falls", "on", "the", "quiet", "hill", "and", "a", "fox", "looks", "for", "mice"];
    let mut state = 1_u32;
    let mut word = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        WORDS[(state >> 16) as usize % WORDS.len()]
    };
    let mut text = String::new();
    for _ in 0..300 {
        let words: Vec<&str> = (0..40).map(|_| word()).collect();
        text += &format!("{{\"text\": \"{}.\"}}\n", words.join(" "));
    }
    let file = folder.join("text.jsonl");
    std::fs::write(&file, text).unwrap();
    let corpus = folder.join("corpus").display().to_string();
    let shares = ["--vocab", "280", "--val-share", "0.02", "--test-share", "0.02"];
    answer([&["prepare", file.to_str().unwrap(), "--out", &corpus][..], &shares].concat());
    corpus
}

/// A search in short windows and small batches, which makes runs short.
fn command(corpus: &str, folder: &Path, hours: &str, more: &str) -> Vec<String> {
    let folder = folder.display();
    let line = format!(
        "best {corpus} --hours {hours} --workers 2 --threads 1 --store {folder}/store \
         --out {folder}/out --set data.sequence_tokens=16 --set optim.batch_sequences=4 {more}"
    );
    line.split_whitespace().map(str::to_owned).collect()
}

fn json(command: &[String]) -> Value {
    serde_json::from_str(&answer(command)).unwrap()
}

#[test]
fn the_best_model_gets_a_name_and_a_second_call_trains_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = small_corpus(folder.path());
    // On a busy machine the shortest time is too short. The measured speed stays in the store.
    let fits =
        |hours: &&str| run(command(&corpus, folder.path(), hours, "--dry-run")).status.success();
    let hours = ["0.003", "0.006", "0.012", "0.024"].into_iter().find(fits).unwrap();
    let asked = |more: &str| json(&command(&corpus, folder.path(), hours, more));
    let plan = asked("--dry-run --json");
    assert!(plan["search_runs"].as_u64().unwrap() >= 4);
    assert!(plan["flops"].as_f64().unwrap() > 0.0);
    let start = std::time::Instant::now();
    let found = asked("--json");
    assert!(
        start.elapsed().as_secs_f64() < 4.0 * hours.parse::<f64>().unwrap() * 3600.0,
        "in time, but for a busy machine"
    );
    let members: Vec<&str> =
        found["members"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert!(!members.is_empty());
    let runs = found["runs"].as_array().unwrap();
    assert!(runs.iter().any(|run| run["run"] == members[0]));
    // All members share one setting, and the size has its reason.
    let setting = |id: &str| &runs.iter().find(|run| run["run"] == id).unwrap()["setting"];
    assert!(members.iter().all(|id| *setting(id) == found["setting"]), "{found}");
    let reason = found["size_reason"].as_str().unwrap();
    assert!(reason.contains("had the lowest loss"), "{reason}");
    assert!(reason.contains(found["size"].as_str().unwrap()), "{reason}");
    let epochs = found["setting"]["epochs"].as_f64().unwrap();
    assert_eq!(found["data_limited"], epochs >= 1.0);
    let averages = found["averages_on_val"].as_array().unwrap();
    let lowest = averages[members.len() - 1]["nats"].as_f64().unwrap();
    assert!(averages.iter().all(|loss| loss["nats"].as_f64().unwrap() >= lowest));

    let store = folder.path().join("store");
    let store = store.to_str().unwrap();
    let records = || std::fs::read_dir(folder.path().join("store/records")).unwrap().count();
    let before = records();
    let again = asked("--json");
    assert_eq!((again, records()), (found.clone(), before), "nothing is trained again");
    let listed = answer(["runs", "--store", store]);
    assert!(listed.contains(&format!("`best` is the average of {}", &members[0][..12])));
    let evaluated = answer([
        "eval", "best", "--store", store, "--corpus", &corpus, "--split", "test", "--json",
    ]);
    let evaluated: Value = serde_json::from_str(&evaluated).unwrap();
    assert_eq!(evaluated["id"], found["evaluation"], "the name stands for its members");
    let shown: Value =
        serde_json::from_str(&answer(["show", "best", "--store", store, "--json"])).unwrap();
    assert_eq!(shown["members"], found["members"]);
    let verified = answer(["verify", "best", "--store", store]);
    assert_eq!(verified.lines().count(), members.len(), "{verified}");
    let single = runs[0]["run"].as_str().unwrap();
    let compared = answer([
        "eval",
        "best",
        "--against",
        single,
        "--store",
        store,
        "--corpus",
        &corpus,
        "--json",
    ]);
    let compared: Value = serde_json::from_str(&compared).unwrap();
    let nats = |key: &str| compared[key].as_f64().unwrap();
    assert!((nats("nats") - nats("against_nats") - nats("difference_nats")).abs() < 1e-9);
    assert!((nats("nats") - lowest).abs() < 1e-9, "the loss by which it was chosen");
    check_in_browser(&folder.path().join("out/report.html"));
}

#[test]
fn what_cannot_be_searched_is_told_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &str, &str); 4] = [
        ("0", "", "--hours: 0 is no time"),
        ("1", "--name Best", "--name: `Best` is no name"),
        ("1", "--set model.preset=pocket-83k", "`best` decides this itself"),
        ("1", "--set data.epoch=8", "data.epoch"),
    ];
    let corpus = pocket_corpus().to_str().unwrap();
    for (hours, more, expected) in cases {
        let (code, message) = failure(command(corpus, folder.path(), hours, more));
        assert_eq!(code, 2, "{message}");
        assert!(message.contains(expected), "{message}");
    }
    let text = folder.path().join("text");
    std::fs::create_dir(&text).unwrap();
    let (code, message) = failure(["best", text.to_str().unwrap(), "--hours", "1"]);
    assert_eq!(code, 2);
    assert!(message.contains("not a prepared corpus") && message.contains("scarce prepare"));
    assert!(!folder.path().join("store/names").exists());
    assert_eq!(run(["best", "--hours", "1"]).status.code(), Some(2));
}
