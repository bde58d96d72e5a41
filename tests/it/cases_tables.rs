//! Tables of runs that were once read wrongly without a word: each kind with its right values.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::program::{self, answer, run};

/// A file of `tests/cases`.
fn case(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    folder.join(name).display().to_string()
}

/// A folder with a store that an import makes.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    fn store(&self) -> String {
        self.0.path().join("store").display().to_string()
    }

    /// Imports files, which may fail.
    fn try_import(&self, files: &[&str], more: &str) -> Output {
        let store = self.store();
        let words = ["import", "runs"].into_iter().chain(files.iter().copied());
        run(words.chain(["--store", &store]).chain(more.split_whitespace()))
    }

    /// Imports a file and returns what was said about it.
    fn import(&self, file: &str, more: &str) -> String {
        let output = self.try_import(&[file], more);
        let talk = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{talk}");
        String::from_utf8(output.stdout).unwrap() + &talk
    }

    /// The complaint about files.
    fn refuse(&self, files: &[&str], more: &str) -> String {
        let output = self.try_import(files, more);
        let talk = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(2 | 3)), "{talk}");
        assert!(talk.len() < 500 && talk.matches('\n').count() <= 2, "{talk}");
        assert!(!talk.trim_end().replace('\n', "").contains(char::is_control), "{talk:?}");
        talk
    }

    fn runs(&self) -> Vec<Value> {
        let text = answer(["runs", "--foreign", "--json", "--store", &self.store()]);
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["run"].take())
            .collect()
    }

    /// The only run.
    fn only(&self) -> Value {
        let mut runs = self.runs();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }
}

/// What one import of this file gives: the only run, and what was said.
fn read(name: &str, content: impl AsRef<[u8]>, more: &str) -> (Value, String) {
    let place = Place::new();
    let said = place.import(&place.file(name, content), more);
    (place.only(), said)
}

/// The final loss of the only run.
fn loss(run: &Value) -> Option<f64> {
    run["losses"][run["headline"].as_str()?].as_f64()
}

#[test]
fn a_run_that_ends_in_nan_has_no_final_loss() {
    let place = Place::new();
    assert!(place.import(&case("nanend.jsonl"), "").contains("1 without a final loss"));
    assert_eq!((loss(&place.only()), &place.only()["headline"]), (None, &json!("eval")));
    let ends = |name: &str, content: &str, expected: Option<f64>| {
        assert_eq!(loss(&read(name, content, "").0), expected, "{content}");
    };
    ends("a.jsonl", "{\"_step\":0,\"loss\":4}\n{\"_step\":1,\"loss\":-Infinity}\n", None);
    ends("a.jsonl", "{\"id\":\"a\",\"summary\":{\"eval/loss\":NaN,\"_step\":9}}\n", None);
    ends("a.json", "[{\"id\":\"a\",\"history\":{\"_step\":[0,1],\"loss\":[4,NaN]}}]", None);
    ends("a.csv", "step,loss,train_loss\n0,4,5\n1,NaN,4\n", None);
    // NaN between losses is how pandas writes "not measured", and no end.
    let gaps = "{\"_step\":[0,1,2,3],\"loss\":[NaN,4,NaN,3.5],\"train_loss\":[6,5,4,3]}";
    ends("a.json", &format!("[{{\"id\":\"a\",\"history\":{gaps}}}]"), Some(3.5));
    let gaps = "{\"_step\":[0,1,2,3],\"loss\":[NaN,4,NaN,NaN],\"train_loss\":[6,5,4,3]}";
    ends("a.json", &format!("[{{\"id\":\"a\",\"history\":{gaps}}}]"), Some(4.0));
    // NaN for a missing setting is none.
    let (run, _) = read("a.json", "[{\"id\": \"a\", \"lr\": NaN, \"wd\": 0.1, \"loss\": 3}]", "");
    assert_eq!(run["settings"], json!({"weight_decay": 0.1}));
}

