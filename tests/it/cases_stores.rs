//! Stores that are damaged, shared with others, left behind by the dead, or in the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use scarce::spec::{CorpusId, JobId};
use scarce::store::{FileFacts, Store, TestRead};
use serde_json::{Value, json};

use crate::bad_input::TinyDisk;
use crate::program::{
    answer, ended, failure, listen, pocket_corpus, run, scarce, start, wait_until, working_files,
};

/// A short run of the smallest model, as words of a command.
fn train(store: &Path, more: &str) -> Vec<String> {
    let (corpus, store) = (pocket_corpus().display(), store.display());
    let line = format!(
        "train --corpus {corpus} --store {store} --threads 1 --set model.preset=pocket-20k \
         --set data.budget_tokens=2560 --set data.epochs=1 --set optim.batch_sequences=4 {more}"
    );
    line.split_whitespace().map(str::to_owned).collect()
}

/// The id of the record that a training command leaves.
fn id(words: &[String]) -> String {
    let plan = answer(words.iter().map(String::as_str).chain(["--dry-run", "--json"]));
    serde_json::from_str::<Value>(&plan).unwrap()["id"].as_str().unwrap().to_owned()
}

/// Replaces a file of a record, and what the manifest says of it.
fn forge(record: &Path, name: &str, content: &[u8]) {
    fs::write(record.join(name), content).unwrap();
    let path = record.join("manifest.json");
    let mut manifest: BTreeMap<String, FileFacts> =
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest.insert(name.to_owned(), FileFacts::of(content));
    fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

/// A command that must fail with this code and say all of these.
fn refuse(words: &[String], code: i32, expected: &[&str]) {
    let (found, errors) = failure(words);
    for part in expected {
        assert!(errors.contains(part), "{words:?} says {errors:?}, not {part:?}");
    }
    assert_eq!(found, code, "{words:?}: {errors}");
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_run_that_diverges_in_its_last_update_is_a_record_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    // One update, several, and rates at which only the held-out loss tells.
    let rates = ["optim.lr=1e18", "optim.lr=1e30", "optim.lr=1e10"];
    let shares = ["data.epochs=0.2", "data.epochs=1", "evaluation.points=1"];
    for (rate, share) in rates.into_iter().zip(shares) {
        let output = run(train(&store, &format!("--set {rate} --set {share}")));
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(4), "{rate} {share}: {said}{errors}");
        assert!(said.contains("diverged at step "), "{said}");
    }
    let good = answer(train(&store, ""));
    let listed = answer(words(&format!("runs --store {}", store.display())));
    assert_eq!(listed.matches("diverged at step").count(), 3, "{listed}");
    assert!(good.contains("val loss") && listed.contains(" val "), "{listed}");
    for record in fs::read_dir(store.join("records")).unwrap() {
        let name = record.unwrap().file_name().into_string().unwrap();
        answer(words(&format!("verify {name} --store {}", store.display())));
    }
}

#[test]
fn one_bad_record_stops_no_list() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let rates = ["--set optim.lr=0.01", "--set optim.lr=0.02", "--set optim.lr=0.03"];
    for rate in rates {
        answer(train(&store, rate));
    }
    let bad = id(&train(&store, rates[1]));
    let record = store.join("records").join(&bad);
    // As the versions wrote it that knew no divergence after the last update.
    let text = fs::read_to_string(record.join("record.json")).unwrap();
    let mut poisoned: Value = serde_json::from_str(&text).unwrap();
    poisoned["losses"][0]["nats"] = Value::Null;
    let (good, poisoned) = (text.into_bytes(), poisoned.to_string().into_bytes());
    let (shown, out) = (store.display(), folder.path().display());
    let lists = [
        format!("runs --store {shown}"),
        format!("runs --json --store {shown}"),
        format!("plot --mode standard-epoch-overfitting --store {shown} --out {out}"),
    ];
    for content in [&poisoned[..], b"", b"{}", b"\xff\xfe"] {
        forge(&record, "record.json", content);
        for line in &lists {
            let output = run(words(line));
            let errors = String::from_utf8_lossy(&output.stderr);
            let warned = format!("warning: record {} cannot be read", &bad[..12]);
            assert!(errors.contains(&warned) && errors.contains("hint: remove"), "{errors}");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(!line.starts_with("runs") || output.status.success(), "{errors}");
            assert!(!line.starts_with("runs") || said.matches("train").count() >= 2, "{said}");
        }
        // The job itself is refused with the way out, and nothing else is.
        refuse(
            &train(&store, rates[1]),
            3,
            &["record.json", "hint: remove the record's directory"],
        );
        answer(train(&store, rates[0]));
    }
    forge(&record, "record.json", &good);
    let listed = run(words(&lists[0]));
    assert!(listed.status.success() && listed.stderr.is_empty());
}

