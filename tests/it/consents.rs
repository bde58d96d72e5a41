//! Results that differ from what was asked for need consent, and say so: rounding, vocabularies and
//! tokenizers that do not fit.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use crate::program::{answer, pocket_corpus, run};

/// Three small corpora: two languages with a tokenizer of their own each, of one size, and the
/// second language with the tokenizer of the first. Held-out text is short, so that runs are, too.
fn corpora() -> &'static Path {
    const SNOW: &str = "snow falls on the quiet hill and a fox looks for mice";
    const MAUS: &str = "vom stillen Berg schaut ein Fuchs zur Maus herab wenn Schnee liegt";
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name).display().to_string();
            let prepare = |text: &str, out: &str, more: &str| {
                let line = format!(
                    "prepare {} --out {} --val-share 0.02 --test-share 0.02 {more}",
                    path(text),
                    path(out)
                );
                answer(line.split_whitespace());
            };
            fs::write(folder.path().join("snow.jsonl"), text(SNOW)).unwrap();
            fs::write(folder.path().join("maus.jsonl"), text(MAUS)).unwrap();
            prepare("snow.jsonl", "own", "--vocab 280");
            prepare("maus.jsonl", "other", "--vocab 280");
            prepare("maus.jsonl", "same", &format!("--tokenizer {}/tokenizer.json", path("own")));
            folder
        })
        .path()
}

/// Documents of words in disorder.
fn text(words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    let mut state = 1_u32;
    let mut word = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        words[(state >> 16) as usize % words.len()]
    };
    let mut document = |_| {
        let words: Vec<&str> = (0..40).map(|_| word()).collect();
        format!("{{\"text\": \"{}.\"}}\n", words.join(" "))
    };
    (0..300).map(&mut document).collect()
}

/// A desk with a store. In a command `@` stands for its folder, `POCKET` for the built-in corpus,
/// and `OWN`, `OTHER` and `SAME` for the small ones.
struct Desk(tempfile::TempDir);

/// What a command gave: exit code, standard output, standard error.
type Gave = (i32, String, String);

/// A run of a second.
const SMALL: &str = "--set model.preset=pocket-20k --set data.budget_tokens=2560 \
                     --set evaluation.points=1 --set evaluation.sample_tokens=512";

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn words(&self, line: &str) -> Vec<String> {
        let (folder, pocket) =
            (format!("{}/", self.0.path().display()), pocket_corpus().display().to_string());
        let small = |name: &str| corpora().join(name).display().to_string();
        let word = |word: &str| match word {
            "POCKET" => pocket.clone(),
            "OWN" | "OTHER" | "SAME" => small(&word.to_lowercase()),
            word => word.replace('@', &folder),
        };
        line.split_whitespace().map(word).collect()
    }

    fn gives(&self, line: &str) -> Gave {
        let output = run(self.words(line));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// A command that must end with this code and say all of these on standard error.
    fn says(&self, line: &str, code: i32, parts: &[&str]) -> String {
        let (found, out, errors) = self.gives(line);
        assert_eq!(found, code, "`{line}`: {errors}");
        for part in parts {
            assert!(errors.contains(part), "`{line}` says {errors:?}, not {part:?}");
        }
        assert!(errors.len() < 500, "`{line}`: {errors}");
        out
    }

    /// The JSON that a command prints; it must succeed.
    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&answer(self.words(line))).unwrap()
    }

    /// Trains a run and returns its record.
    fn train(&self, more: &str) -> Value {
        self.json(&format!("train --corpus OWN --store @store --threads 1 --json {more}"))
    }

    fn record_file(&self, id: &str) -> PathBuf {
        self.path("store/records").join(id).join("record.json")
    }

    /// Changes a record and its hash, as if another version had written it.
    fn rewrite(&self, id: &str, change: impl FnOnce(String) -> String) {
        let path = self.record_file(id);
        let text = change(fs::read_to_string(&path).unwrap());
        let manifest = path.with_file_name("manifest.json");
        let mut facts: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
        facts["record.json"]["bytes"] = Value::from(text.len());
        facts["record.json"]["blake3"] = Value::from(blake3::hash(text.as_bytes()).to_string());
        fs::write(&path, text).unwrap();
        fs::write(&manifest, facts.to_string()).unwrap();
    }
}

fn id(record: &Value) -> &str {
    record["id"].as_str().unwrap()
}

fn allowed(record: &Value) -> Vec<&str> {
    let words = record["allowed"].as_array().map(Vec::as_slice).unwrap_or_default();
    words.iter().map(|word| word.as_str().unwrap()).collect()
}

