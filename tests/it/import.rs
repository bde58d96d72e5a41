//! `scarce import runs` through the real program: what is taken, what is refused, and what for.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::program::{answer, failure, run};

const NAME: &str = "300m4k-209Mx16-dclm-cos-lr0.0030-wd1.60-bs64";

/// A folder with a store that does not exist yet.
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

    fn words(&self, verb: &str, file: &str, more: &str) -> Vec<String> {
        let store = self.store();
        let words = verb.split_whitespace().chain([file]).filter(|word| !word.is_empty());
        words.chain(["--store", &store]).chain(more.split_whitespace()).map(str::to_owned).collect()
    }

    fn import(&self, file: &str, more: &str) -> String {
        answer(self.words("import runs", file, more))
    }

    /// An import that must fail with this code and these words.
    fn refuse(&self, file: &str, more: &str, code: i32, expected: &[&str]) {
        let (found, errors) = failure(self.words("import runs", file, more));
        for part in expected {
            assert!(errors.contains(part), "{more}: {errors:?} lacks {part:?}");
        }
        assert_eq!(found, code, "{errors}");
    }

    fn runs(&self, more: &str) -> String {
        answer(self.words("runs --foreign", "", more))
    }
}

#[test]
fn foreign_runs_feed_a_law_and_no_lookup() {
    let place = Place::new();
    let mut text = "run_id,width,final,set\n".to_owned();
    for n in [1.0_f64, 2.0, 4.0, 8.0, 16.0] {
        writeln!(text, "run-{n},{n},{},a", 3.0 + 0.5 / n.sqrt()).unwrap();
    }
    text += "lost,32,,a\nother,64,9.5,b\n";
    let file = place.file("table.csv", &text);
    let map = "--map loss=final,parameters=width --map origin=set";
    let dry = place.import(&file, &format!("{map} --dry-run"));
    assert!(dry.starts_with("table.csv: 7 runs, 7 new, 0 known, 1 without a final loss"), "{dry}");
    assert!(!Path::new(&place.store()).exists(), "a trial leaves nothing");
    place.import(&file, map);
    // The same again is nothing new, under another name of the file, too.
    let again = place.file("copy.csv", &text);
    assert!(place.import(&again, map).contains("0 new, 7 known"));
    let table = place.runs("--csv --columns id,parameters,loss --where origin=a");
    assert_eq!(table.lines().count(), 6, "{table}");
    let path = place.file("for-fit.csv", &table);
    let words = ["fit", &path, "--x", "parameters", "--y", "loss", "--json", "--resamples", "2"];
    let law: Value = serde_json::from_str(&answer(words)).unwrap();
    assert!((law["E"].as_f64().unwrap() - 3.0).abs() < 1e-5, "{law}");
    // Foreign runs are no records: the list of records is empty, and each says what it is.
    assert_eq!(answer(place.words("runs", "", "--json")), "");
    let shown = answer(place.words("show", "run-4", ""));
    assert!(shown.contains("foreign: made by another program, read as csv"), "{shown}");
    let line: Value = serde_json::from_str(place.runs("--json").lines().next().unwrap()).unwrap();
    assert_eq!((&line["foreign"], &line["source"]["file"]), (&true.into(), &"table.csv".into()));
    let (code, errors) = failure(place.words("show", "nothing", ""));
    assert!(code == 2 && errors.contains("no record's id starts with `nothing`"), "{errors}");
    let (code, errors) = failure(place.words("runs --foreign", "", "--csv --columns los"));
    assert!(code == 2 && errors.contains("did you mean `loss`?"), "{errors}");
}

