//! Corpora that change while a job reads them, and corpora that several programs write at once.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use scarce::data::{Corpus, Manifest};
use scarce::spec::JobId;
use scarce::store::{Claim, Store};
use serde_json::Value;

use crate::program::{
    answer, copy_folder, ended, listen, scarce, signal, start, wait_until, working_files,
};

/// Two corpora of one tokenizer, the first with a side set.
struct Desk(tempfile::TempDir);

fn text(topic: &str, paragraphs: u64) -> String {
    let line = |n: u64| format!("{topic} {n} of {}, and {} more.\n\n", n * n, n * 7919 % 10_007);
    (0..paragraphs).map(line).collect()
}

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        fs::write(desk.path("own.txt"), text("Paragraph", 2600)).unwrap();
        fs::write(desk.path("further.txt"), text("Stanza", 2600)).unwrap();
        fs::write(desk.path("verse.txt"), text("Verse", 60)).unwrap();
        answer(desk.words("prepare @own.txt --vocab 300 --out @own --side verse=@verse.txt"));
        answer(desk.words("prepare @further.txt --tokenizer @own/tokenizer.json --out @further"));
        let further = Corpus::open(desk.path("further")).unwrap().id();
        let spec = format!("[[data.mixture]]\ncorpus = \"{further}\"\nshare = 0.5\n");
        fs::write(desk.path("spec.toml"), spec).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Words of a command, with `@` for the directory of the desk.
    fn words(&self, line: &str) -> Vec<String> {
        let directory = format!("{}/", self.0.path().display());
        line.split_whitespace().map(|word| word.replace('@', &directory)).collect()
    }

    fn train(&self, epochs: u32) -> String {
        format!(
            "train @spec.toml --corpus @own --corpus @further --store @store --threads 1 \
             --checkpoint-every 1000000 --log-every 1 --set model.layers=1 --set model.width=32 \
             --set data.sequence_tokens=64 --set data.budget_tokens=1280 \
             --set optim.batch_sequences=4 --set evaluation.points=1 --set data.epochs={epochs}"
        )
    }

    fn id(&self, line: &str) -> JobId {
        let plan = answer(self.words(&format!("{line} --dry-run --json")));
        serde_json::from_str::<Value>(&plan).unwrap()["id"].as_str().unwrap().parse().unwrap()
    }

    /// Starts a command that has opened its corpora but does not work on its job before
    /// `meanwhile` has happened.
    fn held_back(&self, id: JobId, line: &str, meanwhile: impl FnOnce()) -> std::process::Child {
        let store = Store::open(&self.path("store")).unwrap();
        let Claim::Held(held) = store.claim(id).unwrap() else { panic!("nobody else is here") };
        let mut command = scarce(self.words(line));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = child.stderr.as_mut().unwrap();
        let mut lines = BufReader::with_capacity(1, errors.by_ref()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("waiting for ")), "it waits");
        meanwhile();
        drop(held);
        child
    }

    fn records(&self) -> usize {
        fs::read_dir(self.path("store/records")).unwrap().count()
    }
}

/// Writes another token into a file. Its length and its date stay as they were.
fn alter(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let before = file.metadata().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 100).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 100).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(file.metadata().unwrap().len(), before.len());
}

/// Runs a job while a file changes: it must fail, name the file, and leave no record.
fn refuse_change(desk: &Desk, id: JobId, line: &str, file: &str) {
    let records = desk.records();
    let path = desk.path(file);
    let good = fs::read(&path).unwrap();
    let child = desk.held_back(id, line, || alter(&path));
    let output = ended(line, child);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{file}: {errors}");
    let expected = format!("{file}` was changed while it was in use");
    assert!(errors.contains(&expected), "{errors}");
    assert_eq!(desk.records(), records, "{file}: no record of it");
    fs::write(path, good).unwrap();
}

#[test]
fn a_corpus_that_changes_during_a_run_gives_no_record() {
    let desk = Desk::new();
    fs::create_dir(desk.path("store")).unwrap();
    Store::open(&desk.path("store")).unwrap();
    let train = desk.train(1);
    let id = desk.id(&train);
    for file in ["own/train.tokens", "own/val.tokens", "own/side-verse.tokens"] {
        refuse_change(&desk, id, &train, file);
    }
    for file in ["further/train.tokens", "own/train.documents"] {
        refuse_change(&desk, id, &train, file);
    }
    // As it was again, the run ends well: nothing of before is left to go on from.
    answer(desk.words(&train));

    // An evaluation, whose id a copy of the store tells.
    copy_folder(&desk.path("store"), &desk.path("copy"));
    let eval = format!("eval {id} --corpus @own --split test --threads 1");
    let shown = answer(desk.words(&format!("{eval} --store @copy --json")));
    let evaluation: Value = serde_json::from_str(&shown).unwrap();
    let evaluation = evaluation["id"].as_str().unwrap().parse().unwrap();
    refuse_change(&desk, evaluation, &format!("{eval} --store @store"), "own/test.tokens");
    answer(desk.words(&format!("{eval} --store @store")));
}