#[test]
fn rounding_above_a_twentieth_needs_consent_and_any_other_is_told() {
    let desk = Desk::new();
    let train = "train --corpus POCKET --store @store --threads 1";
    // The request, what becomes of it, and what fits.
    let cases = [
        ("optim.batch_sequences=300 --set data.epochs=4", "4 epochs 3 (-25 %)", "sequences=200"),
        ("optim.batch_sequences=100000 --set data.epochs=1", "1 epochs 500", "sequences=200"),
        ("optim.batch_sequences=16777216 --set data.epochs=1", "1 epochs 8", "sequences=200"),
        ("data.epochs=0.01", "0.01 epochs 0.08 (+700 %)", "data.epochs=0.08 fits"),
        ("data.budget_tokens=128 --set data.epochs=1", "1 epochs 16", "batch_sequences=1 or"),
        ("data.epochs=0.35 --set optim.batch_sequences=64", "0.35 epochs 0.32", "sequences=35"),
    ];
    for (set, becomes, fits) in cases {
        for more in ["", "--dry-run"] {
            let parts = [becomes, fits, "hint: ", "--allow rounding"];
            desk.says(&format!("{train} --set {set} {more}"), 2, &parts);
        }
    }
    assert!(!desk.path("store").exists(), "what is refused leaves nothing");
    // Another word, or the word without a need, changes nothing.
    desk.says(&format!("{train} --set data.epochs=0.01 --allow tokenizer"), 2, &["rounding"]);
    let even = desk.train(&format!("{SMALL} --set data.epochs=4 --allow rounding"));
    assert!(even.get("allowed").is_none(), "{even}");
    // 82 of 80 sequences would be: told, and no more than that.
    let train = "train --corpus OWN --store @store --threads 1";
    let told = format!("{train} {SMALL} --set data.epochs=4.1");
    let out = desk.says(&told, 0, &["note: whole steps make 4.1 epochs 4 (-2.44 %)"]);
    assert!(!out.contains("note"), "{out}");

    let batch = format!("{SMALL} --set optim.batch_sequences=16 --set data.epochs=1");
    desk.says(&format!("{train} {batch}"), 2, &["1 epochs 0.8 (-20 %)"]);
    let record = desk.train(&format!("{batch} --allow rounding"));
    assert_eq!(allowed(&record), ["rounding"]);
    let shown = answer(desk.words(&format!("show {} --store @store", id(&record))));
    assert!(shown.contains("allowed     rounding\n"), "{shown}");
    // The record has it: nobody needs to say it again.
    desk.says(&format!("verify {} --store @store --replay --corpus OWN", id(&record)), 0, &[]);
}

/// The file of the issue: it is refused at once, and says what it would have been.
#[test]
fn a_batch_larger_than_the_corpus_is_refused() {
    let desk = Desk::new();
    let spec = "[model]\npreset = \"pocket-20k\"\n[data]\nbudget_tokens = 12_800\n\
                sequence_tokens = 128\nepochs = 1\n[optim]\nbatch_sequences = 100000\n";
    fs::write(desk.path("batch.toml"), spec).unwrap();
    desk.says(
        "train @batch.toml --corpus POCKET --store @store",
        2,
        &["1 epochs 1000", "hint: optim.batch_sequences=100 or data.epochs=1000 fits"],
    );
}

#[test]
fn a_share_of_a_mixture_that_whole_sequences_change_needs_consent() {
    let desk = Desk::new();
    let manifest: Value =
        serde_json::from_slice(&fs::read(corpora().join("same/manifest.json")).unwrap()).unwrap();
    let further = manifest["id"].as_str().unwrap();
    let spec = |share: f64| {
        let text = format!(
            "[model]\npreset = \"pocket-20k\"\n[data]\nbudget_tokens = 2560\nepochs = 1\n\
             [[data.mixture]]\ncorpus = \"{further}\"\nshare = {share}\n\
             [optim]\nbatch_sequences = 4\n"
        );
        fs::write(desk.path("mixture.toml"), text).unwrap();
    };
    let line = "train @mixture.toml --corpus OWN --corpus SAME --store @store --dry-run";
    spec(0.5);
    desk.says(line, 0, &[]);
    // A hundredth of twenty sequences is none.
    spec(0.01);
    desk.says(line, 2, &["`data.mixture.0.share` = 0.01 becomes 0 (-100 %)", "--allow rounding"]);
    desk.says(&format!("{line} --allow rounding"), 0, &[]);
}