#[test]
fn the_filters_of_the_reference() {
    let place = Place::new();
    let run = |id: &str, more: &str| {
        format!(
            "{{\"id\": \"{id}\", \"state\": \"finished\", \"config\": {{\"model\": {{\"value\": \
             {{\"seq_len\": 4096}}}}, \"trainer\": {{\"value\": {{\"num_train_steps\": 12800, \
             \"train_batch_size\": 64}}}}}}, \"history\": [{{\"_step\": 12799, \
             \"eval/dclm/loss\": 3.6}}]{more}}}\n"
        )
    };
    let ensemble = format!("ppl-eval-ensemble-4x-{NAME}-seed3");
    let text = [
        run(NAME, ", \"tags\": [\"t\"]"),
        run(&ensemble, ", \"tags\": [\"t\"]"),
        run("300m4k-odd", ", \"tags\": [\"t\"]"),
        run("1_4b4k-209Mx8-dclm-cos-lr0.0010-wd3.20", ", \"tags\": [\"t\", \"ignore\"]"),
        run("600m4k-209Mx8-dclm-cos-lr0.0010-wd3.20", ""),
    ]
    .concat();
    let file = place.file("runs.jsonl", text);
    let told = place.import(&file, "--filter reference --tag t --json");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["runs"], &told["taken"]), (&5.into(), &2.into()), "{told}");
    assert_eq!(told["left_out"]["it is tagged `ignore`"], 1);
    let table = place.runs("--csv --columns model,tokens,epochs,lr,weight_decay,data,loss");
    let line = "300m4k,209715200,16,0.003,1.6,dclm,3.6";
    assert_eq!(table.lines().filter(|found| *found == line).count(), 2, "{table}");
    let table = place.runs("--csv --columns members,member,train_seed,batch");
    assert_eq!(table.lines().nth(1), Some(format!("4,{NAME}-seed3,3,64").as_str()), "{table}");
}

#[test]
fn files_that_are_refused() {
    let place = Place::new();
    let check = |name: &str, content: &[u8], more: &str, code: i32, expected: &[&str]| {
        place.refuse(&place.file(name, content), more, code, expected);
    };
    check("a.csv", b"", "", 3, &["a.csv: the table is empty", "hint: "]);
    check("a.csv", b"n,y\n1,2\n", "", 3, &["a.csv:1: there is no column of losses", "--map loss="]);
    check("a.csv", b"n,y\n1,2\n", "--map loss=z", 3, &["a.csv:1: there is no column `z`", "`n`"]);
    check("a.csv", b"lr,loss\n1,2\nbig,2\n", "", 3, &["a.csv:3: `big` in `lr` is not a number"]);
    check("a.csv", b"loss\n2\n", "--map lr", 2, &["`lr` is not FIELD=COLUMN", "hint: fields are"]);
    check("a.txt", b"loss\n2\n", "", 2, &["a.txt: its name does not say its format", "--format"]);
    check("a.csv", b"loss\n2\n", "--format xml", 2, &["`xml` is no format", "hint: ", "wandb-csv"]);
    check("a.pkl", b"\x80\x04", "", 2, &["pickle files are not read", "hint: ", "json.dump"]);
    check("a.jsonl", b"", "", 3, &["a.jsonl: the file holds no run"]);
    check("a.jsonl", b"{\"loss\": 2}\n{", "", 3, &["a.jsonl:2: not JSON"]);
    check("a.json", b"", "", 3, &["a.json: not JSON: EOF"]);
    check("a.parquet", b"PAR1", "", 3, &["a.parquet: not a complete Parquet file", "hint: "]);
    check("a.wandb", b"", "", 3, &["a.wandb: the file is empty"]);
    check("a.wandb", b"run_id,loss\n", "", 3, &["this is no `.wandb` file", "hint: "]);
    place.refuse("nowhere.csv", "", 3, &["failed to read `nowhere.csv`"]);
    // Clashes: within a file, with the store, and among the files of one command.
    check("b.csv", b"id,loss\na,2\na,3\n", "", 3, &["b.csv:3: the run `a` is known from `b.csv`"]);
    place.import(&place.file("first.csv", "id,loss\na,2\n"), "");
    let clash = ["second.csv:3: the run `a` is known from `first.csv`", "hint: ", "--as PREFIX"];
    check("second.csv", b"id,loss\nb,2\na,3\n", "", 3, &clash);
    assert_eq!(place.runs("--json").lines().count(), 1, "an import with a clash leaves nothing");
    place.import(&place.file("second.csv", "id,loss\nb,2\na,3\n"), "--as new");
    let found = place.runs("--csv --columns id,loss");
    assert_eq!(found, "id,loss\na,2\nnew/a,3\nnew/b,2\n");
}

