//! Mistakes that people make in their first hour, and what they are told: the exit code, what is
//! wrong, and what to do next.

use std::path::Path;

use crate::program::{pocket_corpus, run};

/// What is typed, with the exit code and words that must be in the answer. `CORPUS` is a prepared
/// corpus, `HERE` a folder with a book, a study, a spec and a store without records.
const MISTAKES: [(&str, i32, &[&str]); 24] = [
    (
        "train HERE/tune.toml",
        2,
        &["is a study, not the spec of one run", "run it by `scarce tune "],
    ),
    ("tune HERE/run.toml", 2, &["is the spec of one run, not a study", "scarce train "]),
    ("scale HERE/tune.toml --corpus CORPUS --store HERE/new", 2, &["tune"]),
    ("train --corpus CORPUS --dry-run --set lr=0.01", 2, &["did you mean `optim.lr`?"]),
    ("train --corpus CORPUS --dry-run --set wd=1", 2, &["did you mean `optim.weight_decay`?"]),
    ("train --epochs 8", 2, &["'--epochs'", "--set data.epochs=VALUE"]),
    ("train --lr 0.01", 2, &["--set optim.lr=VALUE"]),
    ("train --batch-size 8", 2, &["--set optim.batch_sequences=VALUE"]),
    ("train --device cuda", 2, &["trains on CPUs"]),
    (
        "train --corpus HERE/book.txt",
        2,
        &["is a file, not a prepared", "scarce prepare HERE/book.txt"],
    ),
    ("train --corpus HERE", 3, &["is not a corpus", "scarce prepare"]),
    ("train", 2, &["a corpus is needed", "scarce prepare"]),
    ("train --corpus CORPUS --dry-run --set data.epochs=\"8\"", 2, &["in quotes"]),
    ("train --corpus CORPUS --dry-run --set data.budget_tokens=many", 2, &["a whole number"]),
    ("best HERE/book.txt --hours 1", 2, &["prepare"]),
    ("best CORPUS --hours soon", 2, &["hours were expected: 0.5, 2h or 30m"]),
    ("quickstart --budget lots", 2, &["a whole number was expected: 25600, 25.6k or 1e6"]),
    ("fit HERE/none.csv --x a --y b", 3, &["failed to read", "comma-separated"]),
    ("show", 2, &["what is to be shown?", "scarce runs"]),
    ("show zzz --store HERE/store", 2, &["there is no store", "scarce train"]),
    ("eval aa,bb --corpus CORPUS --store HERE/new", 2, &["separated by blanks: aa bb"]),
    ("plot", 2, &["what is to be plotted?", "infinite-model-scaling"]),
    ("import runs.csv", 2, &["scarce import runs runs.csv"]),
    ("trian", 2, &["train"]),
];

#[test]
fn mistakes_are_answered_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(here.join("book.txt"), "Call me Ishmael.\n".repeat(50)).unwrap();
    std::fs::write(here.join("run.toml"), "[data]\nepochs = 2\n").unwrap();
    std::fs::write(here.join("tune.toml"), "study = \"tune\"\n[plan]\nmode = \"regularized\"\n")
        .unwrap();
    let corpus = pocket_corpus();
    let place = |text: &str| {
        let text = text.replace("HERE", &here.display().to_string());
        text.replace("CORPUS", &Path::new(&corpus).display().to_string())
    };
    for (line, code, parts) in MISTAKES {
        let words: Vec<String> = line.split(' ').map(place).collect();
        let output = run(words);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "`{line}`: {errors}");
        for part in parts {
            assert!(errors.contains(&place(part)), "`{line}` says {errors:?}, not {part:?}");
        }
        assert!(errors.starts_with("error: ") && errors.contains("\nhint: "), "{line}: {errors}");
    }
}

#[test]
fn numbers_are_read_as_people_write_them() {
    let corpus = pocket_corpus();
    let corpus = Path::new(&corpus).display().to_string();
    let line =
        "train --dry-run --json --set data.budget_tokens=12.8k --set data.epochs=2e0 --corpus";
    let words: Vec<String> = line.split(' ').map(str::to_owned).chain([corpus]).collect();
    let output = run(words);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["spec"]["data"]["budget_tokens"], 12_800);
}
