//! A run on two corpora through the program: shares, resume, record, and what is refused (D5).

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::program::{answer, failure, pocket_corpus, start, wait_until, working_files};

/// Corpora `own` and `further` of one tokenizer, and a spec that mixes them.
struct Desk {
    folder: tempfile::TempDir,
    own: String,
    further: String,
}

fn text(topic: &str, paragraphs: u64) -> String {
    let line = |n: u64| format!("{topic} {n} of {}, and {} more.\n\n", n * n, n * 7919 % 10_007);
    (0..paragraphs).map(line).collect()
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("own.txt"), text("Paragraph", 2600)).unwrap();
        fs::write(path("further.txt"), text("Stanza", 2600)).unwrap();
        let prepare = |name: &str, more: &str| {
            let (input, out) = (path(&format!("{name}.txt")), path(name));
            let line = format!("prepare {input} --out {out} --json {more}");
            let shown: Value = serde_json::from_str(&answer(line.split_whitespace())).unwrap();
            shown["manifest"]["id"].as_str().unwrap().to_owned()
        };
        let own = prepare("own", "--vocab 300");
        let tokenizer = path("own/tokenizer.json");
        let further = prepare("further", &format!("--tokenizer {tokenizer}"));
        let spec = format!(
            "[data]\ncorpus = \"{own}\"\nbudget_tokens = 25_600\nsequence_tokens = 64\n\
             epochs = 6\n[[data.mixture]]\ncorpus = \"{further}\"\nshare = 0.25\n\
             [model]\nlayers = 1\nwidth = 32\n[optim]\nbatch_sequences = 4\n"
        );
        fs::write(path("spec.toml"), spec).unwrap();
        Self { folder, own, further }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command with `@` for the directory of the desk.
    fn words(&self, line: &str) -> Vec<String> {
        let directory = format!("{}/", self.folder.path().display());
        line.split_whitespace().map(|word| word.replace('@', &directory)).collect()
    }

    /// The corpora come in the other order: the spec says which is which.
    fn train(&self, store: &str, more: &str) -> Vec<String> {
        self.words(&format!(
            "train @spec.toml --corpus @further --corpus @own --store @{store} {more}"
        ))
    }

    fn weights(&self, store: &str, id: &str) -> Vec<u8> {
        fs::read(self.path(store).join("records").join(id).join("weights.safetensors")).unwrap()
    }
}

#[test]
fn a_mixture_is_trained_continued_and_recorded() {
    let desk = Desk::new();
    let record: Value =
        serde_json::from_str(&answer(desk.train("store", "--threads 1 --json"))).unwrap();
    let id = record["id"].as_str().unwrap();
    // 400 sequences of the budget, six times, are three quarters of the run.
    let read = record["trained_on"].as_array().unwrap();
    let names: Vec<&Value> = read.iter().map(|read| &read["corpus"]).collect();
    assert_eq!(names, [&*desk.own, &*desk.further]);
    let tokens: Vec<u64> = read.iter().map(|read| read["tokens"].as_u64().unwrap()).collect();
    assert_eq!(tokens, [6 * 25_600, 2 * 25_600]);
    assert_eq!(record["cost"]["tokens"], 8 * 25_600);
    assert_eq!(read[0]["epochs"], 6.0);
    let metrics = fs::read_to_string(desk.path("store/records").join(id).join("metrics.jsonl"));
    let last: Value = serde_json::from_str(metrics.unwrap().lines().last().unwrap()).unwrap();
    assert_eq!(last["epoch"], 6.0, "epochs count the budget only");
    let shown = answer(desk.words(&format!("show {id} --store @store")));
    for part in [
        format!("data.corpus = \"{}\"", desk.own),
        format!("data.mixture.0.corpus = \"{}\"", desk.further),
        "data.mixture.0.share = 0.25".to_owned(),
        format!("{} 153600 tokens, 6.00 epochs", &desk.own[..12]),
        format!("{} 51200 tokens, ", &desk.further[..12]),
    ] {
        assert!(shown.contains(&part), "{shown} lacks {part}");
    }

    let mut child = start(desk.train("killed", "--threads 1 --checkpoint-every 0.01"));
    wait_until("a checkpoint", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its first checkpoint");
        !working_files(&desk.path("killed"), "checkpoint").is_empty()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!desk.path("killed/records").join(id).exists(), "it was killed on its way");
    answer(desk.train("killed", "--threads 2"));
    assert_eq!(desk.weights("killed", id), desk.weights("store", id));
    let line = format!("verify {id} --store @store --replay --corpus @own --corpus @further");
    answer(desk.words(&line));
}

#[test]
fn a_dry_run_says_what_is_read_of_each_corpus() {
    let desk = Desk::new();
    let shown = answer(desk.train("store", "--dry-run"));
    let line = format!("data        {} 51200 tokens, ", &desk.further[..12]);
    assert!(shown.contains(&line), "{shown} lacks {line}");
    assert!(!desk.path("store").exists());
}

#[test]
fn mixtures_that_cannot_be_read_are_refused() {
    let desk = Desk::new();
    let check = |line: &str, parts: &[&str]| {
        let (code, errors) = failure(desk.words(line));
        for part in parts {
            assert!(errors.contains(part), "`{line}` says {errors:?}, not {part:?}");
        }
        assert_eq!(code, 2, "`{line}`: {errors}");
        assert!(!desk.path("store").exists(), "`{line}` leaves a store");
    };
    let train = "train @spec.toml --dry-run --store @store";
    let own = format!("{train} --corpus @own");
    let given = format!("hint: name its directory with --corpus (given: {})", &desk.own[..12]);
    let needed = format!("corpus {} is needed, but not given", &desk.further[..12]);
    check(&own, &[&needed, &given]);
    check(
        &format!("{train} --corpus @further"),
        &[&format!("the spec was written for corpus {}", &desk.own[..12]), "hint: "],
    );
    check(&format!("{own} --corpus @own"), &["are one corpus", "hint: both hold"]);
    for share in ["0", "-0.25", "1", "1.5"] {
        let line = format!("{own} --corpus @further --set data.mixture.0.share={share}");
        check(&line, &["each `data.mixture` share must be positive and their sum below 1"]);
    }
    for share in ["nan", "inf", "-inf"] {
        let line = format!("{own} --corpus @further --set data.mixture.0.share={share}");
        check(&line, &["is not a finite number"]);
    }
    let line = format!("{own} --corpus @further --set data.mixture.0.share=much");
    check(&line, &["`data.mixture.0.share`: a finite number was expected, not `much`"]);
    // The built-in language has other tokens.
    let pocket = pocket_corpus();
    let manifest = fs::read_to_string(pocket.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let (pocket, id) = (pocket.display(), manifest["id"].as_str().unwrap());
    let line = format!("{own} --corpus {pocket} --set data.mixture.0.corpus={id}");
    check(&line, &["vocabularies of 300 and 256 tokens", "--tokenizer OTHER/tokenizer.json"]);
    // As many tokens, but of another text.
    answer(desk.words("prepare @further.txt --out @other --vocab 300"));
    let other = scarce::data::Corpus::open(desk.path("other")).unwrap().id();
    let line = format!("{own} --corpus @other --set data.mixture.0.corpus={other}");
    check(&line, &["different tokenizers or separators", "hint: prepare one of them"]);
}