#[test]
fn studies_ask_before_anything_is_trained_and_tell_once() {
    let desk = Desk::new();
    let study = |epochs: &str| {
        let text = format!(
            "study = 'tune'\n[base]\nmodel.preset = 'pocket-20k'\ndata.budget_tokens = 2560\n\
             optim.batch_sequences = 4\nevaluation = {{ points = 1, sample_tokens = 512 }}\n\
             [plan]\nmode = 'regularized'\n\
             grid = {{ epochs = {epochs}, lr = [0.01], weight_decay = [0.1] }}\n"
        );
        fs::write(desk.path("tune.toml"), text).unwrap();
    };
    let line = "tune @tune.toml --corpus OWN --store @store --workers 1 --json";
    // The last point would come late in the search; it is refused at the beginning.
    study("[1, 2, 2.5]");
    desk.says(line, 0, &[]);
    study("[1, 2, 2.1]");
    desk.says(line, 0, &["note: whole steps make 2.1 epochs 2 (-4.76 %)", "; no run more\n"]);
    study("[0.3, 1]");
    let needs = ["whole steps make 0.3 epochs 0.2 (-33 %)", "--allow rounding"];
    let records = || fs::read_dir(desk.path("store/records")).unwrap().count();
    let before = records();
    desk.says(line, 2, &needs);
    desk.says(&format!("{line} --dry-run"), 2, &needs);
    assert_eq!(records(), before);
    // Workers get the consent, and their records have it.
    let found = desk.json(&format!("{line} --allow rounding"));
    let points = found["points"].as_array().unwrap();
    let run = points.iter().find(|point| point["setting"]["epochs"] == 0.3).unwrap();
    let run = run["records"][0].as_str().unwrap();
    let record: Value = serde_json::from_slice(&fs::read(desk.record_file(run)).unwrap()).unwrap();
    assert_eq!(allowed(&record), ["rounding"]);
    answer(desk.words("report @tune.toml --corpus OWN --store @store --out @page"));
    let page = fs::read_to_string(desk.path("page/report.html")).unwrap();
    assert!(page.contains("1 of the 2 records below rest on consent"), "the head says it");
    assert!(page.contains("<dt>allowed</dt><dd>rounding</dd>"), "so does the record's block");
    // An ensemble's members all have the base's epochs.
    let line = format!("ensemble --corpus OWN --store @store {SMALL} --members 2");
    desk.says(&format!("{line} --set data.epochs=0.5"), 2, &["0.5 epochs 0.8"]);
}

#[test]
fn the_shipped_specs_need_no_consent() {
    let desk = Desk::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/pocket");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| !file.ends_with("paper.toml")) {
        let text = fs::read_to_string(file).unwrap();
        let verb = ["tune", "ensemble"].iter().find(|v| text.contains(&format!("study = \"{v}\"")));
        let (verb, file) = (verb.unwrap_or(&"train"), file.display());
        let line = format!("{verb} {file} --corpus POCKET --store @store --dry-run");
        let (code, _, errors) = desk.gives(&line);
        assert_eq!((code, &*errors), (0, ""), "{line}");
    }
    let (code, _, errors) = desk.gives("quickstart --corpus POCKET --out @quick --dry-run");
    assert_eq!((code, &*errors), (0, ""));
}

#[test]
fn a_vocabulary_larger_than_the_corpus_needs_consent_unless_something_fixes_it() {
    let desk = Desk::new();
    let train = format!("train --corpus POCKET --store @store --threads 1 {SMALL}");
    let larger = format!("{train} --set data.epochs=4 --set model.vocabulary=300");
    let parts = ["`model.vocabulary` = 300", "vocabulary of 256: 44 rows", "--allow vocabulary"];
    desk.says(&larger, 2, &parts);
    desk.says(&format!("{larger} --dry-run"), 2, &parts);
    assert!(!desk.path("store").exists());
    for most in ["257", "128256"] {
        let line = format!("{train} --dry-run --set model.vocabulary={most}");
        desk.says(&line, 2, &["--allow vocabulary"]);
    }
    let record = desk.train(&format!(
        "{SMALL} --set data.epochs=4 --set model.vocabulary=300 --allow vocabulary"
    ));
    assert_eq!(allowed(&record), ["vocabulary"]);
    // Weights from elsewhere have the vocabulary that they have.
    let from = format!(
        "{SMALL} --set data.epochs=4 --set model.vocabulary=300 --set start.kind=from \
         --set start.record={}",
        id(&record)
    );
    assert!(allowed(&desk.train(&from)).is_empty());
    // So has a preset of the paper: a note says what that costs.
    let paper = "train --corpus POCKET --store @store --dry-run --set model.preset=150m4k";
    desk.says(paper, 0, &["128000 rows of the model stand for no token"]);
    desk.says(&format!("{paper} --set model.layers=1"), 0, &["note: the preset has 128256"]);
    desk.says(&format!("{paper} --set model.vocabulary=130000"), 2, &["--allow vocabulary"]);
}