#[test]
fn a_folder_without_a_manifest_blocks_no_job() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let command = train(&store, "");
    let id = id(&command);
    let record = store.join("records").join(&id);
    Store::open(&store).unwrap();
    fs::create_dir(&record).unwrap();
    fs::write(record.join("weights.safetensors"), "precious").unwrap();
    let output = run(&command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("warning: a folder without a manifest lay in the place"), "{errors}");
    let aside = store.join("aside").join(format!("{id}-1"));
    assert!(errors.contains(&aside.display().to_string()), "{errors}");
    assert_eq!(fs::read(aside.join("weights.safetensors")).unwrap(), b"precious");
    answer(words(&format!("verify {id} --store {}", store.display())));
}

#[test]
fn only_an_empty_folder_becomes_a_store() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "").unwrap();
    let hint = ["is no store, and not empty: it holds `thesis.tex`", "hint: give another --store"];
    refuse(&train(folder.path(), ""), 2, &hint);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was written");
    refuse(&words(&format!("runs --store {}", folder.path().display())), 2, &["no store at"]);
}

/// A lease from a clock that was wrong, and one of a container of this host's name.
#[test]
fn leases_of_others_are_respected_while_they_live() {
    let Ok(host) = fs::read_to_string("/proc/sys/kernel/hostname") else {
        eprintln!("SKIPPED: this system does not tell the name of its host");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let command = train(&store, "");
    let work = store.join("work").join(id(&command));
    Store::open(&store).unwrap();
    fs::create_dir(&work).unwrap();
    let now = scarce::store::unix_seconds();
    let lease = |host: &str, renewed: u64| {
        let lease = json!({
            "host": host, "boot": "another", "process": 1, "token": "another",
            "renewed_unix_seconds": renewed,
        });
        fs::write(work.join("claim.json"), lease.to_string()).unwrap();
    };
    // It lives for a minute: stop waiting long before.
    lease(host.trim(), now + 30);
    let mut child = scarce(&command).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let waits = format!("waiting for process 1 on {}", host.trim());
    assert!(lines.any(|line| line.unwrap() == waits), "it waits");
    child.kill().unwrap();
    child.wait().unwrap();
    lease("elsewhere", now + 1_000_000_000);
    let output = ended("a run", listen(&command));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_killed_processes_left_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    answer(train(&store, ""));
    let finished = store.join("work").join(id(&train(&store, "")));
    fs::create_dir(&finished).unwrap();
    fs::write(finished.join("metrics.jsonl"), "of a record that is out").unwrap();
    let dead = "ab".repeat(32);
    let draft = store.join("work").join(format!("draft-{dead}.4194303-0.tmp"));
    fs::create_dir(&draft).unwrap();
    fs::write(draft.join("weights.safetensors"), "half of them").unwrap();
    answer(words(&format!("runs --store {}", store.display())));
    assert!(draft.exists(), "looking changes nothing");
    answer(train(&store, ""));
    assert_eq!(fs::read_dir(store.join("work")).unwrap().count(), 0);
}

#[test]
fn a_pipe_in_a_store_is_nothing_to_wait_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let command = train(&store, "");
    answer(&command);
    let id = id(&command);
    let pipe = |path: &Path| {
        let _ = fs::remove_file(path);
        Command::new("mkfifo").arg(path).status().is_ok_and(|status| status.success())
    };
    if !pipe(&folder.path().join("pipe")) {
        eprintln!("SKIPPED: this system has no named pipes");
        return;
    }
    let shown = store.display();
    let check = |name: &str, line: &str, code: i32| {
        let path = store.join(name);
        let good = fs::read(&path).ok();
        assert!(pipe(&path));
        let output = ended(name, listen(words(line)));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("not a regular file"), "{name}: {errors}");
        assert_eq!(output.status.code(), Some(code), "{name}: {errors}");
        fs::remove_file(&path).unwrap();
        good.into_iter().for_each(|good| fs::write(&path, good).unwrap());
    };
    let corpus = pocket_corpus().display();
    let record = format!("records/{id}");
    check(&format!("{record}/record.json"), &format!("runs --store {shown}"), 0);
    check(&format!("{record}/spec.toml"), &format!("show {id} --store {shown}"), 3);
    check(&format!("{record}/weights.safetensors"), &format!("verify {id} --store {shown}"), 3);
    check("format", &format!("runs --store {shown}"), 3);
    fs::create_dir_all(store.join("names")).unwrap();
    check("names/best.toml", &format!("runs --store {shown}"), 0);
    let eval = format!("eval {id} --corpus {corpus} --store {shown} --split test");
    check("test-reads.jsonl", &eval, 3);
    answer(words(&eval));
}