#[test]
fn an_interrupt_writes_no_checkpoint_of_a_changed_corpus() {
    let desk = Desk::new();
    let train = desk.train(2000);
    let id = desk.id(&train);
    for file in ["own/train.tokens", "further/train.tokens"] {
        let child = desk.held_back(id, &train, || alter(&desk.path(file)));
        let store = desk.path("store");
        let length = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
        wait_until("metrics", || working_files(&store, "jsonl").iter().any(|p| length(p) > 0));
        signal(&child, "-TERM");
        let output = ended("the end", child);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{errors}");
        assert!(errors.contains(&format!("{file}` was changed")), "{errors}");
        assert!(working_files(&store, "checkpoint").is_empty(), "{file}");
        alter(&desk.path(file));
    }
}

/// Another link, a copy of the date or other permissions are no other content.
#[test]
fn a_corpus_that_only_looks_changed_is_used() {
    let desk = Desk::new();
    let train = desk.train(1);
    let path = desk.path("own/train.tokens");
    let child = desk.held_back(desk.id(&train), &train, || {
        fs::hard_link(&path, desk.path("backup")).unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).unwrap();
    });
    let output = ended("the run", child);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(desk.records(), 1);
}

#[test]
fn a_corpus_is_there_at_every_moment_of_its_replacement() {
    let desk = Desk(tempfile::tempdir().unwrap());
    fs::write(desk.path("text.txt"), text("Paragraph", 2600)).unwrap();
    let prepare = || answer(desk.words("prepare @text.txt --vocab 300 --out @corpus --force"));
    prepare();
    let manifest = desk.path("corpus/manifest.json");
    std::thread::scope(|scope| {
        let work = scope.spawn(|| (0..20).for_each(|_| drop(prepare())));
        while !work.is_finished() {
            assert!(manifest.exists(), "for a moment there was no corpus");
        }
        work.join().unwrap();
    });
    Corpus::open(desk.path("corpus")).unwrap();
    assert_eq!(fs::read_dir(desk.0.path()).unwrap().count(), 2, "nothing is left beside it");
}

#[test]
fn side_sets_that_are_added_at_once_all_join() {
    let desk = Desk::new();
    let names = ["a", "b", "c", "d", "e", "f"];
    let add = |name: &str| {
        start(desk.words(&format!(
            "prepare @own.txt --vocab 300 --out @own --side {name}=@verse.txt --threads 1"
        )))
    };
    // While somebody else changes the corpus, nobody does.
    let lock = File::options().write(true).open(desk.path("own/manifest.json")).unwrap();
    lock.lock().unwrap();
    let mut children = names.map(add);
    // Whoever waits for a lock stands in this list behind an arrow.
    let waiting = |child: &Child| {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let id = format!(" {} ", child.id());
        locks.lines().any(|line| line.contains(" -> ") && line.contains(&id))
    };
    wait_until("six that wait for the lock", || {
        for child in &mut children {
            assert!(child.try_wait().unwrap().is_none(), "a corpus changed in spite of the lock");
        }
        children.iter().all(waiting)
    });
    drop(lock);
    for child in &mut children {
        wait_until("an end", || child.try_wait().unwrap().is_some());
        assert!(child.wait().unwrap().success());
    }
    let manifest = Manifest::read(&desk.path("own")).unwrap();
    assert_eq!(manifest.side.len(), 1 + names.len(), "{:?}", manifest.side.keys());
    assert_eq!(Corpus::open(desk.path("own")).unwrap().sides().count(), 7);
}

/// Two that write the same corpus at once: the slower one finds it there.
#[test]
fn the_same_corpus_may_be_written_twice_at_once() {
    let desk = Desk(tempfile::tempdir().unwrap());
    let words = desk.words("prepare --synthetic pocket --out @corpus");
    let children = [0; 4].map(|_| listen(&words));
    for child in children {
        let output = ended("a corpus", child);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    Corpus::open(desk.path("corpus")).unwrap();
    assert_eq!(fs::read_dir(desk.0.path()).unwrap().count(), 1);
}