#[test]
fn another_tokenizer_of_the_same_size_needs_consent() {
    let desk = Desk::new();
    let small = "--set model.preset=pocket-20k --set data.sequence_tokens=32 \
                 --set data.budget_tokens=1024 --set optim.batch_sequences=4 --set data.epochs=2";
    let train = format!("train --store @store --threads 1 {small}");
    let record = desk.json(&format!("{train} --corpus OWN --json"));
    let hash = blake3::hash(&fs::read(corpora().join("own/tokenizer.json")).unwrap()).to_string();
    assert_eq!(record["tokenizer"].as_str(), Some(&*hash));
    let first = id(&record);
    let second = desk.json(&format!("{train} --corpus OWN --set seeds.init=9 --json"));

    let parts = [&format!("tokenizer {}", &hash[..12]), "other text", "--allow tokenizer"];
    let parts: Vec<&str> = parts.iter().map(|part| part as &str).collect();
    let eval = format!("eval {first} --store @store --threads 1");
    desk.says(&format!("{eval} --corpus OTHER"), 2, &parts);
    desk.says(&format!("{eval} {} --corpus OTHER", id(&second)), 2, &parts);
    desk.says(&format!("{eval} --against {} --corpus OTHER", id(&second)), 2, &parts);
    desk.says(&format!("{eval} --corpus OWN"), 0, &[]);
    let (code, _, errors) = desk.gives(&format!("{eval} --corpus SAME"));
    assert!(code == 0 && !errors.contains("note"), "one tokenizer, two texts: {errors}");
    let evaluated = desk.json(&format!("{eval} --corpus OTHER --allow tokenizer --json"));
    assert_eq!(allowed(&evaluated), ["tokenizer"]);
    desk.says(&format!("{eval} --corpus OTHER"), 2, &parts);

    let from = format!("{train} --set start.kind=from --set start.record={first}");
    desk.says(&format!("{from} --corpus OTHER"), 2, &parts);
    desk.says(&format!("{from} --corpus SAME"), 0, &[]);
    let line = format!(
        "ensemble --store @store --members 2 --workers 1 {}",
        &from[from.find("--set").unwrap()..]
    );
    desk.says(&format!("{line} --corpus OTHER"), 2, &parts);
    let tuned = desk.json(&format!("{from} --corpus OTHER --allow tokenizer --json"));
    assert_eq!(allowed(&tuned), ["tokenizer"]);

    // A record of an older version: its own corpus tells, and without it nobody does.
    desk.rewrite(first, |text| text.replace(&format!("\"tokenizer\": \"{hash}\","), ""));
    desk.rewrite(first, |text| text.replace(&format!("\"tokenizer\":\"{hash}\","), ""));
    assert!(!fs::read_to_string(desk.record_file(first)).unwrap().contains("tokenizer"));
    desk.says(&format!("{eval} --split test --corpus OTHER --corpus OWN"), 2, &parts);
    desk.says(
        &format!("{eval} --split test --corpus OTHER"),
        0,
        &["note: nothing tells whether", "as a further --corpus"],
    );
}

#[test]
fn one_loss_stands_for_a_record_wherever_one_is_shown() {
    let desk = Desk::new();
    let member = |seed: u32| desk.train(&format!("{SMALL} --set seeds.init={seed}"));
    let (a, b) = (member(1), member(2));
    let line = format!("eval {} {} --corpus OWN --store @store --json", id(&a), id(&b));
    let record = desk.json(&line);
    let nats = |name: &str| {
        let losses = record["losses"].as_array().unwrap();
        let loss = losses.iter().find(|loss| loss["name"] == name).unwrap();
        format!("val {:.4} ± {:.4}", loss["nats"].as_f64().unwrap(), {
            loss["standard_error_nats"].as_f64().unwrap()
        })
    };
    let (logits, probabilities) = (nats("logits-2"), nats("probabilities-2"));
    assert_ne!(logits, probabilities, "they can be told apart");
    let listed = answer(desk.words("runs --store @store"));
    let row = listed.lines().find(|line| line.starts_with(&id(&record)[..12])).unwrap();
    assert!(row.contains(&logits), "{row} lacks {logits}");
    let shown = answer(desk.words(&format!("show {} --store @store", id(&record))));
    let value = logits.strip_prefix("val ").unwrap();
    assert!(shown.contains(&format!("\nloss        val logits-2 {value}")), "{shown}");
}

#[test]
fn floats_survive_being_read_back() {
    let desk = Desk::new();
    let record = desk.train(SMALL);
    // Numbers whose last digit a quick reader gets wrong.
    for number in ["31.245270191439438", "121.48791951161945", "0.30000000000000004"] {
        let text = fs::read_to_string(desk.record_file(id(&record))).unwrap();
        let start = text.find("\"nats\":").unwrap() + "\"nats\":".len();
        let end = start + text[start..].find(',').unwrap();
        desk.rewrite(id(&record), |text| format!("{}{number}{}", &text[..start], &text[end..]));
        let shown = answer(desk.words(&format!("show {} --store @store --json", id(&record))));
        assert!(shown.contains(&format!("\"nats\":{number},")), "{shown} lacks {number}");
    }
}