#[test]
fn the_configuration_goes_before_what_was_logged() {
    let place = Place::new();
    place.import(&case("nanogpt_decay.wandb"), "");
    assert_eq!(place.only()["settings"]["lr"], 6e-4);
    // The same as JSON lines; and a name that stands in both.
    let run = r#"{"id": "a", "config": {"learning_rate": 6e-4, "tokens": 100},
        "summary": {"lr": 6e-5, "tokens": 7, "loss": 3}}"#;
    let (run, _) = read("a.jsonl", run.replace('\n', ""), "");
    assert_eq!(run["settings"], json!({"lr": 6e-4, "budget_tokens": 100.0}));
    // Without a configuration the last learning rate is nobody's setting; a count is the run's.
    let logged = "{\"id\": \"a\", \"summary\": {\"lr\": 6e-5, \"tokens\": 7, \"loss\": 3}}";
    let (run, said) = read("a.jsonl", logged, "");
    assert_eq!(run["settings"], json!({"budget_tokens": 7.0}));
    assert!(said.contains("`lr` was logged and not set") && said.contains("--map lr=lr"), "{said}");
    assert_eq!(read("a.jsonl", logged, "--map lr=lr").0["settings"]["lr"], 6e-5);
    // In a table of steps, what changes was logged: also where the rows are not in order.
    let steps = "step,lr,tokens,wd,loss\n0,1e-3,0,0.1,5\n20,1e-5,200,0.1,3\n10,5e-4,100,0.1,4\n";
    let (run, said) = read("a.csv", steps, "");
    assert_eq!(run["settings"], json!({"budget_tokens": 200.0, "weight_decay": 0.1}));
    assert!(said.contains("`lr` changes from step to step"), "{said}");
    assert!(said.contains("`tokens` grows from step to step"), "{said}");
    // Two columns that say different things are told.
    let (run, said) = read("a.csv", "lr,learning_rate,loss\n1e-3,2e-3,3\n", "");
    assert_eq!(run["settings"]["lr"], 1e-3);
    assert!(said.contains("not `learning_rate`, which differs"), "{said}");
}

#[test]
fn usual_names_have_prefixes() {
    let place = Place::new();
    place.import(&case("wandb_no_state.csv"), "");
    let runs = place.runs();
    assert_eq!(runs.len(), 5);
    let settings = json!({
        "batch": 32.0, "budget_tokens": 4_064_673_792.0, "lr": 0.0015, "parameters": 409_993_216.0
    });
    assert_eq!((&runs[0]["settings"], loss(&runs[0])), (&settings, Some(3.7012)));
    let text = "config.optim.lr,model/n_params,data.tokens,optim/learning_rate,val/c4/loss\n\
                1e-3,100,2000,1e-9,3.5\n";
    let (run, _) = read("a.csv", text, "");
    let settings = json!({"lr": 1e-3, "budget_tokens": 2000.0});
    assert_eq!((&run["settings"], loss(&run)), (&settings, Some(3.5)), "metrics are no settings");
    // A bare loss beside a held-out one is the training loss, as Hugging Face's trainer logs it.
    let log = "{\"step\":1,\"loss\":5}\n{\"step\":2,\"eval_loss\":4}\n{\"step\":3,\"loss\":3}\n";
    let (run, said) = read("a.jsonl", log, "");
    assert_eq!(run["losses"], json!({"eval": 4.0, "train": 3.0}));
    assert!(said.contains("`loss` stands beside a held-out loss"), "{said}");
    // What is not known is a mapping away.
    let said = place.refuse(&[&place.file("a.csv", "id,final nll,n\na,3.5,1\n")], "");
    assert!(said.contains("hint: say which one it is with `--map loss=final nll`"), "{said}");
    let (_, said) = read("a.csv", "id,eval/a/loss,eval/b/loss\nx,3,4\n", "");
    assert!(said.contains("losses of several sets (`a`, `b`)"), "{said}");
    assert!(said.contains("--map loss=COLUMN"), "{said}");
}

#[test]
fn one_member_is_a_single_model() {
    let place = Place::new();
    place.import(&case("members_one.csv"), "");
    let out = place.0.path().join("plots").display().to_string();
    let plot = |mode: &str| {
        let line = format!("plot --foreign --json --store {} --out {out} --mode", place.store());
        run(line.split_whitespace().chain([mode]))
    };
    let drawn = plot("infinite-model-scaling");
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    let drawn: Value = serde_json::from_slice(&drawn.stdout).unwrap();
    let found = |what: &str| {
        let mut findings = drawn["findings"].as_array().unwrap().iter();
        findings.any(|finding| finding["what"] == what)
    };
    assert!(found("best 150M at D = 200M") && found("best 300M at D = 200M"), "{drawn:#}");
    // A refusal says what the runs are and lack, in a line.
    let refused = String::from_utf8(plot("varying-hparams-experiment").stderr).unwrap();
    assert!(refused.contains("among 7 (ensembles 1): members needs"), "{refused}");
    let place = Place::new();
    place.import(&place.file("a.csv", "id,parameters,loss\na,1e8,3\nb,2e8,2.9\n"), "");
    let line = format!("plot --foreign --store {} --out {out} --mode", place.store());
    let refused = run(line.split_whitespace().chain(["infinite-model-scaling"]));
    let refused = String::from_utf8(refused.stderr).unwrap();
    let counts =
        "among 2 (without tokens 2, without epochs 2, without lr 2, without weight_decay 2)";
    assert!(refused.contains(counts) && refused.len() < 500, "{refused}");
}