/// A corpus is data from elsewhere even more than a store is.
#[test]
fn a_pipe_in_a_corpus_is_nothing_to_wait_for() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["manifest.json", "train.tokens", "val.documents"] {
        let corpus = folder.path().join(name).join("corpus");
        crate::program::copy_folder(pocket_corpus(), &corpus);
        fs::remove_file(corpus.join(name)).unwrap();
        let made = Command::new("mkfifo").arg(corpus.join(name)).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: this system has no named pipes");
            return;
        }
        let store = folder.path().join("store");
        let line = format!("train --corpus {} --store {}", corpus.display(), store.display());
        let output = ended(name, listen(words(&line)));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(3) && errors.contains("not a regular"), "{errors}");
    }
}

/// Blocks are numbered: a number is no reason to make room for as many.
#[test]
fn a_ledger_that_asks_for_34_gigabytes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let ids = ["--set optim.lr=0.01", "--set optim.lr=0.02"].map(|rate| {
        let command = train(&store, rate);
        answer(&command);
        id(&command)
    });
    let (corpus, shown) = (pocket_corpus().display(), store.display());
    let compare = format!(
        "eval {} --against {} --corpus {corpus} --store {shown} --split val --json",
        ids[0], ids[1]
    );
    let compared: Value = serde_json::from_str(&answer(words(&compare))).unwrap();
    let record = store.join("records").join(compared["record"].as_str().unwrap());
    let name = "ledger-val.safetensors";
    let good = fs::read(record.join(name)).unwrap();
    // The last block, all of them, and steps that are too wide.
    for blocks in [
        (|n, all| if n + 1 == all { u32::MAX } else { 0 }) as fn(usize, usize) -> u32,
        |_, _| u32::MAX,
        |n, all| n as u32 * (u32::MAX / all as u32),
    ] {
        forge(&record, name, &with_blocks(&good, blocks));
        refuse(&words(&compare), 3, &["not a ledger: its blocks are not in order"]);
    }
    forge(&record, name, &good);
    answer(words(&compare));
}

/// A ledger with other numbers of its blocks, and everything else as it was.
fn with_blocks(file: &[u8], block: fn(usize, usize) -> u32) -> Vec<u8> {
    let (_, header) = SafeTensors::read_metadata(file).unwrap();
    let tensors = SafeTensors::deserialize(file).unwrap();
    let all = tensors.tensor("blocks").unwrap().shape()[0];
    let bytes: Vec<u8> = (0..all).flat_map(|n| block(n, all).to_le_bytes()).collect();
    let views = tensors.iter().map(|(name, view)| {
        let data = if name == "blocks" { &bytes[..] } else { view.data() };
        (name.to_owned(), TensorView::new(view.dtype(), view.shape().to_vec(), data).unwrap())
    });
    safetensors::serialize(views.collect::<Vec<_>>(), header.metadata().clone()).unwrap()
}

/// A disk that is full in the middle of a line.
#[test]
fn a_full_disk_tears_no_line_of_the_test_reads() {
    let Some(disk) = TinyDisk::mount() else {
        eprintln!("SKIPPED: a tiny file system cannot be mounted here");
        return;
    };
    let store = Store::open(&disk.path().join("store")).unwrap();
    let read =
        TestRead { corpus: CorpusId::of(b"c"), job: JobId::of(b"j"), unix_seconds: 1_000_000_000 };
    // Room for a few more bytes in the last page of the log, and none anywhere else.
    let mut count = 0;
    while fs::metadata(store.root().join("test-reads.jsonl")).map_or(0, |m| m.len()) < 3900 {
        store.log_test_read(&read).unwrap();
        count += 1;
    }
    let filler = disk.path().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    let error = store.log_test_read(&read).unwrap_err();
    assert!(error.to_string().contains("hint: the disk is full"), "{error}");
    fs::remove_file(&filler).unwrap();
    drop(file);
    store.log_test_read(&read).unwrap();
    let reads = store.test_reads(&mut |warning| panic!("{warning}")).unwrap();
    assert_eq!(reads, vec![read; count + 1]);
}