/// A chunk of a `.wandb` file that holds a whole record.
fn chunk(record: &[u8]) -> Vec<u8> {
    let mut data = vec![1];
    data.extend(record);
    let mut crc = flate2::Crc::new();
    crc.update(&data);
    let mut chunk = crc.sum().to_le_bytes().to_vec();
    chunk.extend(u16::try_from(record.len()).unwrap().to_le_bytes());
    chunk.extend(data);
    chunk
}

/// Field `number` of a protocol-buffer message: length and bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    // Keys of fields from 16 on have two bytes.
    let key = u16::from(number) << 3 | 2;
    let mut field = match key {
        0..0x80 => vec![key as u8],
        _ => vec![key as u8 & 0x7f | 0x80, (key >> 7) as u8],
    };
    assert!(bytes.len() < 128, "one byte of length");
    field.push(bytes.len() as u8);
    field.extend(bytes);
    field
}

#[test]
fn offline_files_of_wandb() {
    let place = Place::new();
    let item = |key: &str, json: &str| {
        field(1, &[field(1, key.as_bytes()), field(16, json.as_bytes())].concat())
    };
    let run = [field(1, b"r1"), field(4, &item("lr", "0.003")), field(10, b"tag")].concat();
    let step = |loss: &str| field(2, &item("eval/loss", loss));
    let chunks = [field(17, &run), step("4.5"), step("4.25"), field(18, &[8, 0])];
    let mut bytes = b":W&B\xe1\xbe\x00".to_vec();
    chunks.iter().for_each(|record| bytes.extend(chunk(record)));
    let file = place.file("run-r1.wandb", &bytes);
    place.import(&file, "");
    let table = place.runs("--csv --columns id,state,tags,lr,loss");
    assert_eq!(table, "id,state,tags,lr,loss\nr1,finished,tag,0.003,4.25\n");
    // The last step is damaged, then the file is cut: what is whole is taken, and places are named.
    let start = bytes.len() - chunk(&chunks[3]).len() - chunk(&chunks[2]).len();
    let mut bad = bytes.clone();
    bad[start + 9] ^= 1;
    bad.truncate(bytes.len() - 1);
    let file = place.file("run-r2.wandb", &bad);
    let output = run_words(&place, &file, "--as damaged");
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(talk.contains(&format!("run-r2.wandb: byte {start}: a chunk is damaged")), "{talk}");
    assert!(talk.contains("or the file is cut; skipped"), "{talk}");
    assert!(place.runs("--csv --columns id,state,loss").contains("damaged/r1,unfinished,4.5"));
    // Lengths that the file does not have are no reason to ask for memory.
    let hostile = [field(17, &run), vec![0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]];
    let mut bytes = b":W&B\xe1\xbe\x00".to_vec();
    hostile.iter().for_each(|record| bytes.extend(chunk(record)));
    let output = run_words(&place, &place.file("run-r3.wandb", &bytes), "--as hostile");
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && talk.contains("longer than its message"), "{talk}");
}

/// Runs an import to its end.
fn run_words(place: &Place, file: &str, more: &str) -> std::process::Output {
    run(place.words("import runs", file, more))
}

#[test]
fn ten_thousand_runs_are_imported_in_seconds() {
    let place = Place::new();
    let mut text = String::new();
    for index in 0..10_000 {
        let steps: Vec<String> = (0..20)
            .map(|step| {
                format!("{{\"_step\":{step},\"train/loss\":{}}}", 4.0 - f64::from(step) * 0.01)
            })
            .collect();
        writeln!(
            text,
            "{{\"id\":\"run-{index}\",\"state\":\"finished\",\"config\":{{\"lr\":0.003,\"model\":\
             {{\"seq_len\":4096}}}},\"summary\":{{\"eval/loss\":3.{index}}},\"history\":[{}]}}",
            steps.join(",")
        )
        .unwrap();
    }
    let file = place.file("many.jsonl", &text);
    let start = Instant::now();
    place.import(&file, "");
    let import = start.elapsed();
    let start = Instant::now();
    assert_eq!(place.runs("--csv").lines().count(), 10_001);
    println!(
        "10,000 runs of 20 steps: imported in {import:.1?}, listed in {:.1?}",
        start.elapsed()
    );
    // The bound is 10 s for the optimized program; this one checks itself at every step.
    assert!(import.as_secs() < 60, "{import:?}");
}