#[test]
fn the_final_loss_is_that_of_the_largest_step() {
    let place = Place::new();
    assert!(place.import(&case("steps_descending.csv"), "").contains("steps that do not ascend"));
    assert_eq!(place.runs().iter().map(loss).collect::<Vec<_>>(), [Some(3.0), Some(3.1)]);
    let lines = "{\"_step\":20,\"loss\":3.0}\n{\"_step\":0,\"loss\":9}\n";
    assert_eq!(loss(&read("a.jsonl", lines, "").0), Some(3.0));
    let table = "[{\"id\":\"a\",\"history\":{\"_step\":[20,10],\"loss\":[3.0,9]}}]";
    assert_eq!(loss(&read("a.json", table, "").0), Some(3.0));
    let chart = "Step,a - loss\n20,3.0\n10,9\n";
    assert_eq!(loss(&read("a.csv", chart, "").0), Some(3.0));
    // A step that stands twice: the last one, and it is said.
    let (run, said) = read("a.csv", "step,loss\n0,9\n10,3.2\n10,3.1\n", "");
    assert_eq!(loss(&run), Some(3.1));
    assert!(said.contains("several losses at its largest step"), "{said}");
}

#[test]
fn runs_of_one_name_have_a_way_on() {
    let place = Place::new();
    let file = case("wandb_runs_same_name.csv");
    let said = place.refuse(&[&file], "");
    assert!(said.contains("`b` is known") && said.contains("--on-duplicate number"), "{said}");
    let ids = |rule: &str| {
        let place = Place::new();
        place.import(&file, &format!("--on-duplicate {rule}"));
        // The same file again is nothing new.
        let again = place.import(&file, &format!("--on-duplicate {rule} --json"));
        assert!(again.contains("\"new\":0"), "{again}");
        let runs = place.runs();
        let text = |run: &Value| format!("{} {:?}", run["id"].as_str().unwrap(), loss(run));
        runs.iter().map(text).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(ids("number"), "a Some(3.5), b None, b#2 Some(3.6)");
    assert_eq!(ids("first"), "a Some(3.5), b None");
    assert_eq!(ids("last"), "a Some(3.5), b Some(3.6)");
    assert_eq!(ids("join"), "a Some(3.5), b Some(3.6)");
    // A resumed run in two files, whatever their order.
    let early = place.file(
        "1.jsonl",
        "{\"id\":\"r\",\"_step\":0,\"loss\":5}\n{\"id\":\"r\",\"_step\":10,\"loss\":4}\n",
    );
    let late = place.file(
        "2.jsonl",
        "{\"id\":\"r\",\"_step\":10,\"loss\":4}\n{\"id\":\"r\",\"_step\":20,\"loss\":3}\n",
    );
    for files in [[early.as_str(), &late], [late.as_str(), &early]] {
        let place = Place::new();
        place.refuse(&files, "");
        assert!(place.try_import(&files, "--on-duplicate join").status.success());
        assert_eq!(loss(&place.only()), Some(3.0));
        let shown = answer(["show", "r", "--json", "--store", &place.store()]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["history"]["step"], json!([0, 10, 20]));
        // What is stored stays, and the hint knows it.
        let other = place.file("3.csv", "id,loss\nr,9\n");
        let said = place.refuse(&[&other], "--on-duplicate last");
        assert!(said.contains("`first` keeps the one that is stored"), "{said}");
    }
    // Ids of another column.
    let place = Place::new();
    place.import(&file, "--map id=eval/loss");
    assert_eq!(place.runs().len(), 3);
}

#[test]
fn other_separators_are_read_or_named() {
    let place = Place::new();
    let said = place.import(&case("semicolon.csv"), "--map parameters=n");
    assert!(said.contains("read as separated by semicolons, decimals with a comma"), "{said}");
    let runs = place.runs();
    assert_eq!(
        (loss(&runs[0]), runs[0]["settings"]["parameters"].as_f64()),
        (Some(3.5), Some(1e6))
    );
    let reads = |name: &str, content: &str, more: &str| {
        assert_eq!(loss(&read(name, content, more).0), Some(3.5), "{content}");
    };
    reads("a.tsv", "id\tloss\na\t3.5\n", "");
    reads("a.csv", "id|loss\na|3.5\n", "");
    reads("a.csv", "sep=;\r\nid;loss\r\na;3,5\r\n", "");
    reads("a.csv", "\u{feff}id;\"loss\"\na;\"3,5\"\n", "");
    reads("a.txt", "id:loss\na:3.5\n", "--format csv --delimiter :");
    reads("a.csv", "id,loss\na,\"3,5\"\n", "--decimal comma");
    reads("a.csv", "id\tparameters\tloss\na\t1,234\t3.5\n", "--decimal point --map parameters=");
    let refuses = |content: &[u8], expected: &str| {
        let said = place.refuse(&[&place.file("b.csv", content)], "");
        assert!(said.contains(expected), "{said}");
    };
    refuses(b"id;loss, nats\na;3,5\n", "separated by commas or by semicolons\nhint: say which");
    refuses(
        b"id\tloss\na\t3,512\n",
        "`3,512` may have thousands or decimals behind its mark\nhint",
    );
    refuses(b"\xFF\xFEi\0d\0", "the text is UTF-16\nhint: write it as UTF-8");
    refuses(b"id loss\na 3.5\n", "one column only\nhint: if spaces separate them");
    refuses(b"id,loss\na,\"1,000\"\n", "hint: write thousands without a mark");
    refuses(b"id,loss\n\xE9,3\n", "the text is not UTF-8\nhint: if a spreadsheet");
    refuses(b"PK\x03\x04", "a ZIP file or a workbook\nhint: save the sheet");
}

#[test]
fn messages_are_short_and_printable() {
    let place = Place::new();
    let said = place.import(&case("escape_key.jsonl"), "");
    assert!(said.contains("no column of losses is known") && !said.contains('\u{1b}'), "{said:?}");
    let listed = answer(["runs", "--foreign", "--csv", "--store", &place.store()]);
    assert!(!listed.contains('\u{1b}'), "{listed:?}");
    let long = "\u{1b}[2Jx\u{202e}".repeat(20_000);
    let files = [
        place.file("a.csv", format!("{long},b\n1,2\n")),
        place.file("b.csv", format!("lr,loss\n{long},2\n")),
        place.file("c.csv", format!("id,loss\n{long},x\n")),
        place.file("d.jsonl", format!("{{\"lr\": {}, \"loss\": 2}}\n", json!(long))),
        place.file("e.json", format!("{{{}: 3, \"a\": {{\"id\": 1, \"lr\": []}}}}", json!(long))),
        place.file("f.csv", format!("{}\n1\n", vec!["loss"; 5000].join(","))),
        place.file("\u{1b}[31m.xyz", ""),
    ];
    for file in &files {
        place.refuse(&[file], "");
    }
    place.refuse(&[&files[1]], &format!("--map lr={}", "y".repeat(10_000)));
    place.refuse(&[&files[1]], &format!("--format {}", "z".repeat(10_000)));
}

#[test]
fn standard_input_and_pipes_are_files() {
    let place = Place::new();
    let feed = |words: &str, bytes: &[u8]| {
        let store = place.store();
        let words = words.split_whitespace().chain(["--store", &store]);
        let output = program::feed(words, bytes);
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let said = feed("import runs - --format csv", b"id;loss\na;3,5\n");
    assert!(said.contains("stdin: 1 runs, 1 new"), "{said}");
    let wandb = fs::read(case("nanogpt_decay.wandb")).unwrap();
    let said = feed("import runs /dev/stdin --format wandb", &wandb);
    assert!(said.contains("stdin: 1 runs, 1 new"), "{said}");
    let said = feed("import runs -", b"");
    assert!(said.contains("standard input has no name") && said.contains("--format"), "{said}");
    let said = feed("import runs - --format jsonl", b"\n\n");
    assert!(said.contains("standard input: the file holds no run"), "{said}");
    let said = place.refuse(&[&place.file("runs.csv.gz", b"\x1f\x8b")], "");
    assert!(said.contains("zstd -dc FILE | scarce import runs -"), "{said}");
    let said = place.refuse(&[&place.0.path().display().to_string()], "--format csv");
    assert!(said.contains("is a folder") && said.contains("offline-run-*"), "{said}");
    let lines = place.file("lines.json", "{\"id\": 1, \"loss\": 2}\n{\"id\": 2, \"loss\": 2}\n");
    assert!(place.refuse(&[&lines], "").contains("--format jsonl"));
}