#[test]
fn a_torn_line_of_the_test_reads_loses_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let command = train(&store, "");
    answer(&command);
    let torn = "{\"corpus\":\"55aa8a0ab3d4";
    fs::write(store.join("test-reads.jsonl"), torn).unwrap();
    let (corpus, shown, id) = (pocket_corpus().display(), store.display(), id(&command));
    answer(words(&format!("eval {id} --corpus {corpus} --store {shown} --split test")));
    let text = fs::read_to_string(store.join("test-reads.jsonl")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, torn), "{text}");
    let read: Value = serde_json::from_str(lines[1]).unwrap();
    assert!(read["job"].is_string() && text.ends_with('\n'), "{text}");
}

/// The command line of a worker of a store, and whether it still runs.
fn workers(store: &Path) -> Vec<u32> {
    let of_process = |path: PathBuf| {
        let id = path.file_name()?.to_str()?.parse().ok()?;
        let line = fs::read(path.join("cmdline")).ok()?;
        let words: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
        let store = store.as_os_str().as_encoded_bytes();
        (words.get(1) == Some(&&b"worker"[..]) && words.contains(&store)).then_some(id)
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|process| of_process(process.path())).collect()
}

/// Workers of a store that must not outlive their test, should they not stop by themselves.
struct Orphans<'s>(&'s Path);

impl Drop for Orphans<'_> {
    fn drop(&mut self) {
        for id in workers(self.0) {
            let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        }
    }
}

/// However a lab dies, its workers stop, and what they have done is kept.
#[test]
fn workers_of_a_killed_lab_leave_checkpoints() {
    if !cfg!(target_os = "linux") {
        eprintln!("SKIPPED: this system does not list its processes in `/proc`");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let (corpus, shown) = (pocket_corpus().display(), store.display());
    let line = format!(
        "ensemble --corpus {corpus} --store {shown} --members 2 --workers 2 \
         --set model.preset=pocket-20k --set data.epochs=20000 --set evaluation.points=1"
    );
    let mut lab = start(words(&line));
    wait_until("two runs", || {
        assert!(lab.try_wait().unwrap().is_none(), "the lab has ended");
        working_files(&store, "jsonl").len() == 2
    });
    assert_eq!(workers(&store).len(), 2);
    lab.kill().unwrap();
    lab.wait().unwrap();
    let _orphans = Orphans(&store);
    wait_until("workers stop", || workers(&store).is_empty());
    let checkpoints = working_files(&store, "checkpoint");
    let runs: BTreeSet<_> = checkpoints.iter().map(|path| path.parent()).collect();
    assert_eq!(runs.len(), 2, "both have left a checkpoint");
}

/// The lab holds two pipes of a worker. Either that ends is enough: nobody reads its reports any
/// more, or nobody can ask it to stop.
#[test]
fn a_worker_that_lost_its_lab_checkpoints_and_stops() {
    for reports_end in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let command = train(&store, "--set data.epochs=20000 --set evaluation.points=1");
        let plan = answer(command.iter().map(String::as_str).chain(["--dry-run", "--json"]));
        let job = &serde_json::from_str::<Value>(&plan).unwrap()["spec"];
        let (corpus, shown) = (pocket_corpus().display(), store.display());
        let line = format!("worker --corpus {corpus} --store {shown} --threads 1");
        let mut worker = scarce(words(&line))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = worker.stdin.take().unwrap();
        writeln!(input, "{job}").unwrap();
        let mut said = String::new();
        let mut output = BufReader::new(worker.stdout.take().unwrap());
        output.read_line(&mut said).unwrap();
        assert!(said.contains("\"kind\":\"done\""), "{said}");
        let (input, output) = match reports_end {
            true => {
                drop(output);
                (Some(input), None)
            }
            false => {
                drop(input);
                (None, Some(output))
            }
        };
        // Somebody must read what is said, or the worker would wait for that.
        let reader = std::thread::spawn(move || output.map(|output| output.lines().count()));
        assert_eq!(ended("the worker stops", worker).status.code(), Some(85));
        assert_eq!(working_files(&store, "checkpoint").len(), 1);
        drop(input);
        reader.join().unwrap();
    }
}
